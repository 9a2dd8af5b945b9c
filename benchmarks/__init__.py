"""What is measured, how, and against what: ratios within one run, medians of several rounds, with their spread."""
