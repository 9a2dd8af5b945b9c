"""An annotator more, in a copy of the tree: one module and lines in one place; nothing else is touched or done again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.core.code import ROOT, code_of

KINDS = "tasks/curate/annotators/kinds.py"
LINES = (
    ("from tasks.curate.annotators import language,", "from tasks.curate.annotators import exclamations, language,"),
    (
        "from tasks.curate.annotators.language import LanguageId\n",
        "from tasks.curate.annotators.exclamations import Exclamations\n{}",
    ),
    ("    Gopher | English | ", "    Gopher | Exclamations | English | "),
    ('Group = Literal["gopher", ', 'Group = Literal["exclamations", "gopher", '),
    ("        case English():\n", "        case Exclamations():\n            return exclamations.METHOD\n{}"),
    ('        "english": English(),\n', '        "exclamations": Exclamations(),\n{}'),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name in ("tasks", "infra"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copyfile(ROOT / "tests/toys/annotator/exclamations.py", root / "tasks/curate/annotators/exclamations.py")
    text = (root / KINDS).read_text(encoding="utf-8")
    for before, after in LINES:
        assert text.count(before) == 1, before
        text = text.replace(before, after.replace("{}", before))
    (root / KINDS).write_text(text, encoding="utf-8")
    return root


def test_an_annotator_more_is_one_module_and_lines_in_one_place(copy: Path, tmp_path: Path) -> None:
    source = tmp_path / "in" / "web.jsonl"
    source.parent.mkdir()
    texts = [
        "No!! " + "These are quite ordinary words of a document. " * 20,
        "Yes. " + "And here are others of it. " * 20,
    ]
    source.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    environment = os.environ | {"PYTHONPATH": str(copy), "MIXWRIGHT_HOME": str(tmp_path / "home")}
    words = ("--input", str(source), "--output", str(tmp_path / "out"), "--set", "curate.annotate=[exclamations]")
    words += ("--set", "curate.profile=open", "--set", "curate.profiles={open: {rules: {}}}")
    done = subprocess.run(
        [sys.executable, "-m", "tasks.curate", *words],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = (tmp_path / "out" / "annotations").glob("*.parquet")
    assert pq.read_table(table)["exclamations"].to_pylist() == [2, 0]
    # What the others count is no other code now.
    for roots in (("tasks.curate.statistics.gopher", "tasks.curate.statistics.unit"), ("tasks.curate.units",)):
        assert code_of(roots, copy).digest == code_of(roots).digest
