"""A ladder of runs: sizes x tokens, trained and measured, and what a scaling law forecasts from them."""
