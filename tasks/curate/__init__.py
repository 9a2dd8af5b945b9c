"""Curate: annotate every document, decide by thresholds, drop duplicates; each is kept or dropped for a reason."""
