"""Scorers: numbers that say how good a document is, or for what. A scorer decides nothing: see `tasks.curate.selection`."""
