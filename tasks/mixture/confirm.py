"""Confirmation: the top candidates, run again with fresh seeds, and which mixture ships.

A candidate was chosen because it looked best, so its own result is too good (winner's curse). What counts is what it
does with seeds that had no part in choosing it, beside natural and the best measured with the same seeds.
Axes: K mixtures (row 0 is natural), S seeds, O held-out sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import Literal, Self, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt, model_validator

from tasks.core.errors import EvidenceError
from tasks.core.params import Params
from tasks.core.words import percent
from tasks.mixture.decide import Pick
from tasks.mixture.noise import dunnett_quantile
from tasks.mixture.problem import Constraint
from tasks.mixture.published_mixtures import (
    Candidate,
    Confirmation,
    ConfirmationVerdict,
    ConfirmedContender,
    Contender,
    GainInterval,
    Role,
)
from tasks.mixture.runs import IN_WORDS, ProxyRun, RunTable

Array = npt.NDArray[np.float64]

BEST_MEASURED: Literal["best measured"] = "best measured"
# With fewer degrees of freedom a 90 % interval is more than six standard errors wide: that is no measurement.
_MIN_DEGREES_OF_FREEDOM = 2
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
    def _has_degrees_of_freedom(self) -> Self:
        if self.num_candidates * (self.num_seeds - 1) < _MIN_DEGREES_OF_FREEDOM:
            raise ValueError("num_candidates and num_seeds are too few to tell a difference from noise; raise one")
        return self


def most_runs(params: ConfirmParams, num_noise_seeds: int) -> int:
    """Return how many runs a confirmation takes at most: natural has been run with the noise's seeds already."""
    return (params.num_candidates + 1) * params.num_seeds + max(params.num_seeds - num_noise_seeds, 0)


def contenders(params: ConfirmParams, pick: Pick) -> tuple[Contender, ...]:
    """Return what to run again: natural, the best measured, then the pick and the best scores up to `num_candidates`.

    The best measured is the one with the best score, not with the luckiest result; where natural has a better score than
    every other it is there once.

    Raises:
        EvidenceError: the pick was compared with nothing: a strategy that does not search has nothing to confirm.
    """
    natural = next((each for each in pick.considered if each.source == "natural"), None)
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
    return tuple(_contender(each, role) for each, role in chosen)


def _contender(candidate: Candidate, role: Role) -> Contender:
    return Contender(
        source=candidate.source,
        run=candidate.run,
        role=role,
        weights=candidate.weights,
        gain=candidate.gain,
        gain_sd=candidate.gain_sd,
    )


def require_enough(params: ConfirmParams, num_contenders: int) -> None:
    """Refuse a confirmation whose noise could not be estimated, before its runs are paid for.

    `num_contenders` counts natural and may be less than `num_candidates` promises: mixtures that coincide are run once.
    Natural alone is not run again, so nothing is refused there.

    Raises:
        EvidenceError: (num_contenders - 1)(num_seeds - 1) degrees of freedom are too few for an interval.
    """
    if num_contenders > 1:
        _degrees_of_freedom(num_contenders, params.num_seeds)


def confirm(
    params: ConfirmParams,
    contenders: Sequence[Contender],
    runs: RunTable,
    seeds: Sequence[int],
    constraints: Sequence[Constraint] = (),
) -> Confirmation:
    """Return what ships, from the runs of one size of every contender with every one of the same fresh seeds.

    Objective = mixture + seed + noise; the noise is pooled over all contenders, (K - 1)(S - 1) degrees of freedom. Every
    mixture is compared with natural, and every candidate with the best measured, by Dunnett's (1955) simultaneous
    intervals, so that the best of several needs no further allowance; a candidate that has to beat both needs none for
    that either (intersection-union test, Berger 1982). Where nothing differs a claim is made in at most
    (1 - confidence) / 2 of all confirmations. A best measured that breaks a constraint is nothing to be beaten.

    Runs with one seed on different instruction sets are not paired: the seed's shift need not be the same there. Then the
    seed is part of the noise, which has K (S - 1) degrees of freedom, and the statement says so.

    Raises:
        EvidenceError: a run is missing, all runs of a mixture are copies, or there are too few for an interval.
    """
    rows_KS = _rows(contenders, runs, seeds)
    objective_KS = np.array([[row.objective for row in rows] for rows in rows_KS])
    losses_KSO = np.array([[row.losses for row in rows] for rows in rows_KS])
    mixed = _instruction_sets_of_unpaired(rows_KS)
    noise_sd, degrees_of_freedom = _unpaired_noise(objective_KS) if mixed else _paired_noise(objective_KS)
    standard_error = noise_sd * sqrt(2 / len(seeds))
    means = _Means(params.confidence, objective_KS.mean(axis=1), standard_error, degrees_of_freedom)
    broken_K = [_broken(losses_SO - losses_KSO[0], constraints, runs.sets) for losses_SO in losses_KSO]
    best = next((at for at, each in enumerate(contenders) if each.role == BEST_MEASURED and not broken_K[at]), None)
    rows = tuple(
        ConfirmedContender(
            contender=contender,
            objectives=tuple(objective_KS[at].tolist()),
            over_natural=means.over_natural(at),
            over_best=means.over_best(at, best),
            z=means.z(at, contender),
            broken_constraints=broken_K[at],
        )
        for at, contender in enumerate(contenders)
    )
    shipped, verdict = _shipped(params, rows)
    interval = f"{percent(params.confidence)} interval"
    return Confirmation(
        shipped=shipped.contender,
        verdict=verdict,
        claim=shipped.beats_natural,
        confidence=params.confidence,
        seeds=tuple(seeds),
        paired=not mixed,
        noise_sd=noise_sd,
        degrees_of_freedom=degrees_of_freedom,
        rows=rows,
        statement=_statement(shipped, rows, interval, f"{len(seeds)} fresh seeds", IN_WORDS[runs.unit])
        + _said_of_pairs(mixed),
    )


def shipped_pick(pick: Pick, confirmation: Confirmation) -> Pick:
    """Return the pick with what ships in the place of what was picked, and the confirmation's sentence as the reason."""
    weights = confirmation.shipped.weights
    chosen = next(each for each in pick.considered if _same(each.weights, weights))
    return replace(pick, chosen=chosen, reason=confirmation.statement)


@dataclass(frozen=True)
class _Means:
    """Means of all contenders, and the standard error of the difference of two of them."""

    confidence: float
    mean_K: Array
    standard_error: float
    degrees_of_freedom: int

    def over_natural(self, at: int) -> GainInterval | None:
        return None if at == 0 else self._gain(at, 0, len(self.mean_K) - 1)

    def over_best(self, at: int, best: int | None) -> GainInterval | None:
        return None if best is None or at in {0, best} else self._gain(at, best, len(self.mean_K) - 2)

    def z(self, at: int, contender: Contender) -> float | None:
        sd = sqrt(contender.gain_sd**2 + self.standard_error**2)
        return float(self.mean_K[0] - self.mean_K[at] - contender.gain) / sd if at and sd else None

    def _gain(self, at: int, reference: int, comparisons: int) -> GainInterval:
        mean = float(self.mean_K[reference] - self.mean_K[at])
        half_width = dunnett_quantile(comparisons, self.degrees_of_freedom, self.confidence) * self.standard_error
        return GainInterval(mean=mean, lower=mean - half_width, upper=mean + half_width)


def _rows(contenders: Sequence[Contender], runs: RunTable, seeds: Sequence[int]) -> list[list[ProxyRun]]:
    """Return the run of every contender with every seed, natural first."""
    if not contenders or contenders[0].role != "natural" or len(contenders) < 2:
        raise EvidenceError("nothing was run again beside natural: name at least one contender after it.")
    rows_KS = [[_row(contender, runs, seed) for seed in seeds] for contender in contenders]
    for contender, rows in zip(contenders, rows_KS, strict=True):
        if len({row.objective for row in rows}) < len(seeds):
            raise EvidenceError(
                f"{contender.name}: {len(seeds)} seeds gave {len({row.objective for row in rows})} different result(s); "
                "copies of one run are no evidence. Confirm with seeds that differ."
            )
    return rows_KS


def _row(contender: Contender, runs: RunTable, seed: int) -> ProxyRun:
    rows = [row for row in runs.rows if row.seed == seed and _same(row.weights, contender.weights)]
    if not rows:
        raise EvidenceError(f"{contender.name} was not run with seed {seed}: run every contender with the same seeds.")
    if len({row.fidelity for row in rows}) > 1:
        raise EvidenceError(
            f"{contender.name} was run with seed {seed} at {len({row.fidelity for row in rows})} sizes: compare one size."
        )
    return rows[0]


def _instruction_sets_of_unpaired(rows_KS: Sequence[Sequence[ProxyRun]]) -> tuple[str, ...]:
    """Return the instruction sets of a seed whose runs were made with several; none where every seed has one."""
    for rows_K in zip(*rows_KS, strict=True):
        if len(found := {row.instruction_set or "unknown" for row in rows_K}) > 1:
            return tuple(sorted(found))
    return ()


def _paired_noise(objective_KS: Array) -> tuple[float, int]:
    """Return the standard deviation of what neither mixture nor seed explains, and its degrees of freedom."""
    degrees_of_freedom = _degrees_of_freedom(*objective_KS.shape)
    additive_KS = objective_KS.mean(axis=1, keepdims=True) + objective_KS.mean(axis=0) - objective_KS.mean()
    return sqrt(float(((objective_KS - additive_KS) ** 2).sum()) / degrees_of_freedom), degrees_of_freedom


def _unpaired_noise(objective_KS: Array) -> tuple[float, int]:
    """Return the standard deviation of what the mixture does not explain, and its degrees of freedom."""
    degrees_of_freedom = objective_KS.shape[0] * (objective_KS.shape[1] - 1)
    residual_KS = objective_KS - objective_KS.mean(axis=1, keepdims=True)
    return sqrt(float((residual_KS**2).sum()) / degrees_of_freedom), degrees_of_freedom


def _degrees_of_freedom(num_mixtures: int, num_seeds: int) -> int:
    found = (num_mixtures - 1) * (num_seeds - 1)
    if found < _MIN_DEGREES_OF_FREEDOM:
        raise EvidenceError(
            f"search.confirm: {num_mixtures} mixtures, natural among them, with {num_seeds} seeds each leave {found} of "
            f"at least {_MIN_DEGREES_OF_FREEDOM} degrees of freedom, too few to tell a difference from noise. "
            f"Raise search.confirm.num_seeds to {1 + ceil(_MIN_DEGREES_OF_FREEDOM / (num_mixtures - 1))}."
        )
    return found


def _broken(increase_SO: Array, constraints: Sequence[Constraint], names: Sequence[str]) -> tuple[str, ...]:
    """Return the held-out sets that lose more against natural than they may, as means over seeds."""
    increase_O = increase_SO.mean(axis=0)
    return tuple(names[each.set] for each in constraints if not increase_O[each.set] <= each.max_increase)


def _shipped(
    params: ConfirmParams, rows: Sequence[ConfirmedContender]
) -> tuple[ConfirmedContender, ConfirmationVerdict]:
    natural, *others = rows
    allowed = sorted((row for row in others if not row.broken_constraints), key=lambda row: row.mean)
    for row in allowed:
        if row.contender.role == "candidate" and row.beats_natural and row.beats_best:
            return row, "ship candidate"
    best = next((row for row in allowed if row.contender.role == BEST_MEASURED), None)
    if best is None:
        return natural, "keep natural"
    looks_better = params.unproven == BEST_MEASURED and best.mean < natural.mean
    return (best, "ship best measured") if best.beats_natural or looks_better else (natural, "keep natural")


def _statement(
    shipped: ConfirmedContender, rows: Sequence[ConfirmedContender], interval: str, seeds: str, unit: str
) -> str:
    def said(gain: GainInterval | None) -> str:
        return "" if gain is None else f"{gain.mean:+.4f} {unit} ({interval} {gain.lower:+.4f} to {gain.upper:+.4f})"

    others = [row for row in rows[1:] if row is not shipped and not row.broken_constraints]
    name, rival = shipped.contender.name, min(others, key=lambda row: row.mean, default=None)
    match shipped.contender.role:
        case "candidate":
            over = "" if shipped.over_best is None else f" and the best measured by {said(shipped.over_best)}"
            text = f"Claim: {name} beats natural by {said(shipped.over_natural)}{over}"
        case "best measured" if shipped.beats_natural:
            text = f"Claim: the best measured, {name}, beats natural by {said(shipped.over_natural)}"
            if rival is not None:
                text += f"; no claim that another is better still: {rival.contender.name} {said(rival.over_best)}"
        case "best measured":
            text = f"No claim: the best measured, {name}, ships, but its gain over natural may be chance: "
            text += said(shipped.over_natural)
        case "natural":
            text = "No claim: natural is kept"
            if rival is not None:
                text += f"; the strongest other, {rival.contender.name}, has a gain of {said(rival.over_natural)}"
        case _:
            assert_never(shipped.contender.role)
    broken = [f"{row.contender.name} ({', '.join(row.broken_constraints)})" for row in rows if row.broken_constraints]
    limit = f" Left out, as they break a constraint: {', '.join(broken)}." if broken else ""
    return f"{text}; {seeds} of {len(rows)} mixtures.{limit}"


def _said_of_pairs(instruction_sets: Sequence[str]) -> str:
    if not instruction_sets:
        return ""
    return (
        f" Unpaired, as runs with one seed were made with different instruction sets ({', '.join(instruction_sets)}); "
        "confirm on machines of one kind for a sharper test."
    )


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return bool(np.abs(np.array(one) - np.array(other)).max() < _CLOSE)
