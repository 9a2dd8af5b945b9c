"""The readers, one module per format. Each streams a file as records and refusals, in bounded memory."""
