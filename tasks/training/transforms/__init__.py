"""What is made of a row of tokens before a model sees it: one module each."""
