"""Embedders: one module per kind, each from texts to one vector of length 1 per text; and the units that embed."""
