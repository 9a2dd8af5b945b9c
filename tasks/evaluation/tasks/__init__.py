"""Tasks: what a model can do, measured on the items of a file by the likelihood of given texts; nothing is generated."""
