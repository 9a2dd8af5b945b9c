"""The pictures of a search, made from what it published."""
