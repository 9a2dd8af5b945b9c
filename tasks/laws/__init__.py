"""Scaling laws: what a larger run would give, from a table of smaller ones, with intervals."""
