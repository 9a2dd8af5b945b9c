"""Whatever byte of what a later run believes is changed: it is noticed, and nothing else than before comes out."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.progress import SilentObserver
from infra.storage import FolderStore
from tasks.core.account import Account, Count
from tasks.core.errors import DamagedError
from tasks.core.sealed import read_sealed, write_sealed
from tasks.core.stage import Blocks, UnitRecord, UnitResult, Workshop, map_units
from tests.in_process import InProcess

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


class Heard(SilentObserver):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def shout(word: str, folder: Path) -> UnitResult:
    (folder / "out.txt").write_text(word.upper())
    return UnitResult(Account(Count(12, 34), Count(12, 34)), {"length": len(word), "loss": 2.5})


def run(store: Path, heard: Heard | None = None) -> UnitRecord:
    workshop = Workshop(InProcess(), FolderStore(store), heard or Heard())
    units = [(hashlib.sha256(b"word").hexdigest(), "word")]
    return map_units(workshop, stage="s", label="words", work=shout, units=units, packages=("tasks.core",))[0]


def damages(whole: bytes) -> list[bytes]:
    """Return a file with every byte's every third bit flipped, with every digit another one, and cut."""
    flips = [
        whole[:i] + bytes([whole[i] ^ (1 << bit)]) + whole[i + 1 :] for i in range(len(whole)) for bit in range(0, 8, 3)
    ]
    digits = [
        whole[:i] + str((int(whole[i : i + 1]) + 1) % 10).encode() + whole[i + 1 :]
        for i in range(len(whole))
        if whole[i : i + 1].isdigit()
    ]
    return [*flips, *digits, whole[: len(whole) // 2], b""]


def write(path: Path, content: bytes) -> None:
    """Put other bytes in the place of a file, as a disk may; what is linked to the same bytes keeps them."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


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


@pytest.mark.parametrize("name", ["record.json", "out.txt"])
def test_a_damaged_unit_is_told_and_made_again_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    made = run(tmp_path)
    for damaged in damages((made.folder / name).read_bytes())[1::97]:
        write(made.folder / name, damaged)
        heard = Heard()
        again = run(tmp_path, heard)
        assert again == made
        assert (again.folder / "out.txt").read_text() == "WORD"
        assert heard.said and heard.said[0].endswith("This unit is made again.")
    (made.folder / name).unlink()
    assert run(tmp_path) == made


def test_a_record_of_another_version_is_made_again_and_no_traceback(tmp_path: Path) -> None:
    made = run(tmp_path)
    write_sealed(made.folder / "record.json", {"files": [{"path": "out.txt"}], "account": 3, "summary": None})
    assert run(tmp_path) == made


def test_a_damaged_block_is_gone_and_those_behind_it(tmp_path: Path) -> None:
    blocks, part = Blocks(tmp_path / "kept"), tmp_path / "part"
    part.write_text("rows")
    for number in range(2):
        blocks.keep(number, [part], f'{{"documents": {10 * number}}}')
    block = tmp_path / "kept" / "00000" / "block.json"
    write(block, block.read_bytes().replace(b": 0}", b": 7}"))
    assert blocks.restore(tmp_path) == []
    assert not list((tmp_path / "kept").iterdir())
