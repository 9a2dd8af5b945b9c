"""Contracts: written and read by one model, refused with a sentence when they are something else."""

from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.published import Published


class Weights(Published):
    FILE: ClassVar[str] = "weights.json"
    format: Literal[2] = 2
    shares: tuple[float, ...] = Field(min_length=1)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    Weights(shares=(0.25, 0.75)).write(tmp_path)
    assert Weights.read(tmp_path) == Weights(shares=(0.25, 0.75))


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    assert Weights(shares=(0.1,)).text() == '{\n "format": 2,\n "shares": [\n  0.1\n ]\n}\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"format": 1, "shares": [1.0]}', "format 1, this version of Mixwright reads 2"),
        ('{"shares": []}', "format None"),
        ('{"format": 2, "shares": ["x"]}', "1 mistake(s): shares.0"),
        ('{"format": 2, "shares": []}', "1 mistake(s): shares: Tuple should have at least 1 item"),
        ('{"format": 2, "shares": [1.0], "more": 1}', "more: Extra inputs"),
        ('{"format": 2, "shares": [NaN]}', "shares.0"),
        ("[]", "expected a JSON object, found list"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"format": 2, "shares": [1.0], "shares": [0.5]}', "the key 'shares' stands twice"),
    ],
)
def test_anything_else_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(DataError, match=r"weights\.json") as error:
        Weights.read(tmp_path)
    assert told in str(error.value)


def test_a_missing_file_names_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc pull"):
        Weights.read(tmp_path)
