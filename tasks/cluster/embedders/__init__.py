"""Embedders: one module per kind, each from texts to one vector of length 1 per text."""
