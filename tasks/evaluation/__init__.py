"""Evaluation: bits per byte on the split `test`, and whether a difference is real."""
