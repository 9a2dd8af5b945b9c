"""Predictors: from measured mixtures to the losses of every other mixture, with uncertainty."""
