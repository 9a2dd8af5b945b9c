"""JSON that people wrote: what it may spell and no text can hold is refused, and nothing else."""

import json
from pathlib import Path

import pytest

from tasks.core.errors import DataError
from tasks.core.json_text import parse_json
from tasks.curate.decontaminate.benchmarks import read_benchmark
from tasks.evaluation.tasks.records import records
from tasks.training.planted.items import read_items

HALF = r'{"id": "a", "text": "cut inside \ud83d"}'
DEEP = "[" * 100_000


def test_whole_pairs_are_texts_and_halves_are_none() -> None:
    assert parse_json(r'{"a": "\ud83d\ude00"}') == {"a": "\U0001f600"}
    for text in (HALF, r'{"\ude00": 1}', HALF.encode()):
        with pytest.raises(ValueError, match="half of a surrogate pair, which is no text"):
            parse_json(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    with pytest.raises(json.JSONDecodeError):
        parse_json("{")


@pytest.mark.parametrize("line", [HALF, DEEP])
def test_files_of_people_say_which_line_is_no_text(tmp_path: Path, line: str) -> None:
    lines = '{"id": "b", "text": "whole"}\n' + line
    (tmp_path / "b.jsonl").write_text(lines)
    with pytest.raises(DataError, match="line 2: "):
        read_benchmark("b", tmp_path / "b.jsonl", None)
    with pytest.raises(DataError, match="line 2: "):
        records(lines, "b.jsonl", {})
    with pytest.raises(DataError, match="line 2: "):
        read_items(lines, "b.jsonl")
