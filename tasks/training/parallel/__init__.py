"""One model over many devices: how it is spread (a method each), and the engine that trains it."""
