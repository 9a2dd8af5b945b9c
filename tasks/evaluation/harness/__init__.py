"""lm-evaluation-harness beside our own tasks: a model of ours is put to its tasks, and its results are taken in."""
