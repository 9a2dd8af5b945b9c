"""A guard over what a run forgets: it refits a law as evaluations come in, and warns when a tolerance will be broken."""
