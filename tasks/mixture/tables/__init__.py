"""Tables of runs that other projects measured: read, fitted, brought in and out."""
