"""Confirmation: the top candidates, run again with fresh seeds, and which mixture ships.

A candidate was chosen because it looked best, so its own result is too good (winner's curse). What counts is what it
does with seeds that had no part in choosing it, beside natural and the best measured with the same seeds.
Axes: K mixtures (row 0 is natural), S seeds, O held-out sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import Any, Literal, Self, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt, model_validator

from tasks.core.errors import EvidenceError
from tasks.core.params import Params
from tasks.core.words import percent
from tasks.mixture.decide import NATURAL, Candidate, Pick
from tasks.mixture.noise import dunnett_quantile
from tasks.mixture.problem import Constraint
from tasks.mixture.runs import Run, Runs

Array = npt.NDArray[np.float64]
Role = Literal["natural", "best measured", "candidate"]
Verdict = Literal["ship candidate", "ship best measured", "keep natural"]

BEST_MEASURED: Literal["best measured"] = "best measured"
# With fewer degrees of freedom a 90 % interval is more than six standard errors wide: that is no measurement.
_MIN_FREEDOM = 2
_CLOSE = 1e-9  # two mixtures that differ by less are one


class ConfirmParams(Params):
    """How much is run again before anything ships: natural, the best measured and `num_candidates`, with `num_seeds` each.

    Where no mixture is shown to beat natural, `unproven` ships: natural, or the best measured if it came out better.
    """

    num_candidates: PositiveInt = 2
    num_seeds: int = Field(default=3, ge=2)
    confidence: float = Field(default=0.9, gt=0.5, lt=1, description="of all comparisons with one mixture together")
    unproven: Literal["natural", "best measured"] = BEST_MEASURED

    @model_validator(mode="after")
    def _noise_can_be_told(self) -> Self:
        if self.num_candidates * (self.num_seeds - 1) < _MIN_FREEDOM:
            raise ValueError("num_candidates and num_seeds are too few to tell a difference from noise; raise one")
        return self


def most_runs(params: ConfirmParams, num_noise_seeds: int) -> int:
    """Return how many runs a confirmation takes at most: natural has been run with the noise's seeds already."""
    return (params.num_candidates + 1) * params.num_seeds + max(params.num_seeds - num_noise_seeds, 0)


@dataclass(frozen=True)
class Contender:
    """A mixture to run again; `gain` over natural and its `gain_sd` as predicted, in the objective's unit."""

    name: str
    role: Role
    weights: tuple[float, ...]
    gain: float
    gain_sd: float


@dataclass(frozen=True)
class Gain:
    """How much lower the objective is than another mixture's, with its simultaneous interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Confirmed:
    """A contender and what it measured: its objective with each seed, and its gain over natural and the best measured.

    `z` is measured minus predicted gain over natural, in standard deviations of prediction and noise together. `broken`
    names the constraints that it does not meet.
    """

    contender: Contender
    objectives: tuple[float, ...]
    over_natural: Gain | None
    over_best: Gain | None
    z: float | None
    broken: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """The objective's mean over seeds."""
        return float(np.mean(self.objectives))

    @property
    def beats_natural(self) -> bool:
        """Whether the interval of the gain over natural excludes 0."""
        return self.over_natural is not None and self.over_natural.lower > 0

    @property
    def beats_best(self) -> bool:
        """Whether the interval of the gain over the best measured excludes 0; nothing to beat is beaten."""
        return self.over_best is None or self.over_best.lower > 0

    def to_json(self) -> dict[str, Any]:
        """Return the contender as it stands in `candidates.json`; `predicted` is its gain over natural."""
        return {
            "name": self.contender.name,
            "role": self.contender.role,
            "weights": list(self.contender.weights),
            "objectives": list(self.objectives),
            **_told(self.over_natural, "gain_over_natural", "lower", "upper"),
            **_told(self.over_best, "gain_over_best", "lower_best", "upper_best"),
            "predicted": self.contender.gain,
            "predicted_sd": self.contender.gain_sd,
            "z": self.z,
            "broken": list(self.broken),
        }


@dataclass(frozen=True)
class Confirmation:
    """What ships and why. `claim`: it is shown to beat natural. `noise_sd` is of one run among those with its seed."""

    shipped: Contender
    verdict: Verdict
    claim: bool
    confidence: float
    seeds: tuple[int, ...]
    noise_sd: float
    freedom: int
    rows: tuple[Confirmed, ...]
    statement: str

    def to_json(self) -> dict[str, Any]:
        """Return the confirmation as it stands in `candidates.json`."""
        return {
            "verdict": self.statement,
            "decision": self.verdict,
            "claim": self.claim,
            "shipped": self.shipped.name,
            "confidence": self.confidence,
            "seeds": list(self.seeds),
            "noise_sd": self.noise_sd,
            "degrees_of_freedom": self.freedom,
            "natural": list(self.rows[0].objectives),
            "candidates": [row.to_json() for row in self.rows[1:]],
        }


def contenders(params: ConfirmParams, pick: Pick) -> tuple[Contender, ...]:
    """Return what to run again: natural, the best measured, then the pick and the best scores up to `num_candidates`.

    The best measured is the one with the best score, not with the luckiest result; where natural has a better score than
    every other it is there once.

    Raises:
        EvidenceError: the pick was compared with nothing: a strategy that does not search has nothing to confirm.
    """
    natural = next((each for each in pick.considered if each.name == NATURAL), None)
    if natural is None or len(pick.considered) < 2:
        raise EvidenceError(f"{pick.chosen.name} was compared with nothing, so there is nothing to confirm. Search.")
    ranked = sorted(pick.considered, key=lambda each: -each.score)
    best = next((each for each in ranked if each.measured is not None or each is natural), natural)
    chosen: list[tuple[Candidate, Role]] = [(natural, "natural")]
    if not _same(best.weights, natural.weights):
        chosen.append((best, BEST_MEASURED))
    limit = len(chosen) + params.num_candidates
    for each in [pick.chosen, *ranked]:
        if len(chosen) < limit and not any(_same(each.weights, other.weights) for other, _ in chosen):
            chosen.append((each, "candidate"))
    return tuple(Contender(each.name, role, each.weights, each.gain, each.gain_sd) for each, role in chosen)


def require_enough(params: ConfirmParams, num_contenders: int) -> None:
    """Refuse a confirmation whose noise nobody could tell, before its runs are paid for.

    `num_contenders` counts natural and may be less than `num_candidates` promises: mixtures that coincide are run once.
    Natural alone is not run again, so nothing is refused there.

    Raises:
        EvidenceError: (num_contenders - 1)(num_seeds - 1) degrees of freedom are too few for an interval.
    """
    if num_contenders > 1:
        _freedom(num_contenders, params.num_seeds)


def confirm(
    params: ConfirmParams,
    asked: Sequence[Contender],
    runs: Runs,
    seeds: Sequence[int],
    constraints: Sequence[Constraint] = (),
) -> Confirmation:
    """Return what ships, from the runs of one size of every contender with every one of the same fresh seeds.

    Objective = mixture + seed + noise; the noise is pooled over all contenders, (K - 1)(S - 1) degrees of freedom. Every
    mixture is compared with natural, and every candidate with the best measured, by Dunnett's (1955) simultaneous
    intervals, so that the best of several needs no further allowance; a candidate that has to beat both needs none for
    that either (intersection-union test, Berger 1982). Where nothing differs a claim is made in at most
    (1 - confidence) / 2 of all confirmations. A best measured that breaks a constraint is nothing to be beaten.

    Raises:
        EvidenceError: a run is missing, all runs of a mixture are copies, or there are too few for an interval.
    """
    objective_KS, losses_KSO = _results(asked, runs, seeds)
    noise_sd, freedom = _noise(objective_KS)
    compared = _Compared(params.confidence, objective_KS.mean(axis=1), noise_sd * sqrt(2 / len(seeds)), freedom)
    broken_K = [_broken(losses_SO - losses_KSO[0], constraints, runs.sets) for losses_SO in losses_KSO]
    best = next((at for at, each in enumerate(asked) if each.role == BEST_MEASURED and not broken_K[at]), None)
    rows = [
        Confirmed(
            contender,
            tuple(objective_KS[at].tolist()),
            compared.over_natural(at),
            compared.over_best(at, best),
            compared.z(at, contender),
            broken_K[at],
        )
        for at, contender in enumerate(asked)
    ]
    shipped, verdict = _shipped(params, rows)
    return Confirmation(
        shipped=shipped.contender,
        verdict=verdict,
        claim=shipped.beats_natural,
        confidence=params.confidence,
        seeds=tuple(seeds),
        noise_sd=noise_sd,
        freedom=freedom,
        rows=tuple(rows),
        statement=_statement(
            shipped, rows, f"{percent(params.confidence)} interval", f"{len(seeds)} fresh seeds", runs.unit
        ),
    )


def shipped_pick(pick: Pick, confirmation: Confirmation) -> Pick:
    """Return the pick with what ships in the place of what was picked, and the confirmation's sentence as the reason."""
    wanted = confirmation.shipped.weights
    chosen = next(each for each in pick.considered if _same(each.weights, wanted))
    return replace(pick, chosen=chosen, reason=confirmation.statement)


@dataclass(frozen=True)
class _Compared:
    """Means of all contenders, and the standard error of the difference of two of them."""

    confidence: float
    mean_K: Array
    error: float
    freedom: int

    def over_natural(self, at: int) -> Gain | None:
        return None if at == 0 else self._gain(at, 0, len(self.mean_K) - 1)

    def over_best(self, at: int, best: int | None) -> Gain | None:
        return None if best is None or at in {0, best} else self._gain(at, best, len(self.mean_K) - 2)

    def z(self, at: int, contender: Contender) -> float | None:
        doubt = sqrt(contender.gain_sd**2 + self.error**2)
        return float(self.mean_K[0] - self.mean_K[at] - contender.gain) / doubt if at and doubt else None

    def _gain(self, at: int, reference: int, comparisons: int) -> Gain:
        mean = float(self.mean_K[reference] - self.mean_K[at])
        half_width = dunnett_quantile(comparisons, self.freedom, self.confidence) * self.error
        return Gain(mean, mean - half_width, mean + half_width)


def _results(asked: Sequence[Contender], runs: Runs, seeds: Sequence[int]) -> tuple[Array, Array]:
    """Return the objective [K, S] and the losses [K, S, O] of the contenders, natural first."""
    if not asked or asked[0].role != "natural" or len(asked) < 2:
        raise EvidenceError("nothing was run again beside natural: name at least one contender after it.")
    found = [[_row(contender, runs, seed) for seed in seeds] for contender in asked]
    for contender, rows in zip(asked, found, strict=True):
        if len({row.objective for row in rows}) < len(seeds):
            raise EvidenceError(
                f"{contender.name}: {len(seeds)} seeds gave {len({row.objective for row in rows})} different result(s); "
                "copies of one run are no evidence. Confirm with seeds that differ."
            )
    objective_KS = np.array([[row.objective for row in rows] for rows in found])
    return objective_KS, np.array([[row.losses for row in rows] for rows in found])


def _row(contender: Contender, runs: Runs, seed: int) -> Run:
    rows = [row for row in runs.rows if row.seed == seed and _same(row.weights, contender.weights)]
    if not rows:
        raise EvidenceError(f"{contender.name} was not run with seed {seed}: run every contender with the same seeds.")
    if len({row.fidelity for row in rows}) > 1:
        raise EvidenceError(
            f"{contender.name} was run with seed {seed} at {len({row.fidelity for row in rows})} sizes: compare one size."
        )
    return rows[0]


def _noise(objective_KS: Array) -> tuple[float, int]:
    """Return the standard deviation of what neither mixture nor seed explains, and its degrees of freedom."""
    freedom = _freedom(*objective_KS.shape)
    additive_KS = objective_KS.mean(axis=1, keepdims=True) + objective_KS.mean(axis=0) - objective_KS.mean()
    return sqrt(float(((objective_KS - additive_KS) ** 2).sum()) / freedom), freedom


def _freedom(num_mixtures: int, num_seeds: int) -> int:
    freedom = (num_mixtures - 1) * (num_seeds - 1)
    if freedom < _MIN_FREEDOM:
        raise EvidenceError(
            f"search.confirm: {num_mixtures} mixtures, natural among them, with {num_seeds} seeds each leave {freedom} of "
            f"at least {_MIN_FREEDOM} degrees of freedom, too few to tell a difference from noise. "
            f"Raise search.confirm.num_seeds to {1 + ceil(_MIN_FREEDOM / (num_mixtures - 1))}."
        )
    return freedom


def _broken(increase_SO: Array, constraints: Sequence[Constraint], names: Sequence[str]) -> tuple[str, ...]:
    """Return the held-out sets that lose more against natural than they may, as means over seeds."""
    increase_O = increase_SO.mean(axis=0)
    return tuple(names[each.set] for each in constraints if not increase_O[each.set] <= each.max_increase)


def _shipped(params: ConfirmParams, rows: Sequence[Confirmed]) -> tuple[Confirmed, Verdict]:
    natural, *others = rows
    allowed = sorted((row for row in others if not row.broken), key=lambda row: row.mean)
    for row in allowed:
        if row.contender.role == "candidate" and row.beats_natural and row.beats_best:
            return row, "ship candidate"
    best = next((row for row in allowed if row.contender.role == BEST_MEASURED), None)
    if best is None:
        return natural, "keep natural"
    looks_better = params.unproven == BEST_MEASURED and best.mean < natural.mean
    return (best, "ship best measured") if best.beats_natural or looks_better else (natural, "keep natural")


def _statement(shipped: Confirmed, rows: Sequence[Confirmed], interval: str, seeds: str, unit: str) -> str:
    def told(gain: Gain | None) -> str:
        return "" if gain is None else f"{gain.mean:+.4f} {unit} ({interval} {gain.lower:+.4f} to {gain.upper:+.4f})"

    name, others = shipped.contender.name, [row for row in rows[1:] if row is not shipped and not row.broken]
    rival = min(others, key=lambda row: row.mean, default=None)
    match shipped.contender.role:
        case "candidate":
            over = "" if shipped.over_best is None else f" and the best measured by {told(shipped.over_best)}"
            text = f"Claim: {name} beats natural by {told(shipped.over_natural)}{over}"
        case "best measured" if shipped.beats_natural:
            text = f"Claim: the best measured, {name}, beats natural by {told(shipped.over_natural)}"
            if rival is not None:
                text += f"; no claim that another is better still: {rival.contender.name} {told(rival.over_best)}"
        case "best measured":
            text = f"No claim: the best measured, {name}, ships, but its gain over natural may be chance: "
            text += told(shipped.over_natural)
        case "natural":
            text = "No claim: natural is kept"
            if rival is not None:
                text += f"; the strongest other, {rival.contender.name}, has a gain of {told(rival.over_natural)}"
        case _:
            assert_never(shipped.contender.role)
    left_out = [f"{row.contender.name} ({', '.join(row.broken)})" for row in rows if row.broken]
    limit = f" Left out, as they break a constraint: {', '.join(left_out)}." if left_out else ""
    return f"{text}; {seeds} of {len(rows)} mixtures.{limit}"


def _told(gain: Gain | None, *names: str) -> dict[str, float | None]:
    values = (None, None, None) if gain is None else (gain.mean, gain.lower, gain.upper)
    return dict(zip(names, values, strict=True))


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return bool(np.abs(np.array(one) - np.array(other)).max() < _CLOSE)
