"""What pages have in common: the frame with its style and script, macros, and how words and numbers are told."""
