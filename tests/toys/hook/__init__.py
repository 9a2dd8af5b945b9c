"""A stage hook as a contributor writes it."""
