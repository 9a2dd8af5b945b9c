"""Thresholds for each language: learned from texts that are as they should be, in that language."""
