"""Arms of an experiment against each other: mixtures, filters, schedules, starts, at equal tokens or FLOPs with seeds."""
