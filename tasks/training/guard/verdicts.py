"""What a guard makes of a run's evaluations: a law refitted behind each, from what is recorded alone.

At one ratio L(T) = c + a T^t is carried on to the end of the run. Where several ratios are known, by stages of the run or
by earlier runs, it is the law `cmr` (arXiv 2407.17467) of tokens and ratio, whose critical ratio is proposed. The ratio of a
run of several stages is the share of its tokens so far: order is taken not to matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.core.errors import EvidenceError
from tasks.core.words import percent
from tasks.laws.cmr import Cmr, fit_cmr
from tasks.laws.one_ratio import LEAST_POINTS, fit_one_ratio
from tasks.laws.table import LawTable
from tasks.training.guard.published import GuardVerdict, State
from tasks.training.replay import weights_until
from tasks.training.types import Phase

# Ratios that differ by less are one.
_SAME_RATIO = 0.01
# The parameters of the law of tokens and ratio.
_CMR_POINTS = 6
_GRID = 200


@dataclass(frozen=True)
class Point:
    """The loss on the earlier domains behind some tokens, of which a share was of the new ones."""

    tokens: int
    ratio: float
    loss: float


@dataclass(frozen=True)
class Watched:
    """A run that is watched from a step on: the weights of the pool's domains in the loss, 0 = new, and its phases."""

    weights: tuple[float, ...]
    phases: tuple[Phase, ...]
    first_step: int
    num_steps: int
    tokens_per_step: int

    @property
    def tokens(self) -> int:
        """Tokens from the first step to the end."""
        return (self.num_steps - self.first_step) * self.tokens_per_step

    def loss(self, bits: Sequence[float]) -> float:
        """Return the mean bits per byte of the earlier domains."""
        return sum(weight * one for weight, one in zip(self.weights, bits, strict=True) if weight)

    def new_tokens(self, tokens: float) -> float:
        """Return how many of the first tokens are of new domains."""
        found, begun = 0.0, 0
        for phase in self.phases:
            taken = max(min(tokens - begun, phase.num_tokens), 0)
            pairs = zip(self.weights, weights_until(phase, taken), strict=True)
            found += taken * sum(share for weight, share in pairs if not weight)
            begun += phase.num_tokens
        return found

    def ratio(self, tokens: float) -> float:
        """Return the share of new domains in the first tokens."""
        return min(max(self.new_tokens(tokens) / tokens, 0.0), 1.0)


@dataclass(frozen=True)
class Limits:
    """What the loss was before the first step, what it may not pass, and how sure intervals are to be."""

    before: float
    reference: float
    tolerance: float
    confidence: float

    @property
    def limit(self) -> float:
        """The highest loss."""
        return self.reference + self.tolerance


@dataclass(frozen=True)
class _Forecast:
    law: Literal["tokens", "cmr"]
    ends: tuple[float, float, float]
    breaks_at: int | None
    critical: tuple[float, float, float] | None = None


def judged(
    watched: Watched,
    limits: Limits,
    evaluations: Sequence[tuple[int, Sequence[float]]],
    earlier: Sequence[Point] = (),
    after: int = 0,
) -> tuple[GuardVerdict, ...]:
    """Return what is said behind each evaluation past a step, (step, bits per byte of each domain), by those up to it."""
    own, found = list[Point](), list[GuardVerdict]()
    for step, bits in evaluations:
        if step > watched.first_step:
            tokens = (step - watched.first_step) * watched.tokens_per_step
            own.append(Point(tokens, watched.ratio(tokens), watched.loss(bits)))
            if step > after:
                found.append(_verdict(watched, limits, step, own, earlier))
    return tuple(found)


def _verdict(
    watched: Watched, limits: Limits, step: int, own: Sequence[Point], earlier: Sequence[Point]
) -> GuardVerdict:
    now = own[-1]
    forecast = _forecast(watched, limits, own, earlier)
    state = _state(limits, now, forecast, over=step == watched.num_steps)
    known = GuardVerdict(step=step, tokens=now.tokens, ratio=now.ratio, loss=now.loss, state=state)
    if forecast is None:
        return known
    predicted, lower, upper = forecast.ends
    told: dict[str, object] = {"law": forecast.law, "predicted": predicted, "lower": lower, "upper": upper}
    told |= {"breaks_at_tokens": forecast.breaks_at}
    if forecast.critical is not None:
        names = ("critical_ratio", "critical_lower", "critical_upper")
        told |= dict(zip(names, forecast.critical, strict=True))
        told |= {"proposed_ratio": _proposed(watched, now, forecast.critical[0])}
    return known.model_copy(update=told)


def _state(limits: Limits, now: Point, forecast: _Forecast | None, *, over: bool) -> State:
    if limits.before > limits.limit:
        return "broken_before"
    if now.loss > limits.limit:
        return "broken"
    if over:
        return "within"
    if forecast is None:
        return "unknown"
    return "will_break" if not forecast.ends[0] <= limits.limit else "within"


def _proposed(watched: Watched, now: Point, critical: float) -> float:
    """Return the ratio of the tokens left that makes the whole run's the critical one; at its end, that of another run."""
    left = watched.tokens - now.tokens
    return critical if not left else min(max((critical * watched.tokens - now.ratio * now.tokens) / left, 0.0), 1.0)


def _forecast(watched: Watched, limits: Limits, own: Sequence[Point], earlier: Sequence[Point]) -> _Forecast | None:
    """Return what a law says of the end; None where there are too few points for one."""
    points = [*own, *earlier]
    ratios = [point.ratio for point in points]
    different = {(point.tokens, round(point.ratio / _SAME_RATIO)) for point in points}
    try:
        if max(ratios) - min(ratios) > _SAME_RATIO and len(different) >= _CMR_POINTS:
            return _by_ratio(watched, limits, points, own[-1].tokens)
        if len(own) >= LEAST_POINTS:
            return _by_tokens(watched, limits, own)
    except EvidenceError:
        return None
    return None


def _by_tokens(watched: Watched, limits: Limits, own: Sequence[Point]) -> _Forecast:
    law = fit_one_ratio(np.array([float(one.tokens) for one in own]), np.array([one.loss for one in own]))
    end = law.predict({"tokens": np.array([float(watched.tokens)])}, limits.confidence)
    grid_G = _grid(own[-1].tokens, watched.tokens)
    return _Forecast(
        "tokens",
        (float(end.prediction_R[0]), float(end.lower_R[0]), float(end.upper_R[0])),
        _first_over(grid_G, law.values({"tokens": grid_G}), limits.limit),
    )


def _by_ratio(watched: Watched, limits: Limits, points: Sequence[Point], now: int) -> _Forecast:
    before = Point(0, 0.0, limits.reference)
    law = fit_cmr(Cmr(tolerance=limits.tolerance), _table([before, *points]))
    grid_G = _grid(now, watched.tokens)
    asked = [Point(int(tokens), watched.ratio(tokens), 1.0) for tokens in (watched.tokens, *grid_G.tolist())]
    columns = law.answer(_table(asked), limits.confidence).columns
    numbers = {name: [float(text) for text in texts[:1]] for name, texts in columns.items() if name != "beyond_range"}
    values_G = np.array([float(text) for text in columns["prediction"][1:]])
    ends, critical = (
        tuple(numbers[name][0] for name in names)
        for names in (("prediction", "lower", "upper"), ("critical_ratio", "critical_lower", "critical_upper"))
    )
    return _Forecast("cmr", ends, _first_over(grid_G, values_G, limits.limit), critical)  # type: ignore[arg-type]


def _grid(first: int, last: int) -> "np.typing.NDArray[np.float64]":
    return np.linspace(first, last, _GRID) if last > first else np.array([float(last)])


def _first_over(
    tokens_G: "np.typing.NDArray[np.float64]", loss_G: "np.typing.NDArray[np.float64]", limit: float
) -> int | None:
    over_G = np.flatnonzero(~(loss_G <= limit))
    return int(tokens_G[over_G[0]]) if len(over_G) else None


def _table(points: Sequence[Point]) -> LawTable:
    """Return points as the table that the law reads; one model has one size."""
    columns = {
        "params": np.ones(len(points)),
        "tokens": np.array([float(one.tokens) for one in points]),
        "ratio": np.array([one.ratio for one in points]),
        "loss": np.array([one.loss for one in points]),
    }
    cells = tuple(tuple(repr(float(values_R[row])) for values_R in columns.values()) for row in range(len(points)))
    return LawTable("the guard's evaluations", tuple(columns), cells, tuple(range(1, len(points) + 1)), columns)


def words(name: str, watched: Watched, limits: Limits, verdict: GuardVerdict) -> str:
    """Return what is said of a run behind an evaluation, in sentences."""
    head = f"{name}, step {verdict.step} of {watched.num_steps}: "
    allowed = f"{limits.limit:.3f} bits per byte ({limits.reference:.3f} + {limits.tolerance:g})"
    if verdict.state == "broken_before":
        return f"{head}the loss on the earlier domains was {limits.before:.3f} before the first step, above {allowed}."
    told = f"{head}the loss on the earlier domains is {verdict.loss:.3f}"
    if verdict.predicted is None:
        return f"{told}, {'above' if verdict.state == 'broken' else 'within'} {allowed}; too few evaluations for a forecast."
    ends = f"{percent(limits.confidence)} interval {verdict.lower:.3f} to {verdict.upper:.3f}"
    side = {"within": "within", "will_break": "above", "broken": "and it is above"}.get(verdict.state, "against")
    if verdict.step < watched.num_steps:
        told += f", at the end {verdict.predicted:.3f} ({ends})"
    told += f", {side} {allowed}"
    if verdict.state == "will_break" and verdict.breaks_at_tokens is not None:
        told += f"; it is passed behind {verdict.breaks_at_tokens:,} tokens"
    return f"{told}. {_proposal(watched, verdict)}"


def _proposal(watched: Watched, verdict: GuardVerdict) -> str:
    if verdict.proposed_ratio is None or verdict.critical_ratio is None:
        return (
            f"Evaluations of one ratio ({verdict.ratio:.2f} of new domains) propose no other: name runs of other ratios in "
            "guard.earlier."
        )
    left = watched.tokens - verdict.tokens
    whole = f"{verdict.critical_ratio:.2f} ({verdict.critical_lower:.2f} to {verdict.critical_upper:.2f})"
    if not left:
        return f"The ratio that keeps it is at most {whole}; this run's was {verdict.ratio:.2f}."
    return (
        f"Propose at most {verdict.proposed_ratio:.2f} of new domains in the {left:,} tokens left: over the whole run "
        f"{whole} keeps it."
    )
