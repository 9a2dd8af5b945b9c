"""Few tokens and all the compute one likes: epochs x weight decay, an ensemble, and a model distilled from it.

    python -m benchmarks.studies.infinite_compute FOLDER [--tokens 8192] [--epochs 8 16 32] [--decays 0.1 0.8 3.2]

The recipe of arXiv 2509.14786 at the smallest size: how far down a fixed set of tokens brings a model with the standard
weight decay, with the best, as an ensemble of four by averaged probabilities, and as one model distilled from that. What
each is worth is told in tokens: how many times as many the standard recipe would need, on a law fitted to its own budgets,
and nothing beyond these.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.studies.bytes_of_text import as_teacher, byte_pool, measured, trained, training
from benchmarks.studies.study import Option, Study, run
from tasks.laws.multiplier import COLUMNS, multipliers
from tasks.laws.table import read_law_table
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig

STANDARD, MEMBERS, BUDGETS, WEIGHT = 0.1, 4, (1, 2, 4), 0.9


def compared(study: Study) -> str:
    """Sweep, ensemble, distil; return what came out."""
    folder, tokens = study.scratch(), study.options.tokens
    pool = byte_pool(study.data, folder / "pool", tokens)
    swept = _sweep(pool, tokens, study.options.epochs, study.options.decays)
    best = min(swept, key=lambda cell: swept[cell])
    standard = min((cell for cell in swept if cell[1] == STANDARD), key=lambda cell: swept[cell])
    config = _config(tokens * best[0], best[1])
    # Other seeds: other initial weights and another order.
    members = [trained(config, pool, seed) for seed in range(MEMBERS)]
    singles, ensemble = [measured(one, pool) for one in members], measured(members, pool)
    teachers = [as_teacher(one, folder / f"member-{place}") for place, one in enumerate(members)]
    student = _config(tokens * best[0], best[1], distillation={"weight": WEIGHT})
    distilled = measured(trained(student, pool, MEMBERS, teachers), pool)
    law = [(tokens, swept[standard])]
    for times in BUDGETS[1:]:
        more = byte_pool(study.data, folder / f"pool-{times}", times * tokens)
        twin = _config(times * tokens * standard[0], STANDARD)
        law.append((times * tokens, measured(trained(twin, more, 0), more)))
        print(law[-1], flush=True)
    arms = {
        "standard decay, its best epochs": swept[standard],
        "best decay and epochs": fmean(singles),
        f"ensemble of {MEMBERS}": ensemble,
        "distilled from the ensemble": distilled,
    }
    return _told(tokens, swept, arms, singles, _worth(folder, tokens, arms, law), law)


def _config(tokens: int, decay: float, **changes: Any) -> TrainingConfig:
    return training(tokens, layers=1, weight_decay=decay, **changes)


def _sweep(
    pool: TokenPool, tokens: int, epochs: Sequence[int], decays: Sequence[float]
) -> dict[tuple[int, float], float]:
    """Return bits per byte by epochs and weight decay."""
    found = {}
    for decay in decays:
        for some in epochs:
            model = trained(_config(tokens * some, decay), pool, 0)
            found[some, decay] = measured(model, pool)
            print(some, decay, found[some, decay], flush=True)
    return found


def _worth(folder: Path, tokens: int, arms: dict[str, float], law: Sequence[tuple[int, float]]) -> list[str]:
    """Return how many times the tokens the standard recipe would need, for each arm; in words where it is not known."""
    for name, table in (("arms", [(tokens, value) for value in arms.values()]), ("standard", law)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("tokens", "loss"), *table])
    read = [read_law_table(folder / f"{name}.csv", COLUMNS) for name in ("arms", "standard")]
    found = multipliers(read[0], read[1], "tokens", 0.95)
    return [one.range if one.value is None else f"{one.value:.2f}" for one in found]


def _told(
    tokens: int,
    swept: dict[tuple[int, float], float],
    arms: dict[str, float],
    singles: Sequence[float],
    worth: Sequence[str],
    law: Sequence[tuple[int, float]],
) -> str:
    decays, epochs = (sorted({cell[place] for cell in swept}) for place in (1, 0))
    sweep = "\n".join(
        f"| {decay:g} | " + " | ".join(f"{swept[some, decay]:.4f}" for some in epochs) + " |" for decay in decays
    )
    table = "\n".join(f"| {name} | {arms[name]:.4f} | {times} |" for name, times in zip(arms, worth, strict=True))
    budgets = ", ".join(f"{some:,}: {value:.4f}" for some, value in law)
    return (
        f"{tokens:,} bytes of English, 0.06M parameters, one seed a cell.\n\n"
        f"Bits per byte of held-out text by weight decay and epochs:\n\n| decay | "
        + " | ".join(f"{some} epochs" for some in epochs)
        + f" |\n|{'---|' * (len(epochs) + 1)}\n{sweep}\n\n"
        f"| arm | bits per byte | tokens that the standard recipe needs, times those there are |\n|---|---|---|\n{table}\n\n"
        f"The {len(singles)} members of the ensemble alone: {min(singles):.4f} to {max(singles):.4f}. The standard recipe "
        f"by tokens: {budgets}.\n"
    )


if __name__ == "__main__":
    tokens, epochs = Option("tokens", 8_192, "that there are"), Option("epochs", (8, 16, 32))
    run("infinite_compute", __doc__, compared, tokens, epochs, Option("decays", (STANDARD, 0.8, 3.2)))
