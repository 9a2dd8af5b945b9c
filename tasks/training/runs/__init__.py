"""Runs that are trained by units of work, for the train stage and for those that train arms, ladders and baselines."""
