"""Exports as the trainers' own readers draw from them: the mixture over 10,000 samples, and from first to last.

The readers live in an environment of their own (`make test-slow` makes `.venv-trainers` from
tests/trainers-requirements.txt); where that is absent these tests say so and are skipped.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from pathlib import Path

import pytest

from tasks.mixture.export import Destination, Format, export
from tasks.mixture.published import BASELINES, Recipe, RecipeStage

pytestmark = pytest.mark.slow

SAMPLES = 10_000
WEIGHTS = {"web": 0.55, "code": 0.33, "rare": 0.12}
# Of the last too little for its share: it is repeated.
SIZES = {"web": 8000, "code": 6000, "rare": 700}
# Standard errors that a count may be off, of a draw without any stratification; 1 in 15,000 beyond it by chance.
FAR = 4.0


@pytest.fixture(scope="module")
def python(project: Path) -> Path:
    path = project / ".venv-trainers" / "bin" / "python"
    if not path.is_file():
        pytest.skip("no .venv-trainers: the readers of other trainers are absent (make test-slow)")
    return path


def drawn(python: Path, *arguments: str | Path) -> list[str]:
    done = subprocess.run(
        [python, "-W", "ignore", *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout.splitlines()[-1]))


def exported(folder: Path, format_: Format, data: str) -> Path:
    weights = tuple(WEIGHTS.values())
    recipe = Recipe(
        domains=tuple(WEIGHTS),
        stages=(RecipeStage(tokens=SAMPLES * 8, weights=weights),),
        max_epochs=4.0,
        baselines=dict.fromkeys(BASELINES, weights),
        objective=weights,
    )
    path = folder / "export.yaml"
    path.write_text(export(recipe, format_, Destination(data=f"{folder}/{data}")), encoding="utf-8")
    return path


def check_shares(found: Sequence[str]) -> None:
    """Both halves have the recipe's mixture, within what drawing by chance gives, and domains are not read in turn."""
    assert abs(len(found) - SAMPLES) <= len(WEIGHTS)
    for part in (found, found[: len(found) // 2], found[len(found) // 2 :]):
        counts = Counter(part)
        for name, weight in WEIGHTS.items():
            assert abs(counts[name] / len(part) - weight) <= FAR * sqrt(weight * (1 - weight) / len(part)), (
                name,
                counts,
            )
    switches = sum(one != other for one, other in pairwise(found))
    by_chance = 1 - sum(weight**2 for weight in WEIGHTS.values())
    assert switches / len(found) > 0.9 * by_chance


@pytest.mark.parametrize("format_", ["streaming", "llm-foundry"])
def test_mosaicml_streaming_draws_the_mixture_from_first_to_last(python: Path, tmp_path: Path, format_: Format) -> None:
    path = exported(tmp_path, format_, "{domain}")
    script = Path(__file__).parents[1] / "trainers" / "read_streaming.py"
    check_shares(drawn(python, script, path, format_, tmp_path, json.dumps(SIZES)))


def test_olmo_core_draws_the_mixture_from_first_to_last(python: Path, tmp_path: Path) -> None:
    path = exported(tmp_path, "olmo-core", "{domain}/tokens.npy")
    script = Path(__file__).parents[1] / "trainers" / "read_olmo_core.py"
    sizes = json.dumps({name: 8 * count for name, count in SIZES.items()})
    check_shares(drawn(python, script, path, tmp_path / "work", sizes, str(SAMPLES * 8)))
