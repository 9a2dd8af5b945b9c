"""Prefect flows: recipes that read top to bottom, and the command line."""
