"""Strategies: which mixtures to measure next."""
