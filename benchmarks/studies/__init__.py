"""Studies that train many models: each goes on where it was stopped, and writes down what it found, whatever that is."""
