"""What others may read of curate: `documents` (the tables, shard by shard) and `funnel` (what happened, in numbers)."""
