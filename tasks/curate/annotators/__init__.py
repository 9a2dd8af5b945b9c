"""Annotators: one module each, a frozen config and one pure function from texts (or URLs) to columns."""
