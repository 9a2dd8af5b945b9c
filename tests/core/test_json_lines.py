"""JSON lines that people bring: read with the place of each, whatever wrote them, and named where they are none."""

import gzip
from pathlib import Path

import pytest

from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines, write_together


def test_objects_are_told_with_their_place_and_files_are_joined_line_by_line(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": "\xe2\x80\xa8"}')
    packed.write_bytes(gzip.compress(b'{"b": 2}\n'))
    found = list(read_lines([plain, packed], "labels"))
    assert found == [
        (f"labels: {plain}, line 1", {"a": 1}),
        (f"labels: {plain}, line 3", {"a": "\u2028"}),
        (f"labels: {packed}, line 1", {"b": 2}),
    ]
    write_together([plain, packed], "labels", tmp_path / "all.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == b'{"a": 1}\n{"a": "\xe2\x80\xa8"}\n{"b": 2}\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n{"a"', "a.jsonl.gz, line 2: this is no JSON"),
        (b'["a"]', "line 1: expected a JSON object, found list"),
        (b'{"a": "\xff"}', "line 1: this is no JSON"),
        (None, r"a.jsonl.gz: cannot be read: .* JSON lines in UTF-8"),
    ],
)
def test_what_is_no_line_of_json_is_named(content: bytes | None, said: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "a.jsonl.gz", gzip.compress(content or b'{"a": 1}\n' * 99)
    path.write_bytes(whole if content is not None else whole[:-12] + b"torn")
    with pytest.raises(DataError, match=said):
        list(read_lines([path]))
