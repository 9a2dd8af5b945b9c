"""An annotator and a scorer more, in a copy of the tree: a module and lines in one place; nothing else is done again."""

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

SCORERS = "tasks/curate/scorers/kinds.py"
SCORER_LINES = (
    (
        "from tasks.curate.scorers.dsir import Dsir\n",
        "from tasks.curate.scorers import capitals\nfrom tasks.curate.scorers.capitals import Capitals\n{}",
    ),
    ("Scorer = Annotated[", "Scorer = Annotated[Capitals | "),
    ("        case Dsir():\n", "        case Capitals():\n            return capitals.METHOD\n{}"),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name in ("tasks", "infra"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copyfile(ROOT / "tests/toys/annotator/exclamations.py", root / "tasks/curate/annotators/exclamations.py")
    shutil.copyfile(ROOT / "tests/toys/scorer/capitals.py", root / "tasks/curate/scorers/capitals.py")
    for kinds, lines in ((KINDS, LINES), (SCORERS, SCORER_LINES)):
        text = (root / kinds).read_text(encoding="utf-8")
        for before, after in lines:
            assert text.count(before) == 1, before
            text = text.replace(before, after.replace("{}", before))
        (root / kinds).write_text(text, encoding="utf-8")
    return root


def test_an_annotator_or_a_scorer_more_is_one_module_and_lines_in_one_place(copy: Path, tmp_path: Path) -> None:
    source = tmp_path / "in" / "web.jsonl"
    source.parent.mkdir()
    texts = [
        "No!! " + "These are quite ordinary words of a document. " * 20,
        "Yes. " + "And here are others of it. " * 20,
    ]
    source.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    environment = os.environ | {"PYTHONPATH": str(copy), "MIXWRIGHT_HOME": str(tmp_path / "home")}
    words = ("--input", str(source), "--output", str(tmp_path / "out"), "--set", "curate.annotate=[exclamations]")
    words += ("--set", "curate.profile=open", "--set", "curate.scorers=[{kind: capitals, name: loud}]")
    select = "[{kind: quantiles, score: loud, low: 0.5}]"
    words += ("--set", f"curate.profiles={{open: {{rules: {{}}, select: {select}}}}}")
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
    (scores,) = (tmp_path / "out" / "scores" / "loud").glob("*.parquet")
    few, many = pq.read_table(scores)["loud"].to_pylist()
    assert few < 0 < many
    (kept,) = (tmp_path / "out" / "kept").glob("*.parquet")
    assert pq.read_table(kept)["loud"].to_pylist() == [many]
    # What the others count is no other code now.
    for roots in (
        ("tasks.curate.statistics.gopher", "tasks.curate.statistics.unit"),
        ("tasks.curate.units",),
        ("tasks.curate.scorers.dsir",),
    ):
        assert code_of(roots, copy).digest == code_of(roots).digest
