"""From the bytes of a web page to its main text: which characters they are, and which of these are not boilerplate."""
