"""Learning-rate schedules: each kind is a config and a pure function of the step."""
