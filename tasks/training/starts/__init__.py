"""Where a run starts from: each kind is a config, and a function that says which files it means."""
