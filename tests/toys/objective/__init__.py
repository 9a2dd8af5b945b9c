"""An objective as a contributor writes it."""
