"""Parquet: values that Python has none for cost no document, and memory is bounded by what comes out, not what is stored."""

import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.read import read_records
from tasks.ingest.records import Record
from tasks.ingest.unit import UnitArgs
from tests.ingest.workshop import read_files, source_file

LONG, ROWS = "x" * 2_000_000, 256


def days(*numbers: int) -> pa.Array:
    return pa.array(numbers, pa.int32()).cast(pa.date32())


def moments(unit: str, number: int, zone: str | None = None) -> pa.Array:
    return pa.array([number], pa.int64()).cast(pa.timestamp(unit, tz=zone))


VALUES: dict[str, tuple[pa.Array, Any]] = {
    "date": (days(3_000_000), "10183-09-21"),
    "date that Arrow cannot write": (days(2**31 - 1), "2147483647"),
    "date before the year 1": (days(-1_000_000), "-0768-02-04"),
    "time": (moments("ms", 10**15), "1000000000000000"),
    "time in an unknown zone": (moments("us", 1, "Mars/Base"), "1"),
    "time with nanoseconds": (moments("ns", 1), "1970-01-01 00:00:00.000000001"),
    "duration": (pa.array([2**60], pa.int64()).cast(pa.duration("ms")), "1152921504606846976"),
    "decimal": (pa.array([Decimal("123456789012345678901234567890.12")]), "123456789012345678901234567890.12"),
    "list": (pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), days(3_000_000, 1)), ["10183-09-21", "1970-01-02"]),
    "struct": (pa.StructArray.from_arrays([days(3_000_000)], ["day"]), {"day": "10183-09-21"}),
    "map": (
        pa.MapArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["k"]), days(3_000_000)),
        [["k", "10183-09-21"]],
    ),
    "dictionary": (days(3_000_000).dictionary_encode(), "10183-09-21"),
    "infinity": (pa.array([[float("-inf")]]), ["-inf"]),
    "null": (pa.array([None], pa.date32()), None),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_python_has_none_for_is_kept_as_text_and_its_document_with_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    column, told = VALUES[name]
    pq.write_table(pa.table({"text": ["a text"], "beside": column}), path)
    account, _ = read_files(UnitArgs((source_file(path),), IngestParams()), tmp_path)
    assert account.kept.documents == 1
    (row,) = pq.read_table(tmp_path / "documents-00000.parquet").to_pylist()
    assert json.loads(row["metadata"]) == {"beside": told}


def test_the_other_rows_of_a_batch_with_such_a_value_are_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b", "c"], "day": days(0, 3_000_000, 1)}), path)
    found = [one.fields for one in read_records(source_file(path), IngestParams()) if isinstance(one, Record)]
    assert [fields["day"] for fields in found] == [date(1970, 1, 1), "10183-09-21", date(1970, 1, 2)]


def repeated_texts(path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([LONG]))
    pq.write_table(pa.table({"text": texts}), path, compression="zstd", store_schema=False)


def prefixes(path: Path) -> None:
    columns = {"text": "DELTA_BYTE_ARRAY"}
    table = pa.table({"text": pa.array([LONG] * ROWS)})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding=columns)


def category(path: Path) -> None:
    one = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([LONG]))
    pq.write_table(pa.table({"text": ["short"] * ROWS, "category": one}), path, compression="zstd")


def list_of_texts(path: Path) -> None:
    items = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([LONG]))
    column = pa.ListArray.from_arrays(pa.array([0, ROWS], pa.int32()), items)
    pq.write_table(pa.table({"text": ["short"], "list": column}), path, compression="zstd")


def list_of_numbers(path: Path) -> None:
    column = pa.ListArray.from_arrays(pa.array([0, 10_000_000], pa.int32()), pa.repeat(1, 10_000_000))
    pq.write_table(pa.table({"text": ["short"], "list": column}), path, compression="zstd")


BOMBS = {made.__name__: made for made in (repeated_texts, prefixes, category, list_of_texts, list_of_numbers)}
# Reads a file without a limit on its growth; prints by how many MB the process grew. Imports come first.
_GROWTH = """
import resource, sys
from tasks.ingest.readers.parquet import rows_of
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
with open(sys.argv[1], "rb") as stream:
    rows = sum(1 for _ in rows_of(stream, "a.parquet", "text", 16 << 20, None))
print(rows, round(peak() - before))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_parquet_file_whose_values_are_stored_once_and_stand_in_many_rows_is_a_bomb(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    BOMBS[name](path)
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match="row group 0 is a decompression bomb"):
        list(read_records(source_file(path), IngestParams()))


@pytest.mark.parametrize("name", ["repeated_texts", "prefixes", "category"])
def test_rows_decoded_together_take_little_memory_however_often_a_value_is_repeated(name: str, tmp_path: Path) -> None:
    BOMBS[name](tmp_path / "a.parquet")
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH, str(tmp_path / "a.parquet")], capture_output=True, text=True, check=True
    )
    rows, growth = map(int, done.stdout.split())
    assert rows == ROWS
    # Together they are 512 MB, and as much again as Python's texts.
    assert growth < 400


def test_lists_of_few_values_repeated_many_times_are_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["a text"] * 50_000, "tags": [["english", "news"]] * 50_000})
    pq.write_table(table, path)
    assert sum(1 for _ in read_records(source_file(path), IngestParams())) == 50_000
