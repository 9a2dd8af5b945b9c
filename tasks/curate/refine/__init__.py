"""Refining: text that is repaired, redacted or shortened, with an account of every byte that changed."""
