"""Continual pre-training in stages of domains: what replay and EWC save of what was learnt before, and what the order does.

    python -m benchmarks.studies.continual FOLDER [--seeds 3] [--base 160] [--steps 80]

A model of bytes is trained on encyclopedia articles, then on three domains one after the other, from nearest to
nearest and the other way round; replay is a share of every stage's tokens, of all that was trained on before; with EWC
weights are held near to those behind the articles. Then it goes on with code and a share of articles, and the guard says on
the way how much of these will be lost. The same seed has the same base and the same data in every arm. What is found at this
size says nothing about larger models.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.inputs import lines_of
from benchmarks.studies.study import SEEDS, Option, Study, difference, run
from tasks.core.handles import Handle
from tasks.core.text_table import markdown_table
from tasks.mixture.published import Recipe
from tasks.runtime.files import file_handle
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import TrainingConfig
from tasks.training.data_config import EvaluationConfig
from tasks.training.ewc.anchor import ANCHOR_FILE, anchor_tensors
from tasks.training.ewc.fisher import fisher, samples_of
from tasks.training.ewc.params import EarlierDomain, Ewc
from tasks.training.forgetting import transfers
from tasks.training.guard.verdicts import Limits, Point, Watched, judged
from tasks.training.model import Decoder
from tasks.training.replay import replayed
from tasks.training.result import Evaluation
from tasks.training.run import train
from tasks.training.tensor_file import write_tensors
from tasks.training.types import Phase, RunSpec

_BASE = "wikipedia"
_SOURCES = {_BASE: "wikipedia_core-*", "code": "code_prefect-*", "legal": "legal_dccode-*", "german": "multi_gesetze-*"}
# Nearest to nearest from the articles on, by the cosine of mean TF-IDF vectors (0.42, 0.11, 0.04), and the reverse.
_ORDERS = {"similar": ("legal", "code", "german"), "reversed": ("german", "code", "legal")}
_END, _BYTES, _HELD_OUT, _STEP = 256, 600_000, 8_192, 4 * 128
# Of the articles, for the Fisher information.
_FISHER_TOKENS = 32_768
# Shares of articles beside code, evaluations of such a run, and where its guard is asked.
_SHARES, _EVALUATIONS, _ASKED = (0.05, 0.25, 0.5), 12, (0.25, 0.5, 0.75)
_CONFIDENCE = 0.8


@dataclass(frozen=True)
class Arm:
    """Stages of domains in an order, with a share of replay or a strength of EWC."""

    order: str = "similar"
    replay: float = 0.0
    strength: float = 0.0

    @property
    def name(self) -> str:
        """What it is called."""
        remedies = [f"replay {self.replay:.0%}"] if self.replay else []
        remedies += [f"EWC {self.strength:g}"] if self.strength else []
        return f"{self.order}, {' '.join(remedies) or 'nothing'}"


_PLAIN = Arm()
_ARMS = (
    _PLAIN,
    *(Arm(replay=share) for share in (0.05, 0.25)),
    *(Arm(strength=strength) for strength in (1.0, 10.0, 100.0)),
    Arm("reversed"),
)


def compared(study: Study) -> str:
    """Train every arm with every seed, and return what was forgotten, and what the guard foretold."""
    options, pool = study.options, _pool(study.folder, study.data / "corpus")
    found: dict[Arm, list[list[list[float]]]] = {arm: [] for arm in _ARMS}
    guarded: list[dict[float, tuple[Evaluation, ...]]] = []
    for seed in range(options.seeds):
        phases = (Phase(options.base * _STEP, _one(_BASE)),)
        base = train(RunSpec("base", phases, seed, _training(options.base)), pool).model
        weights = {name: weight.clone() for name, weight in base.weights.items()}
        anchor = _anchor(study.scratch() / ANCHOR_FILE, base, pool)
        for arm in _ARMS:
            rows = _matrix(pool, seed, arm, options, weights, anchor)
            found[arm].append(rows)
            print(f"seed {seed}, {arm.name}: {np.round(rows, 3).tolist()}", flush=True)
        guarded.append({share: _with_code(pool, seed, share, options, weights) for share in _SHARES})
    return told(found, options) + foretold(guarded, options)


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


def _one(domain: str) -> tuple[float, ...]:
    return tuple(float(name == domain) for name in _SOURCES)


def _anchor(path: Path, base: Decoder, pool: TokenPool) -> Handle:
    """Write the weights behind the articles and their Fisher information there."""
    held = {name: weight.clone() for name, weight in base.weights.items()}
    write_tensors(path, anchor_tensors(held, fisher(base, samples_of(_ewc(0.0), _training(1).model, pool))))
    return file_handle(path)


def _ewc(strength: float) -> Ewc:
    return Ewc(strength=strength, tokens=_FISHER_TOKENS, earlier=(EarlierDomain(domain=_BASE, weight=1.0),))


def _matrix(
    pool: TokenPool,
    seed: int,
    arm: Arm,
    options: argparse.Namespace,
    base: Mapping[str, torch.Tensor],
    anchor: Handle,
) -> list[list[float]]:
    """Return bits per byte of every domain before the first stage and behind each."""
    order, share = _ORDERS[arm.order], {"replay": {"share": arm.replay}} if arm.replay else {}
    stages = [{"tokens": options.steps * _STEP, "weights": _one(name), **share} for name in order]
    recipe = Recipe.model_validate({"format": 4, "domains": tuple(_SOURCES), "stages": stages, "max_epochs": 4.0})
    before = {_BASE: float(options.base * _STEP)}
    phases = tuple(Phase(stage.tokens, stage.weights) for stage in replayed(recipe, lambda: before).stages)
    ends = [options.steps * (number + 1) for number in range(len(order))]
    spec = RunSpec("arm", phases, seed, _training(ends[-1], ends))
    if arm.strength:
        training = spec.training.model_copy(update={"ewc": _ewc(arm.strength)})
        spec = replace(spec, training=training, anchor=anchor)
    made = train(spec, pool, initial={name: weight.clone() for name, weight in base.items()})
    assert [step for step, _ in made.evaluations] == [0, *ends]
    assert sum(made.ledger.token_totals) == ends[-1] * _STEP
    return [list(values) for _, values in made.evaluations]


def _with_code(
    pool: TokenPool, seed: int, share: float, options: argparse.Namespace, base: Mapping[str, torch.Tensor]
) -> tuple[Evaluation, ...]:
    """Return the evaluations of a run on code with a share of articles."""
    spec = RunSpec("guarded", (_code(share, options),), seed, _training(*_guarded_steps(options)))
    return train(spec, pool, initial={name: weight.clone() for name, weight in base.items()}).evaluations


def _code(share: float, options: argparse.Namespace) -> Phase:
    weights = tuple(share * own + (1 - share) * new for own, new in zip(_one(_BASE), _one("code"), strict=True))
    return Phase(_guarded_steps(options)[0] * _STEP, weights)


def _guarded_steps(options: argparse.Namespace) -> tuple[int, list[int]]:
    """Return the steps of a run on code, twice as many as a stage has, and those at which it is evaluated."""
    every = max(1, 2 * options.steps // _EVALUATIONS)
    return every * _EVALUATIONS, [every * (number + 1) for number in range(_EVALUATIONS)]


def told(found: Mapping[Arm, list[list[list[float]]]], options: argparse.Namespace) -> str:
    """Return the table of arms, and the paired difference of each from no remedy in the same order."""
    domains = list(_SOURCES)
    lines = [
        f"0.04M parameters on bytes, {options.base} steps of {_STEP} tokens on {_BASE}, then {options.steps} on each of "
        f"three domains; {options.seeds} seeds. EWC N: strength N, the Fisher information of the base on "
        f"{_FISHER_TOKENS:,} tokens of {_BASE}.",
        "",
        "Bits per byte, means over seeds. Forgotten: of the base's domain and those of all stages but the last, the end",
        "less the end of its own stage, their mean; forward: of all stages but the first, what came before less the base.",
        "Differences from `similar, nothing` are paired by seed, with 95 % intervals.",
        "",
    ]
    values = {arm: [_forgotten(_ORDERS[arm.order], domains, rows) for rows in seeds] for arm, seeds in found.items()}

    def rows() -> Iterator[list[str]]:
        for arm, seeds in found.items():
            cells = [arm.name]
            for place in range(2):
                own, plain = ([one[place] for one in values[each]] for each in (arm, _PLAIN))
                cells += [f"{fmean(own):+.3f}", "" if arm == _PLAIN else difference(own, plain)]
            last = fmean(rows[-1][domains.index(_ORDERS[arm.order][-1])] for rows in seeds)
            mean = fmean(fmean(rows[-1]) for rows in seeds)
            yield [*cells, f"{fmean(one[2] for one in values[arm]):+.3f}", f"{last:.3f}", f"{mean:.3f}"]

    head = (
        "arm",
        "forgotten",
        "less nothing",
        f"of {_BASE}",
        "less nothing",
        "forward",
        "last domain",
        "all, at the end",
    )
    lines += markdown_table(head, rows())
    lines += ["", "R[t, j] of the first seed, a row for the base and each stage:"]
    for arm, seeds in found.items():
        lines.append(f"{arm.name}: {', '.join(domains)}")
        lines += ["  " + "".join(f"{value:>8.3f}" for value in row) for row in seeds[0]]
    return "\n".join(lines) + "\n"


def foretold(guarded: Sequence[Mapping[float, tuple[Evaluation, ...]]], options: argparse.Namespace) -> str:
    """Return how far off the guard was: by a run alone, and with runs of the same seed of other shares as earlier ones."""
    steps, place = _guarded_steps(options)[0], list(_SOURCES).index(_BASE)
    lost = [rows[-1][1][place] - rows[0][1][place] for runs in guarded for rows in runs.values()]
    shares = ", ".join(f"{share:.0%}" for share in _SHARES)
    lines = [
        "",
        f"The guard over runs of {steps} steps on code with {shares} of {_BASE}, {_EVALUATIONS} evaluations: the loss",
        f"on {_BASE} at the end, which had risen by {min(lost):.3f} to {max(lost):.3f}, as foretold on the way by the run",
        "alone (tokens), or with the other two shares of the seed as earlier runs (cmr). Bits per byte, intervals of",
        f"{_CONFIDENCE:.0%}; runs of a seed are not independent.",
        "",
        *markdown_table(
            ("law", "at", "mean error", "half an interval", "inside"),
            [_foretold(guarded, options, law, asked) for law in ("tokens", "cmr") for asked in _ASKED],
        ),
    ]
    return "\n".join(lines) + "\n"


def _foretold(
    guarded: Sequence[Mapping[float, tuple[Evaluation, ...]]], options: argparse.Namespace, law: str, asked: float
) -> list[str]:
    """Return what came of the forecasts by a law at a share of the runs."""
    steps, place = _guarded_steps(options)[0], list(_SOURCES).index(_BASE)
    errors, widths, inside = list[float](), list[float](), 0
    for runs in guarded:
        for share, evaluations in runs.items():
            watched = Watched(_one(_BASE), (_code(share, options),), 0, steps, _STEP)
            before, end = evaluations[0][1][place], evaluations[-1][1][place]
            some = [one for one in evaluations if one[0] <= asked * steps]
            earlier = _points(runs, share, place) if law == "cmr" else []
            said = judged(watched, Limits(before, before, 1.0, _CONFIDENCE), some, earlier, some[-2][0])[-1]
            assert said.law == law and said.predicted is not None and said.lower is not None and said.upper is not None
            errors.append(abs(said.predicted - end))
            widths.append((said.upper - said.lower) / 2)
            inside += said.lower <= end <= said.upper
    return [law, f"{asked:.0%}", f"{fmean(errors):.3f}", f"{fmean(widths):.3f}", f"{inside} of {len(errors)}"]


def _points(runs: Mapping[float, tuple[Evaluation, ...]], share: float, place: int) -> list[Point]:
    """Return the points of the runs of a seed with other shares."""
    others = [(1 - other, rows) for other, rows in runs.items() if other != share]
    return [Point(step * _STEP, ratio, bits[place]) for ratio, rows in others for step, bits in rows if step]


def _forgotten(
    order: Sequence[str], domains: Sequence[str], rows: Sequence[Sequence[float]]
) -> tuple[float, float, float]:
    """Return what was forgotten of the base's domain and the stages', of the base's alone, and the forward transfer."""
    backward, forward = transfers(order, domains, rows)
    place = domains.index(_BASE)
    lost = rows[-1][place] - rows[0][place]
    return fmean([*backward.values(), lost]), lost, fmean(forward.values())


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
