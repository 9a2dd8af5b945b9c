"""Methods of search against each other and against baselines: the same pool, the same budget, the same training."""
