"""A taxonomy of the corpus by a language model, and a classifier distilled from its labels (TnT-LLM, arXiv 2403.12173)."""
