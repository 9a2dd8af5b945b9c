"""Continual pre-training in stages of domains: what replay saves of what was learnt before, and what the order does.

    python -m benchmarks.studies.continual FOLDER [--seeds 3] [--base 160] [--steps 80]

A model of bytes is trained on encyclopedia articles, then on three domains one after the other, from nearest to
nearest and the other way round; replay is a share of every stage's tokens, of all that was trained on before. The same
seed has the same base and the same data in every arm. What is found at this size says nothing about larger models.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.inputs import lines_of
from benchmarks.studies.study import SEEDS, Option, Study, run
from tasks.comparison.table import interval
from tasks.mixture.published import Recipe
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import TrainingConfig
from tasks.training.data_config import EvaluationConfig
from tasks.training.forgetting import transfers
from tasks.training.replay import replayed
from tasks.training.run import train
from tasks.training.types import Phase, RunSpec

_BASE = "wikipedia"
_SOURCES = {_BASE: "wikipedia_core-*", "code": "code_prefect-*", "legal": "legal_dccode-*", "german": "multi_gesetze-*"}
# Nearest to nearest from the articles on, by the cosine of mean TF-IDF vectors (0.42, 0.11, 0.04), and the reverse.
_ORDERS = {"similar": ("legal", "code", "german"), "reversed": ("german", "code", "legal")}
_REPLAYS = (0.0, 0.05, 0.25)
_END, _BYTES, _HELD_OUT, _CONFIDENCE = 256, 600_000, 8_192, 0.95


def compared(study: Study) -> str:
    """Train every arm with every seed, and return what was forgotten."""
    options, pool = study.options, _pool(study.folder, study.data / "corpus")
    found: dict[tuple[str, float], list[list[list[float]]]] = {}
    for seed in range(options.seeds):
        base = train(_spec("base", seed, (Phase(options.base * _STEP, _one(_BASE)),), options.base), pool).model
        for order, replay in _arms():
            weights = {name: weight.clone() for name, weight in base.weights.items()}
            rows = _matrix(pool, seed, _ORDERS[order], replay, options, weights)
            found.setdefault((order, replay), []).append(rows)
            print(f"seed {seed}, {order}, replay {replay:.0%}: {np.round(rows, 3).tolist()}", flush=True)
    return told(found, options)


_STEP = 4 * 128


def _arms() -> list[tuple[str, float]]:
    return [("similar", replay) for replay in _REPLAYS] + [("reversed", 0.0)]


def _training(steps: int, ends: Sequence[int] = ()) -> TrainingConfig:
    model = {
        "hidden_size": 48, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 128,
        "sequence_length": 128, "initializer_range": 0.1,
    }  # fmt: skip
    evaluations = EvaluationConfig(at_start=True, at_steps=tuple(ends), tokens_per_domain=_HELD_OUT) if ends else None
    optimizer: dict[str, Any] = {"learning_rate": 7e-3, "schedule": {"kind": "wsd", "decay_fraction": 0.0}}
    return TrainingConfig.model_validate(
        {"model": model, "optimizer": optimizer, "num_tokens": steps * _STEP, "sequences_per_step": 4, "micro_batches": 1,
         "precision": "float32", "evaluations": evaluations}
    )  # fmt: skip


def _spec(name: str, seed: int, phases: Sequence[Phase], steps: int, ends: Sequence[int] = ()) -> RunSpec:
    return RunSpec(name, tuple(phases), seed, _training(steps, ends))


def _one(domain: str) -> tuple[float, ...]:
    return tuple(float(name == domain) for name in _SOURCES)


def _matrix(
    pool: TokenPool,
    seed: int,
    order: Sequence[str],
    replay: float,
    options: argparse.Namespace,
    base: Mapping[str, torch.Tensor],
) -> list[list[float]]:
    """Return bits per byte of every domain before the first stage and behind each."""
    share = {"replay": {"share": replay}} if replay else {}
    stages = [{"tokens": options.steps * _STEP, "weights": _one(name), **share} for name in order]
    recipe = Recipe.model_validate({"format": 4, "domains": tuple(_SOURCES), "stages": stages, "max_epochs": 4.0})
    before = {_BASE: float(options.base * _STEP)}
    phases = [Phase(stage.tokens, stage.weights) for stage in replayed(recipe, lambda: before).stages]
    ends = [options.steps * (number + 1) for number in range(len(order))]
    made = train(_spec("arm", seed, phases, ends[-1], ends), pool, initial=base)
    assert [step for step, _ in made.evaluations] == [0, *ends]
    assert sum(made.ledger.token_totals) == ends[-1] * _STEP
    return [list(values) for _, values in made.evaluations]


def told(found: Mapping[tuple[str, float], list[list[list[float]]]], options: argparse.Namespace) -> str:
    """Return the table of arms, and the paired difference of each from no replay in the same order."""
    domains = list(_SOURCES)
    lines = [
        f"0.04M parameters on bytes, {options.base} steps of {_STEP} tokens on {_BASE}, then {options.steps} on each of "
        f"three domains; {options.seeds} seeds.",
        "",
        "Bits per byte, means over seeds. Forgotten: of the base's domain and those of all stages but the last, the end",
        "less the end of its own stage, their mean; forward: of all stages but the first, what came before less the base.",
        "Differences are paired by seed, with 95 % t-intervals.",
        "",
        "order    replay  forgotten  less no replay               forward  mean over all domains at the end",
    ]
    values = {arm: [_forgotten(_ORDERS[arm[0]], domains, rows) for rows in seeds] for arm, seeds in found.items()}
    for (order, replay), seeds in found.items():
        own = values[order, replay]
        plain = [one[0] for one in values["similar", 0.0]]
        change = [one[0] - other for one, other in zip(own, plain, strict=True)]
        low, high = interval(np.array(change), _CONFIDENCE)
        ends = "" if low is None or not any(change) else f" ({low:+.3f} to {high:+.3f})"
        mean = fmean(fmean(rows[-1]) for rows in seeds)
        told_change = f"{fmean(change):+.3f}{ends}" if any(change) else "-"
        lines.append(
            f"{order:<8} {replay:>5.0%}   {fmean(one[0] for one in own):>+8.3f}   {told_change:<28} "
            f"{fmean(one[1] for one in own):>+7.3f}  {mean:.3f}"
        )
    lines += ["", "R[t, j] of the first seed, a row for the base and each stage:"]
    for (order, replay), seeds in found.items():
        lines.append(f"{order}, replay {replay:.0%}: {', '.join(domains)}")
        lines += ["  " + "".join(f"{value:>8.3f}" for value in row) for row in seeds[0]]
    return "\n".join(lines) + "\n"


def _forgotten(order: Sequence[str], domains: Sequence[str], rows: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return what was forgotten of the base's domain and the stages', and the forward transfer."""
    backward, forward = transfers(order, domains, rows)
    place = domains.index(_BASE)
    return fmean([*backward.values(), rows[-1][place] - rows[0][place]]), fmean(forward.values())


def _pool(folder: Path, corpus: Path) -> TokenPool:
    """Return the domains as bytes; every eighth document is held out."""
    tokens: dict[str, dict[str, np.ndarray]] = {}
    for name, pattern in _SOURCES.items():
        texts = [
            json.loads(line)["text"] for file in sorted(corpus.glob(f"{pattern}.jsonl.gz")) for line in lines_of(file)
        ]
        parts = {"train": [text for number, text in enumerate(texts) if number % 8], "search": texts[::8]}
        tokens[name] = {split: _bytes(some) for split, some in parts.items()}
    return write_pool(folder / "pool", tokens, vocab_size=_END + 1, document_end=_END)


def _bytes(texts: Sequence[str]) -> np.ndarray:
    found, size = list[np.ndarray](), 0
    for text in texts:
        found.append(np.append(np.frombuffer(text.encode(), np.uint8).astype(np.int64), _END))
        if (size := size + found[-1].size) >= _BYTES:
            break
    return np.concatenate(found)[:_BYTES]


if __name__ == "__main__":
    steps = Option("steps", 80, "of each of the three stages")
    run("continual", __doc__, compared, SEEDS, Option("base", 160, "steps on articles"), steps)
