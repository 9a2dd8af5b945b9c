"""Exact and near duplicates: fingerprints per document, clusters over all of them, one survivor per cluster."""
