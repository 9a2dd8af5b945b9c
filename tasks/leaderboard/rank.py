"""From the scores of all runs to a ranking: gains with simultaneous intervals, multipliers, and what to say of it.

Axes: A entrants, S seeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from tasks.arms.published import ArmRun
from tasks.core.errors import ConfigError
from tasks.core.words import counted, percent, signed
from tasks.evaluation.compare import MIN_SEEDS, paired_interval
from tasks.evaluation.tasks.item import Direction
from tasks.leaderboard.entrants import Entrant
from tasks.leaderboard.judge import simultaneous, token_multiplier
from tasks.leaderboard.kept import overlap
from tasks.leaderboard.published import Confirmation, Kept, Objective, ObjectiveGain, Ranked, SearchedWeights

Array = npt.NDArray[np.float64]
_WORDS: Mapping[Objective, str] = {"target": "the target", "held_out": "what was held out"}


@dataclass(frozen=True)
class Measured:
    """The runs of all arms, the direction of every score, and the scores whose mean is an objective."""

    runs: Sequence[ArmRun]
    directions: Mapping[str, Direction]
    objectives: Mapping[Objective, Sequence[str]]

    def values(self, arm: str, objective: Objective) -> list[float]:
        """Return the objective of an arm by seed, turned so that less is better.

        Raises:
            ConfigError: its scores do not go the same way, so that their mean says nothing.
        """
        scores = self.objectives[objective]
        ways = {self.directions[score] for score in scores}
        if len(ways) > 1:
            raise ConfigError(
                f"{objective}: more is better of some of {', '.join(scores)}, less of others. Take one kind."
            )
        sign = 1 if ways == {"lower"} else -1
        own = sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)
        return [sign * fmean(run.scores[score] for score in scores) for run in own]

    @property
    def alike(self) -> bool:
        """Whether all runs were made on one kind of machine, so that seeds can be told from selections."""
        return len({(run.device, run.instruction_set) for run in self.runs}) == 1


def ranked(
    field: Sequence[Entrant],
    measured: Measured,
    kept: Mapping[str, Kept],
    tokens: Mapping[str, Mapping[str, int]],
    curves: Mapping[str, Mapping[Objective, Mapping[int, float]]],
    confidence: float,
) -> tuple[Ranked, ...]:
    """Return everyone but the twins, the best by its gain in the target first; `tokens` are of each kept document."""
    others = [one for one in field if one.role != "twin"]
    gains = {
        objective: _gains(field, others, measured, objective, curves, confidence) for objective in measured.objectives
    }
    rows = [
        Ranked(
            name=one.name,
            selector=one.selector,
            keep=one.keep,
            role=one.role,
            kept=kept[one.name],
            gains={objective: own[one.name] for objective, own in gains.items()},
            overlap={
                other.name: overlap(tokens[one.name], tokens[other.name])
                for other in field
                if other.twin == one.twin and other.name != one.name
            },
        )
        for one in others
    ]
    return tuple(sorted(rows, key=lambda row: (row.role == "null", -row.gains["target"].gain)))


def _gains(
    field: Sequence[Entrant],
    others: Sequence[Entrant],
    measured: Measured,
    objective: Objective,
    curves: Mapping[str, Mapping[Objective, Mapping[int, float]]],
    confidence: float,
) -> dict[str, ObjectiveGain]:
    values_AS = np.array([measured.values(one.name, objective) for one in field])
    place = {one.name: number for number, one in enumerate(field)}
    pairs = [(place[one.name], place[one.twin]) for one in others]
    # A twin and a null have other documents with every seed.
    found = simultaneous(values_AS, pairs, confidence, [one.role != "selector" for one in field])
    sign = 1 if measured.directions[measured.objectives[objective][0]] == "lower" else -1
    told = {}
    for number, (one, (own, twin)) in enumerate(zip(others, pairs, strict=True)):
        gain, value = float(found.gains_K[number]), float(values_AS[own].mean())
        half, adjusted = (
            None if each_K is None or not measured.alike else float(each_K[number])
            for each_K in (found.halves_K, found.adjusted_K)
        )
        multiplier, words = _multiplier(value, curves.get(one.twin, {}).get(objective), measured, one.twin)
        told[one.name] = ObjectiveGain(
            gain=gain,
            lower=None if half is None else gain - half,
            upper=None if half is None else gain + half,
            value=sign * value,
            adjusted=adjusted,
            claim=half is not None and gain > half,
            multiplier=multiplier,
            multiplier_words=words,
            differences=tuple((values_AS[twin] - values_AS[own]).tolist()),
        )
    return told


def _multiplier(
    value: float, curve: Mapping[int, float] | None, measured: Measured, twin: str
) -> tuple[float | None, str]:
    if curve is None:
        return None, "not asked for"
    tokens = next(run.tokens for run in measured.runs if run.arm == twin)
    return token_multiplier(value, curve, tokens)


def winner(rows: Sequence[Ranked]) -> Ranked | None:
    """Return the selector with the largest gain in the target among those that may claim one."""
    return next((row for row in rows if row.role == "selector" and row.gains["target"].claim), None)


def confirmation(row: Ranked, twin: str, fresh: Measured, confidence: float) -> Confirmation:
    """Return the winner's gain with fresh seeds: one comparison, and its own interval."""
    own, other = (np.array(fresh.values(arm, "target")) for arm in (row.name, twin))
    interval = paired_interval(other - own, confidence)
    seeds = tuple(sorted(run.seed for run in fresh.runs if run.arm == twin))
    return Confirmation(**interval.model_dump(), winner=row.name, seeds=seeds, confirmed=interval.above_zero)


def statements(
    rows: Sequence[Ranked],
    confirmed: Confirmation | None,
    searched: SearchedWeights | None,
    confidence: float,
    seeds: int,
) -> tuple[str, ...]:
    """Return what a reader should know first, in sentences."""
    found = [_headline(rows, confirmed, confidence, seeds)]
    if lucky := [row.name for row in rows if row.role == "null" and any(gain.claim for gain in row.gains.values())]:
        found.append(
            f"Trust none of this: {', '.join(lucky)} selects at random and shows a gain, so something else than selection "
            "differs, or this is the one time in so many."
        )
    else:
        nulls = sum(row.role == "null" for row in rows)
        found.append(f"The {counted(nulls, 'random selector')} beside the twins show no gain, as they must.")
    if searched is not None:
        found += _of_search(rows, searched, confidence)
    found += [_sentence(row, confidence) for row in rows if row.role == "selector"]
    return tuple(found)


def _headline(rows: Sequence[Ranked], confirmed: Confirmation | None, confidence: float, seeds: int) -> str:
    if seeds < MIN_SEEDS:
        return f"No claim: {counted(seeds, 'seed')} are too few to tell a selector from chance; {MIN_SEEDS} are needed."
    if rows[0].gains["target"].ends is None:
        return "No claim: runs were made on different machines, so that seeds cannot be told from selections."
    if confirmed is None:
        return "No claim: no selector is shown to be better than documents drawn at random."
    ends = f"{percent(confidence)} interval {signed(confirmed.lower or 0)} to {signed(confirmed.upper or 0)}"
    again = f"{signed(confirmed.gain)} with {counted(len(confirmed.seeds), 'fresh seed')} ({ends})"
    if confirmed.confirmed:
        return (
            f"Take {confirmed.winner}: it beats documents drawn at random, and did so again: {again}."
            f"{_price(next(row for row in rows if row.name == confirmed.winner))}"
        )
    return f"Not confirmed: {confirmed.winner} won, but its gain did not show again: {again}."


def _price(row: Ranked) -> str:
    """Say that a winner is worse in what was held out, where its interval shows it."""
    gain = row.gains.get("held_out")
    if gain is None or gain.ends is None or gain.ends[1] >= 0:
        return ""
    return f" Its price is {signed(gain.gain)} in what was held out."


def _of_search(rows: Sequence[Ranked], searched: SearchedWeights, confidence: float) -> Iterator[str]:
    """Yield whether searched weights are better than the best other selector of each keep rate."""
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in searched.weights.items())
    yield f"{searched.selector} weighs {weights}, searched with {len(searched.proxies)} proxies."
    for own in (row for row in rows if row.selector == searched.selector):
        others = [row for row in rows if row.role == "selector" and row.keep == own.keep and row is not own]
        if not others or own.gains["target"].ends is None:
            continue
        # Rows come best first.
        mine, theirs = (np.array(row.gains["target"].differences) for row in (own, others[0]))
        gap = paired_interval(mine - theirs, confidence)
        told = (
            f"{signed(gap.gain)} ({signed(gap.lower or 0)} to {signed(gap.upper or 0)}, {percent(confidence)} interval)"
        )
        if gap.above_zero:
            yield f"{own.name} beats the best other selector, {others[0].name}, in the target: {told}."
        else:
            yield f"No evidence that {own.name} is better than the best other selector, {others[0].name}: {told}."


def _sentence(row: Ranked, confidence: float) -> str:
    parts = []
    for objective, gain in row.gains.items():
        told = f"{signed(gain.gain)} in {_WORDS[objective]}"
        if gain.ends is not None:
            told += f" ({signed(gain.ends[0])} to {signed(gain.ends[1])})"
        parts.append(told)
    claims = row.gains["target"].claim
    return (
        f"{'Claim' if claims else 'No claim'}: {row.name} {' and '.join(parts)} over its random twin; simultaneous "
        f"{percent(confidence)} intervals."
    )
