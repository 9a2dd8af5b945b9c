"""A loss of a token as a contributor writes it."""
