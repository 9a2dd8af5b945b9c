"""What others may read of ingest: `documents` (the tables, shard by shard) and `sources` (how much of what)."""
