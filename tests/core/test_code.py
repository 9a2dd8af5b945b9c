"""Code identity: what an edit changes, and what it leaves as it was."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.core.code import code_of, computed_imports, library_version

UNIT = "tasks.toy.unit"
TOY: Mapping[str, str] = {
    "tasks/__init__.py": '"""All."""',
    "tasks/core/__init__.py": '"""Core."""',
    "tasks/core/params.py": "class Params: pass",
    "tasks/runtime/__init__.py": '"""Plumbing."""',
    "tasks/runtime/step.py": "WINDOW = 2",
    "tasks/toy/__init__.py": '"""A toy."""',
    "tasks/toy/unit.py": '''
        """A unit of work."""
        from typing import TYPE_CHECKING
        import numpy
        import click
        from tasks.runtime.step import WINDOW
        from tasks.report.page import SIZE
        from tasks.toy.config import ToyParams
        from tasks.toy.kinds import chosen
        if TYPE_CHECKING:
            from tasks.toy.observer import Observer

        LIMIT = 3  # a limit

        def work(args: "ToyParams", here) -> int:
            """Do the work."""
            from tasks.toy.data import table
            return LIMIT + len(table())
    ''',
    "tasks/toy/config.py": """
        from tasks.core.params import Params
        class Base(Params):
            seed: int = 0
            def mistakes(self):
                yield "help"
            @property
            def twice(self):
                return 2 * self.seed
        class ToyParams(Base):
            size: int = 1
    """,
    "tasks/toy/kinds.py": "from tasks.toy.one import run as chosen",
    "tasks/toy/one.py": "def run(): return 1",
    "tasks/toy/observer.py": "class Observer: pass",
    "tasks/toy/data.py": "def table(): return 'x'.lower()",
    "tasks/toy/facts.json": "{}",
    "tasks/toy/kernel.cpp": "int f();",
    "tasks/toy/templates/page.html": "<p>",
    "tasks/report/__init__.py": "",
    "tasks/report/page.py": "SIZE = 1",
    "tasks/toy/deeper/__init__.py": "",
    "tasks/toy/deeper/other.json": "{}",
}
_NEW_OPTION = "class ToyParams(Base):\n            verify: bool = False"
EDITS: Mapping[str, tuple[str, str, str, bool]] = {
    # what is edited: file, old text, new text, whether the unit is done again
    "a comment": ("unit.py", "# a limit", "# the limit", False),
    "a docstring": ("unit.py", "Do the work", "Do all the work", False),
    "a module's docstring": ("unit.py", "A unit of work", "One unit", False),
    "an annotation": ("unit.py", "-> int", "-> float", False),
    "blank lines": ("unit.py", "LIMIT = 3", "LIMIT  =  3", False),
    "a constant": ("unit.py", "LIMIT = 3", "LIMIT = 4", True),
    "the body of a function": ("unit.py", "LIMIT + len", "LIMIT - len", True),
    "what is imported inside it": ("data.py", "'x'", "'y'", True),
    "an import for the type checker": ("observer.py", "pass", "x = 1", False),
    "plumbing": ("../runtime/step.py", "2", "3", False),
    "a new option that is off": ("config.py", "class ToyParams(Base):", _NEW_OPTION, False),
    "the sentence of a mistake": ("config.py", '"help"', '"more help"', False),
    "a default, which is in the params": ("config.py", "size: int = 1", "size: int = 2", False),
    "what a params model computes": ("config.py", "2 * self.seed", "3 * self.seed", True),
    "the union of all kinds": ("kinds.py", "chosen", "chosen\nfrom tasks.toy.one import run as other", False),
    "a kind that was not chosen": ("one.py", "1", "2", False),
    "data of the package": ("facts.json", "{}", "{1}", True),
    "a kernel": ("kernel.cpp", "int", "long", True),
    "a template": ("templates/page.html", "<p>", "<b>", True),
    "the report": ("../report/page.py", "1", "2", False),
    "data of another package": ("deeper/other.json", "{}", "[]", False),
}


def toy(root: Path, edit: tuple[str, str, str] | None = None) -> Path:
    for name, text in TOY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    if edit is not None:
        path = root / "tasks/toy" / edit[0]
        before = path.read_text()
        after = before.replace(textwrap.dedent(edit[1]), edit[2].replace("\n            ", "\n    "))
        assert after != before
        path.write_text(after)
    return root


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_of_what_decides_a_result_changes_its_code_and_no_other_edit_does(tmp_path: Path, what: str) -> None:
    file, old, new, again = EDITS[what]
    before, after = code_of((UNIT,), toy(tmp_path / "a")), code_of((UNIT,), toy(tmp_path / "b", (file, old, new)))
    assert (before.digest != after.digest) is again


def test_the_chosen_kind_is_in_where_it_is_named(tmp_path: Path) -> None:
    roots = (UNIT, "tasks.toy.one")
    before, after = code_of(roots, toy(tmp_path / "a")), code_of(roots, toy(tmp_path / "b", ("one.py", "1", "2")))
    assert before.digest != after.digest
    assert before.modules.keys() - code_of((UNIT,), tmp_path / "a").modules.keys() == {"tasks.toy.one"}


def test_the_report_is_inside_its_own_code(tmp_path: Path) -> None:
    assert "tasks.report.page" in code_of(("tasks.report.page",), toy(tmp_path)).modules
    assert "tasks.report.page" not in code_of((UNIT,), tmp_path).modules


def test_libraries_are_the_packages_that_are_imported_without_those_that_decide_no_byte(tmp_path: Path) -> None:
    code = code_of((UNIT,), toy(tmp_path))
    assert code.packages == ("numpy",)
    assert code.unicode, "a text is put into lower case"
    assert code.libraries()["numpy"] == library_version("numpy")


def test_where_the_code_lies_does_not_matter(tmp_path: Path) -> None:
    assert code_of((UNIT,), toy(tmp_path / "a")) == code_of((UNIT,), toy(tmp_path / "b"))


def test_an_import_by_a_computed_name_is_found(tmp_path: Path) -> None:
    root = toy(tmp_path, ("data.py", "def table", "import importlib\nimportlib.import_module('x' + 'y')\ndef table"))
    assert computed_imports((UNIT,), root) == ["tasks.toy.data:2"]
