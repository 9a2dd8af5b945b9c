"""Whatever byte of what a later run believes is changed: it is noticed, and nothing else than before comes out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DamagedError
from tasks.core.sealed import read_sealed, write_sealed
from tasks.runtime.records import FolderBlocks
from tests.runtime.damage import damages, write

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abé\u4e2d9"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=4))
def test_what_was_sealed_reads_back(tmp_path_factory: pytest.TempPathFactory, value: dict[str, object]) -> None:
    path = tmp_path_factory.getbasetemp() / "sealed.json"
    write_sealed(path, value)
    assert read_sealed(path) == value


def test_a_file_that_is_not_there_or_no_object_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"none\.json: it cannot be read"):
        read_sealed(tmp_path / "none.json")
    for text in ("[1]", "{", "[" * 100_000, '{"a": 1}', '{"a": NaN, "seal": "x"}', '{"a": "\\ud800", "seal": "x"}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(DamagedError, match=r"other\.json"):
            read_sealed(tmp_path / "other.json")


def test_no_changed_byte_of_a_sealed_file_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "sealed.json"
    value = {"files": {"a": "0f" * 8}, "account": None, "loss": [0.25, 1e-7], "kept": 12, "no": False, "name": "中é"}
    write_sealed(path, value)
    refused = 0
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            # A blank that became another blank is no damage: the value is the one that was sealed.
            assert read_sealed(path) == value
        except DamagedError:
            refused += 1
    assert refused > 500


def test_a_damaged_block_is_gone_and_those_behind_it(tmp_path: Path) -> None:
    blocks, part = FolderBlocks(tmp_path / "kept"), tmp_path / "part"
    part.write_text("rows")
    for number in range(2):
        blocks.keep(number, [part], f'{{"documents": {10 * number}}}')
    block = tmp_path / "kept" / "00000" / "block.json"
    write(block, block.read_bytes().replace(b": 0}", b": 7}"))
    assert blocks.restore(tmp_path) == []
    assert not list((tmp_path / "kept").iterdir())
