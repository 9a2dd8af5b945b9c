"""What a search and the training after it will cost, and how small a gain they could tell from noise. Axis: S seeds."""

from dataclasses import dataclass
from itertools import combinations
from math import ceil, sqrt
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from tasks.mixture.config import SearchParams
from tasks.mixture.runs import Runs
from tasks.training.config import TrainingConfig, TrainParams, num_flops, num_parameters

POWER = 0.8
_MIN_SEEDS = 3  # fewer make no claim: tasks.evaluation.compare
_HOUR = 3600.0


@dataclass(frozen=True)
class Part:
    """Equal runs: how many, how large each, and how many one after another when some run at the same time.

    `flops` and `tokens` are of one run; `tokens_per_s` of one run while the others go on, None when nobody knows.
    """

    name: Literal["search", "training"]
    runs: int
    turns: int
    parameters: int
    tokens: int
    flops: int
    tokens_per_s: float | None

    @property
    def hours(self) -> float | None:
        """How long all turns take."""
        return None if self.tokens_per_s is None else self.turns * self.tokens / self.tokens_per_s / _HOUR

    def to_json(self) -> dict[str, Any]:
        """Return the part with its sums."""
        sums = {"all_tokens": self.runs * self.tokens, "all_flops": self.runs * self.flops, "hours": self.hours}
        return {**vars(self), **sums}


@dataclass(frozen=True)
class Noise:
    """Standard deviation of the paired difference between two mixtures, and how it is known.

    "measured": from mixtures run with the same seeds. "bounded": only one mixture was repeated, so that what pairing
    cancels is unknown; sqrt(2) times its standard deviation is what is left if it cancels nothing.
    """

    sd: float
    known: Literal["measured", "bounded"]


@dataclass(frozen=True)
class Effect:
    """The smallest true gain that a paired t interval over `seeds` excludes zero for, with probability `power`."""

    gain: float
    seeds: int
    confidence: float
    power: float


def parts(
    search: SearchParams,
    train: TrainParams,
    vocab_size: int,
    *,
    workers: int = 1,
    proxy_tokens_per_s: float | None = None,
    tokens_per_s: float | None = None,
) -> tuple[Part, Part]:
    """Return what search and training cost; a round of proxies waits for the one before it."""
    first = search.num_initial + search.num_repeats_natural
    turns = ceil(first / workers) + search.rounds * ceil(search.runs_per_round / workers)
    runs = len(train.mixtures) * train.num_seeds
    return (
        _part("search", search.num_runs, turns, search.proxy, vocab_size, proxy_tokens_per_s),
        _part("training", runs, ceil(runs / workers), train.training, vocab_size, tokens_per_s),
    )


def difference_noise(runs: Runs) -> Noise | None:
    """Return the noise of the objective's paired difference between mixtures; None when nothing was repeated."""
    by_mixture: dict[tuple[float, ...], dict[int, float]] = {}
    for row in runs.rows:
        by_mixture.setdefault(row.weights, {})[row.seed] = row.objective
    squares, freedom = 0.0, 0
    for one, other in combinations(by_mixture.values(), 2):
        shared = sorted(one.keys() & other.keys())
        if len(shared) > 1:
            differences_S = np.array([one[seed] - other[seed] for seed in shared])
            squares += float(((differences_S - differences_S.mean()) ** 2).sum())
            freedom += len(shared) - 1
    if freedom:
        return Noise(sqrt(squares / freedom), "measured")
    noise_sd = runs.noise_sd()
    return None if noise_sd is None else Noise(sqrt(2) * noise_sd, "bounded")


def detectable(noise: Noise, seeds: int, confidence: float, power: float = POWER) -> Effect | None:
    """Return the gain that a two-sided paired t interval finds with this power; None when the seeds are too few.

    The mean of S differences over its standard error is noncentral t with S - 1 degrees of freedom and centre
    gain sqrt(S) / sd; the claim is made when it is above the interval's quantile.

    >>> round(detectable(Noise(1.0, "measured"), 10, 0.95).gain, 3)  # R: power.t.test(n=10, power=.8, type="paired")
    0.996
    """
    if seeds < _MIN_SEEDS:
        return None
    quantile = float(student.ppf(0.5 + confidence / 2, seeds - 1))
    centre = brentq(lambda value: nct.sf(quantile, seeds - 1, value) - power, 0.0, 10 * quantile + 10)
    return Effect(float(centre) * noise.sd / sqrt(seeds), seeds, confidence, power)


def _part(
    name: Literal["search", "training"],
    runs: int,
    turns: int,
    training: TrainingConfig,
    vocab_size: int,
    tokens_per_s: float | None,
) -> Part:
    parameters = num_parameters(training.model, vocab_size)[0]
    return Part(name, runs, turns, parameters, training.num_tokens, num_flops(training, vocab_size), tokens_per_s)
