"""What others may read of cluster: `assignments` (a domain and a split per document) and `domains` (what these are)."""
