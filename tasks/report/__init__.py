"""The report: one self-contained page that tells what was done to the text, what was found, and how sure it is."""
