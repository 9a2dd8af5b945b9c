"""What is remembered of sources: the same as what is read, whatever became of the file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core import code, syntax
from tasks.core.code import Code, code_of
from tests.core.test_code import UNIT, toy

Ask = Callable[..., Code]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Ask for the code of the toy as a new process does, which has remembered in a file."""
    cached = (code.code_of, syntax.module_code, syntax.syntax_tree, syntax._source, syntax._leads_to_params)

    def as_a_new_process(root: Path) -> Code:
        monkeypatch.setattr(syntax, "_MEMORY", syntax._Memory())
        for each in cached:
            each.cache_clear()
        syntax.remember_in(tmp_path / "home" / "sources.json")
        return code_of((UNIT,), root)

    yield as_a_new_process
    for each in cached:
        each.cache_clear()


def _read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        raise AssertionError(f"{path} was read again")

    read.cache_clear = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setattr(syntax, "syntax_tree", read)


def test_what_one_process_found_in_a_source_the_next_one_takes(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(toy(tmp_path / "a"))
    _read_no_more(monkeypatch)
    assert ask(tmp_path / "a") == ask(toy(tmp_path / "b")) == first
    with pytest.raises(AssertionError, match=r"data\.py was read again"):
        ask(toy(tmp_path / "c", ("data.py", "'x'", "'y'")))


def test_a_file_that_is_damaged_or_by_another_version_is_as_good_as_none(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, file = ask(toy(tmp_path / "a")), tmp_path / "home" / "sources.json"
    digest = first.modules["tasks.toy.data"]
    whole = file.read_text()
    assert digest in whole
    for damaged in (whole.replace(digest, "0" * 64), whole[: len(whole) // 2], ""):
        file.write_text(damaged)
        assert ask(tmp_path / "a") == first
        assert file.read_text() == whole, "it is written anew"
    file.write_text(damaged)
    monkeypatch.setattr(syntax, "_reader", lambda: "another version")
    assert ask(tmp_path / "a") == first
    assert file.read_text() != whole


def test_an_unchanged_source_is_read_again_where_its_class_is_no_model_of_params_any_more(
    tmp_path: Path, ask: Ask
) -> None:
    def made_from(base: str, folder: str, size: int) -> str:
        root = toy(tmp_path / folder)
        (root / "tasks/toy/base.py").write_text(f"from tasks.core.params import Params\nclass Base({base}): pass\n")
        config = f"from tasks.toy.base import Base\nclass ToyParams(Base):\n    size: int = {size}\n"
        (root / "tasks/toy/config.py").write_text(config)
        return ask(root).modules["tasks.toy.config"]

    assert made_from("Params", "a", 1) == made_from("Params", "b", 2), "declarations of params are no part of the code"
    assert made_from("object", "c", 1) != made_from("object", "d", 2)
    assert made_from("object", "e", 1) != made_from("Params", "f", 1)


def test_where_nothing_can_be_written_the_sources_are_read(tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "home").write_text("a file, and no folder")
    assert ask(toy(tmp_path / "a")).packages == ("numpy",)
