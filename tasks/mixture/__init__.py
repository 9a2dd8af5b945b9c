"""Mixture search: proxies measure, a predictor generalises, a recipe with its forecast comes out."""
