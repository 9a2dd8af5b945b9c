"""Arms of an experiment against each other."""
