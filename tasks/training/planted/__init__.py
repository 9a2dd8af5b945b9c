"""Planted experiments: several questions about data put to one run, by documents that a hash assigns (arXiv 2509.23383)."""
