"""MinHash signatures per document, and nothing that knows a threshold, a cluster or which documents take part."""
