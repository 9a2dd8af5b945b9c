"""The published tables that laws are judged on, and tables of runs as a law takes them."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np

from tasks.laws.curve import Array
from tasks.laws.table import LawTable

SMALL = (10569312, 78914048, 153677376, 411616256)
MIDDLE, LARGE = 1439795200, 6889410560
# The corpora of 2411.12925.
DATA_SETS = ("fineweb-100b", "fineweb-edu-100b", "proof-pile-2", "slimpajama-chunk1", "smollm-corpus", "starcoder")
TEST_SETS = tuple(
    f"eval/downstream_ce_loss/{name}_test_ce_loss"
    for name in (
        "arc_challenge",
        "arc_easy",
        "hellaswag",
        "mmlu_humanities",
        "mmlu_other",
        "mmlu_social_sciences",
        "mmlu_stem",
        "openbook_qa",
        "piqa",
        "sciq",
        "winogrande",
    )
)
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
    def flops(self) -> float:
        """Training compute."""
        return 6.0 * self.params * self.tokens

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


def published_choice(run: Run) -> bool:
    """Whether a run is one of the five that table 2 of 2403.08540 fits the loss law to."""
    return (run.params in SMALL and run.multiplier == 20) or (run.params == SMALL[0] and run.multiplier == 320)


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


@dataclass(frozen=True)
class Pair:
    """Two losses of 2411.12925 over the sweep, of the runs at 1e21 FLOPs, and what the authors fitted.

    `floors` are E0 and E1 of their scaling laws (Kaplan's form, with which their curves are drawn); `authors_law` is what
    their scaling law of the second loss says at 1e21.
    """

    way: str
    runs: Mapping[str, Array]
    large_0: float
    large_1: float
    floors: tuple[float, float]
    authors_law: float

    def authors_curve(self) -> float:
        """Their curve: with the floors given, a line through the logarithms (fit_power_law of their repository)."""
        above_0, above_1 = self.runs["loss_0"] - self.floors[0], self.runs["loss_1"] - self.floors[1]
        kept_R = (above_0 > 0) & (above_1 > 0)
        kappa, log_k = np.polyfit(np.log(above_0[kept_R]), np.log(above_1[kept_R]), 1)
        return float(np.exp(log_k) * max(self.large_0 - self.floors[0], 0.0) ** kappa + self.floors[1])


def sweep(shared_data: Path, data: str, loss: str) -> dict[str, Array]:
    """Return the runs of one corpus with one of their losses."""
    rows = [row for row in _sweep(shared_data) if row["data"] == data and row[loss]]
    columns = {"params": "params", "tokens": "tokens", "loss": loss}
    return {name: np.array([float(row[column]) for row in rows]) for name, column in columns.items()}


def loss_pairs(shared_data: Path) -> list[Pair]:
    """Return train to train and test to test over corpora, and train to test of each, as the paper's figures pair them."""
    with (shared_data / "tables" / "loss_to_loss" / "data" / "opt_params_data.csv").open(encoding="utf-8") as stream:
        fits = {(row["data"], row["loss_name"]): row for row in csv.DictReader(stream) if row["kaplan"] == "True"}
    asked = [("train to train", one, other, "val_loss", "val_loss") for one, other in permutations(DATA_SETS, 2)]
    asked += [
        ("test to test", one, other, name, name)
        for one, other in permutations(DATA_SETS, 2)
        for name in TEST_SETS
        if any(part in name for part in ("hellaswag", "arc_easy", "mmlu_humanities", "mmlu_stem"))
    ]
    asked += [("train to test", data, data, "val_loss", name) for data in DATA_SETS for name in TEST_SETS]
    pairs = []
    for way, one, other, name_0, name_1 in asked:
        first, second = fits[one, name_0], fits[other, name_1]
        large = float(first["extrap_loss"]), float(second["extrap_loss"])
        floors = float(first["E"]), float(second["E"])
        runs = _joined(shared_data, (one, name_0), (other, name_1))
        pairs.append(Pair(way, runs, *large, floors, float(second["extrap_pred"])))
    return pairs


def _joined(shared_data: Path, first: tuple[str, str], second: tuple[str, str]) -> dict[str, Array]:
    """Return both losses of runs that saw as many tokens, which on these corpora are of one size."""
    (one, name_0), (other, name_1) = first, second
    by_tokens = {row["tokens"]: row for row in _sweep(shared_data) if row["data"] == other and row[name_1]}
    rows = [row for row in _sweep(shared_data) if row["data"] == one and row[name_0] and row["tokens"] in by_tokens]
    losses = {"loss_0": [row[name_0] for row in rows], "loss_1": [by_tokens[row["tokens"]][name_1] for row in rows]}
    sizes = {name: [row[name] for row in rows] for name in ("params", "tokens")}
    return {name: np.array(values, float) for name, values in (losses | sizes).items()}


@cache
def _sweep(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "tables" / "loss_to_loss" / "data" / "sweep.csv").open(encoding="utf-8") as stream:
        return sorted(csv.DictReader(stream), key=lambda row: float(row["tokens"]))
