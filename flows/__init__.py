"""Prefect flows: recipes that read top to bottom."""
