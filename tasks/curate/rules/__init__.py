"""Rules over the statistics, and the thresholds that a profile gives them."""
