"""Documents written by trained models: what a student is trained on beside real text."""
