"""A strategy more, in a copy of the tree: one module and lines in one place; nothing else is touched or done again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.code import ROOT, code_of

KINDS = "tasks/mixture/strategies/kinds.py"
LINES = (
    ("from tasks.mixture.strategies import baselines,", "from tasks.mixture.strategies import baselines, halfway,"),
    (
        "from tasks.mixture.strategies.method import Strategy\n",
        "{}from tasks.mixture.strategies.halfway import Halfway\n",
    ),
    ("    Default | Climb | ", "    Default | Halfway | Climb | "),
    ("        case Climb():\n", "        case Halfway():\n            found = halfway.METHOD\n{}"),
)
SEARCH = """
from pathlib import Path
import numpy as np
from tasks.mixture.config import SearchParams
from tasks.mixture.published import Recipe
from tasks.training.params import demo_full
from tests.mixture.simulated import problem_with, search
fast = {"zoo": [{"kind": "ridge_sqrt"}], "num_folds": 2}
params = SearchParams.model_validate(
    {"strategy": {"kind": "halfway"}, "num_runs": 14, "confirm": None, "selection": fast}
)
search(
    params.aimed_at(demo_full()), problem_with((900, 300, 300)),
    lambda weights_D: np.full(3, 2 + 5 * (weights_D[0] - 0.47) ** 2), Path("out"),
)
recipe = Recipe.read(Path("out"))
assert abs(recipe.searched[0] - 0.47) < 0.05, recipe
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name in ("tasks", "infra", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copyfile(ROOT / "tests/toys/strategy/halfway.py", root / "tasks/mixture/strategies/halfway.py")
    text = (root / KINDS).read_text(encoding="utf-8")
    for before, after in LINES:
        assert text.count(before) == 1, before
        text = text.replace(before, after.replace("{}", before))
    (root / KINDS).write_text(text, encoding="utf-8")
    return root


def test_a_strategy_more_is_one_module_and_lines_in_one_place(copy: Path) -> None:
    (copy / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SEARCH],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Neither proxies nor the searches of other strategies are other code now.
    for roots in (("tasks.mixture.proxies.proxy",), ("tasks.mixture.strategies.default", "tasks.mixture.units")):
        assert code_of(roots, copy).digest == code_of(roots).digest
