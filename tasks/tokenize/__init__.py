"""From kept documents with domains to a tokenizer and packed token shards per domain and split."""
