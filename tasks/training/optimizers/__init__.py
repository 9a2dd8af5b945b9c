"""Optimizers: each kind is a config, the state it begins with, and a function that changes weights and state in place."""
