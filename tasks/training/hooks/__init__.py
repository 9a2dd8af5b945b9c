"""Stage hooks: each decides the mixture of a stage when the run gets there."""
