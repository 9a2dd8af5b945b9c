"""How many documents there are, from each source."""
