"""The tables that ingest publishes: shards of documents, of broken records, and of records that are none."""

import pyarrow as pa

DOCUMENTS, QUARANTINED, DROPPED = "documents", "quarantined", "dropped"

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

# What became no document: quarantined (broken) and dropped (whole, but none).
# `offset` is where the record starts: bytes of the file's (decompressed) content, the row of a Parquet file, or, in a
# WARC file that is compressed record by record, bytes of the compressed file. `bytes` is its length there; of a Parquet
# row, the bytes of its text; of a damaged file, those of the file.
REFUSED = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
