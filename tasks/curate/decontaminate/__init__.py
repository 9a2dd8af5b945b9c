"""Decontamination: documents that hold a piece of a benchmark are found, by real words, and set aside."""
