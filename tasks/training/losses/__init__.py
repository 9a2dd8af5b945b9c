"""Losses of a token other than cross-entropy: one module each."""
