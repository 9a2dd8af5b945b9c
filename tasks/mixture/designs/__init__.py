"""Initial designs: which mixtures to measure before anything is known."""
