"""Tables of runs for laws: made from known parameters, and the published ones."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.laws.curve import Array
from tasks.laws.table import LawTable

# The 17 tasks that the authors of 2403.08540 average (scaling/constants.py of their repository).
TASKS = (
    *("bigbench_operators", "pubmed_qa_labeled", "hellaswag_zeroshot", "boolq", "arc_easy", "coqa", "winograd", "copa"),
    *(
        "bigbench_dyck_languages",
        "lambada_openai",
        "bigbench_novel_concepts",
        "bigbench_cs_algorithms",
        "squad",
        "piqa",
    ),
    *("commonsense_qa", "bigbench_qa_wikidata", "hellaswag"),
)


@dataclass(frozen=True)
class Run:
    """A run of 2403.08540: parameters, tokens, tokens per parameter, losses by set, accuracies by task."""

    pool: str
    params: int
    tokens: int
    multiplier: float
    losses: Mapping[str, float]
    accuracies: Mapping[str, float]

    @property
    def error(self) -> float:
        """Mean error of the 17 tasks."""
        return 1 - sum(self.accuracies[task] for task in TASKS) / len(TASKS)


def table(**columns: Sequence[float] | Sequence[str] | Array) -> LawTable:
    """Return a table of these columns."""
    names, rows = tuple(columns), len(next(iter(columns.values())))
    cells = tuple(tuple(str(columns[name][row]) for name in names) for row in range(rows))
    numbers = {name: np.array(values, float) for name, values in columns.items() if not isinstance(values[0], str)}
    return LawTable("runs.csv", names, cells, tuple(range(2, rows + 2)), numbers)


def over_trained(shared_data: Path) -> list[Run]:
    """Return the 104 runs of 2403.08540."""
    found = []
    folder = shared_data / "tables" / "overtraining_scaling" / "exp_data"
    for path in sorted((folder / "models").glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        tasks = json.loads((folder / "evals" / f"evaluation_{path.stem}_heavy.json").read_text(encoding="utf-8"))
        size = run["hyperparameters"]
        losses = {result["val_data"][0].split("/")[-2]: result["loss"] for result in run["results"]}
        multiplier = 20 * size["chinchilla_multiplier"]
        # As the authors do: tokens are the multiple that was meant, not the last batch.
        tokens = round(size["params"] * multiplier)
        accuracies = tasks["eval_metrics"]["icl"]
        found.append(Run(run["dataset_name"], size["params"], tokens, multiplier, losses, accuracies))
    return found


def chinchilla_points(shared_data: Path) -> dict[str, Array]:
    """Return the 240 points of figure 4 of 2203.15556 that 2404.10102 fits: all but the five of the highest loss."""
    path = shared_data / "tables" / "chinchilla_epoch" / "data" / "svg_extracted_data.csv"
    with path.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["loss"]]
    params, flops, loss = (
        np.array([float(row[name]) for row in rows]) for name in ("Model Size", "Training FLOP", "loss")
    )
    kept = loss < np.sort(loss)[-5]
    return {"params": params[kept], "tokens": (flops / 6 / params)[kept], "loss": loss[kept]}
