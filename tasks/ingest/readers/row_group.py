"""How much a row group of a Parquet file may decode to, known before anything of it is decoded.

A dictionary holds a value once, however many rows have it: 256 rows of 6 MB take 600 bytes in a file and 1.5 GB in
memory. Metadata tells the size of what is stored, not of what comes out; the header of the dictionary's page bounds it.
"""

import re
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.readers.stream import EXPANSION_FLOOR

# Rows decoded at a time: many where all the row group's bytes fit in memory, few where a batch may hold any of them
# (0.14 s instead of 0.10 s for 20,000 rows), fewer where one value may be long.
_MANY_ROWS, _FEW_ROWS = 256, 16
_BATCH_BYTES = 64 << 20
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
# A page begins with its type, the size of its content and its size in the file (Thrift, compact: a zigzag varint each).
_PAGE = re.compile(rb"\x15([\x80-\xff]*[\x00-\x7f])\x15([\x80-\xff]*[\x00-\x7f])")
_DICTIONARY_PAGE = 2


class Group:
    """One row group: its rows, its bytes in the file, and bounds on what it decodes to."""

    def __init__(self, file: pq.ParquetFile, stream: Any, index: int, max_expansion: float | None) -> None:
        self._file, self._stream, self._index = file, stream, index
        metadata = file.metadata.row_group(index)
        self._columns = [metadata.column(number) for number in range(metadata.num_columns)]
        self._kinds = [file.metadata.schema.column(number) for number in range(metadata.num_columns)]
        self.num_rows: int = metadata.num_rows
        self.packed: int = sum(column.total_compressed_size for column in self._columns)
        self._stored: int = sum(column.total_uncompressed_size for column in self._columns)
        self._limit = None if max_expansion is None else max(EXPANSION_FLOOR, max_expansion * self.packed)

    def batch_rows(self) -> int:
        """Return how many rows can be decoded at a time."""
        rows = _MANY_ROWS
        if self._stored > _BATCH_BYTES:
            rows = max(1, min(_FEW_ROWS, _BATCH_BYTES * self.num_rows // self._stored))
        longest = max(map(self._repeated_bytes, self._columns, self._kinds), default=0)
        return max(1, min(rows, _BATCH_BYTES // longest)) if longest else rows

    def bomb(self) -> str:
        """Return why the row group is a bomb by what its metadata says, or nothing."""
        if self._limit is None:
            return ""
        if self._stored > self._limit:
            return f"{self._stored:,} bytes in {self.packed:,}"
        for column, kind in zip(self._columns, self._kinds, strict=True):
            # One row may hold all the values of a list.
            if kind.max_repetition_level and (bytes_ := column.num_values * self._longest(column, kind)) > self._limit:
                return f"the lists of {column.path_in_schema} hold up to {bytes_:,} bytes, the file {self.packed:,}"
        return ""

    def _repeated_bytes(self, column: Any, kind: Any) -> int:
        """Return a bound on the length of a value that is stored once and stands in many rows."""
        if kind.physical_type == "FIXED_LEN_BYTE_ARRAY":
            return int(kind.length)
        # Chunks so small that all rows of a batch may repeat the whole of them need no closer look.
        if kind.physical_type != "BYTE_ARRAY" or column.total_uncompressed_size <= _BATCH_BYTES // _MANY_ROWS:
            return 0
        if "DELTA_BYTE_ARRAY" in column.encodings:
            # A value is what it has in common with the one before, and its rest.
            return int(column.total_uncompressed_size)
        return self._dictionary_bytes(column)

    def _dictionary_bytes(self, column: Any) -> int:
        """Return the size of a column's dictionary, decompressed; 0 where there is none."""
        offsets = (column.dictionary_page_offset, column.data_page_offset)
        self._stream.seek(min(offset for offset in offsets if offset is not None))
        header = _PAGE.match(self._stream.read(32))
        if header is None:
            return int(column.total_uncompressed_size)
        return _number(header[2]) if _number(header[1]) == _DICTIONARY_PAGE else 0

    def _longest(self, column: Any, kind: Any) -> int:
        """Return the length of the longest value in a column's dictionary, or of any value of a fixed width."""
        if kind.physical_type != "BYTE_ARRAY":
            return int(_WIDTHS.get(kind.physical_type, kind.length))
        if not column.num_values or not self._dictionary_bytes(column):
            return 0
        reader = pq.ParquetFile(self._stream, read_dictionary=[column.path_in_schema], pre_buffer=False)
        batch = next(reader.iter_batches(1, [self._index], [column.path_in_schema], use_threads=False))
        lengths = (pc.max(pc.binary_length(values)).as_py() for values in _dictionaries(batch.column(0)))
        return max((length for length in lengths if length), default=0)


def _dictionaries(array: Any) -> list[Any]:
    """Return the dictionaries in an array, however deep in lists, maps and structs."""
    if hasattr(array, "dictionary"):
        return [array.dictionary]
    if hasattr(array, "flatten") and array.type.num_fields:
        inner = array.flatten()
        return [found for part in (inner if isinstance(inner, list) else [inner]) for found in _dictionaries(part)]
    return []


def _number(varint: bytes) -> int:
    """Return the whole number of a zigzag varint.

    >>> _number(bytes([0x80, 0x89, 0x7a]))
    1000000
    """
    value = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(varint))
    return (value >> 1) ^ -(value & 1)
