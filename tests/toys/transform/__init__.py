"""A transform of rows as a contributor writes it."""
