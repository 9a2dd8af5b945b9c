"""The Arrow schemas of what ingest publishes. Every later stage reads `DOCUMENT`."""

import pyarrow as pa

# `metadata` is a JSON object of the record's further fields; null where there are none.
DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("lang", pa.string()),
        pa.field("metadata", pa.string()),
    ]
)

# `offset` is where the record starts: bytes of the file's (decompressed) content, or the row of a Parquet file.
# `bytes` is its length there; of a Parquet row, the bytes of its text.
QUARANTINED = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
