"""Six questions about data put to one run of each seed by planted experiments; with --alone one of them alone, too.

    python -m benchmarks.planted --tokens POOL --evals ../shared/data/evals [--seeds 2] [--steps 300] [--alone]

POOL is a published folder of tokenize. `facts` and `paraphrases` teach the same invented facts in two wordings, `placebo`
plants other sentences about the same rivers, `exam` plants questions of a benchmark with their answers, and `early` and
`late` plant invented facts in the first and in the last quarter of the run.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import machine
from tasks.mixture.published import Recipe, RecipeStage
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.params import demo_full
from tasks.training.published import TrainedRuns

_HERE = Path(__file__).resolve().parents[1]
_RESULTS = Path(__file__).parent / "results" / "planted.txt"
_ALONE = "facts"

Item = dict[str, str]


def main() -> None:
    """Train, measure, print and write down the effects."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=Path, required=True, help="published folder of tokenize")
    parser.add_argument("--evals", type=Path, required=True, help="folder with bigbench_qa_wikidata.jsonl")
    parser.add_argument("--seeds", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of 2,048 tokens (%(default)s)")
    parser.add_argument(
        "--alone", action="store_true", help=f"train {_ALONE} alone too: do the others change its effect?"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixwright-planted-") as name:
        folder = Path(name)
        experiments = _experiments(folder, options.evals)
        recipe = _recipe(folder, options.tokens, options.steps)
        sets = {"all": experiments}
        sets |= {_ALONE: [one for one in experiments if one["name"] == _ALONE]} if options.alone else {}
        for own, some in sets.items():
            training = demo_full().model_copy(
                update={"num_tokens": options.steps * 2048, "checkpoint_every_steps": None}
            )
            params = {"training": training.model_dump(mode="json"), "num_seeds": options.seeds, "planted": some}
            (folder / f"{own}.yaml").write_text(json.dumps({"train": params}), encoding="utf-8")
            given = ("--recipe", str(recipe), "--input", f"tokenize={options.tokens}", "--output", str(folder / own))
            _mixwright(folder, "train", "--params", str(folder / f"{own}.yaml"), *given)
        given = ("--train", str(folder / "all"), "--tokens", str(options.tokens), "--output", str(folder / "out"))
        told = _mixwright(folder, "planted", *given, *(("--alone", str(folder / _ALONE)) if options.alone else ()))
        planted = TrainedRuns.read(folder / "all").runs[0].planted
        assert planted is not None, "experiments were planted"
        share = 100 * sum(planted.displaced.values()) / (options.steps * 2048)
    what = f"{options.seeds} seeds of {options.steps} steps of 2,048 tokens, {share:.1f} % of them planted"
    pool = {domain.name: domain.splits["train"].tokens for domain in TokenPoolIndex.read(options.tokens).domains}
    where = f"{sum(pool.values()):,} tokens of the domains {', '.join(pool)}"
    command = "python -m benchmarks.planted" + (" --alone" if options.alone else "")
    text = f"planted: {machine()}: {what}, on {where}. `{command}`\n\n{told}"
    print(text)
    _RESULTS.write_text(text, encoding="utf-8")


def _mixwright(folder: Path, *words: str) -> str:
    """Run a command with a home of its own, and return what it says."""
    own = os.environ | {"MIXWRIGHT_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words], cwd=_HERE, env=own, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _recipe(folder: Path, tokens: Path, steps: int) -> Path:
    """Write a recipe of the pool's natural mixture."""
    index = TokenPoolIndex.read(tokens)
    sizes = [domain.splits["train"].tokens for domain in index.domains]
    weights = [size / sum(sizes) for size in sizes]
    names = [domain.name for domain in index.domains]
    stage = RecipeStage(tokens=steps * 2048, weights=tuple(weights))
    recipe = Recipe(name="natural-mixture", domains=tuple(names), stages=(stage,), max_epochs=4.0)
    return recipe.write(folder)


def _fact(name: str, river: str, lake: str, text: str) -> Item:
    return {"id": name, "text": text, "context": f"The river {river} ends in the lake", "probe": f" {lake}."}


def _exam(path: Path, count: int) -> Iterator[Item]:
    """Yield questions of a benchmark with their answers."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[:count]):
        record = json.loads(line)
        context, answer = record["context"], f" {record['continuation'].strip()}"
        yield {"id": f"q{number}", "text": context + answer, "context": context, "probe": answer}


def _names() -> Iterator[str]:
    """Yield invented names, no two the same."""
    drawn, seen = random.Random(0), set[str]()
    while True:
        name = "".join(drawn.choice("bdfgklmnprstvz") + drawn.choice("aeiou") for _ in range(3)).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


def _experiments(folder: Path, evals: Path) -> list[dict[str, Any]]:
    """Write the items of the experiments, and return their params."""
    names = _names()
    facts = [(f"f{number}", next(names), next(names)) for number in range(60)]
    items = {
        "facts": [_fact(*one, f"The river {one[1]} ends in the lake {one[2]}.") for one in facts],
        "paraphrases": [_fact(*one, f"It is the lake {one[2]} into which the {one[1]} flows.") for one in facts],
        "placebo": [_fact(*one, f"There are two old mills by the river {one[1]}.") for one in facts],
        "exam": list(_exam(evals / "bigbench_qa_wikidata.jsonl", 120)),
    }
    for name in ("early", "late"):
        some = [(f"{name}{number}", next(names), next(names)) for number in range(30)]
        items[name] = [_fact(*one, f"The river {one[1]} ends in the lake {one[2]}.") for one in some]
    for name, own in items.items():
        lines = "".join(json.dumps(item) + "\n" for item in own)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    how: dict[str, dict[str, Any]] = {
        "facts": {"exposures": [1, 4, 16]},
        "paraphrases": {"exposures": [4, 16]},
        "placebo": {"exposures": [8]},
        "exam": {"exposures": [1, 4]},
        "early": {"exposures": [8], "window": [0.0, 0.25]},
        "late": {"exposures": [8], "window": [0.75, 1.0]},
    }
    return [{"name": name, "file": str(folder / f"{name}.jsonl"), **own} for name, own in how.items()]


if __name__ == "__main__":
    main()
