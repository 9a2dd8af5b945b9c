"""What a search and the training after it will cost, purpose by purpose, and how small a gain they could tell from noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from tasks.mixture.budget import confirming
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import most_runs
from tasks.mixture.noise import Effect, Noise, Sizing, confirmable, detectable, difference_noise, seeds_needed, sizings
from tasks.mixture.problem import Problem, SearchedDomain, objective_shares
from tasks.mixture.runs import RunTable
from tasks.mixture.search import counts, noise_round
from tasks.mixture.strategies.default import Default
from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.params import TrainParams

_HOUR = 3600.0
Purpose = Literal[
    "baselines and noise", "first mixtures", "rounds", "confirmation", "second size", "last stage", "training"
]


@dataclass(frozen=True)
class PlannedRuns:
    """Equal runs: how many, how large each, and how many one after another when some run at the same time.

    `flops` and `tokens` are of one run; `tokens_per_s` of one run while the others go on, None when nobody knows.
    """

    name: Purpose
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
        return {**vars(self), **total([self])}


@dataclass(frozen=True)
class Speeds:
    """Tokens per second of one run while the others go on: a proxy, a run of the second size, a full run; None = unknown."""

    proxy: float | None = None
    second: float | None = None
    training: float | None = None


@dataclass(frozen=True)
class Outlook:
    """What the noise lets one find: in the search's confirmation, at the proxies' size, and in the evaluation after it.

    `of_proxies` says whether the noise is of runs of the proxies' own size. `sizings` are what a wanted gain would take at
    each measured size, `confirm_seeds` and `train_seeds` the seeds it would take here; empty and None where none is wanted.
    """

    noise: Noise | None
    of_proxies: bool
    confirmed: Effect | None
    evaluated: Effect | None
    target_gain: float | None = None
    confirm_seeds: int | None = None
    train_seeds: int | None = None
    sizings: tuple[Sizing, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the outlook with its parts as JSON values."""
        effects = {name: None if value is None else vars(value) for name, value in self._effects.items()}
        sized = [{**vars(each), "noise": vars(each.noise), "all_tokens": each.all_tokens} for each in self.sizings]
        return {**vars(self), **effects, "sizings": sized}

    @property
    def _effects(self) -> dict[str, Noise | Effect | None]:
        return {"noise": self.noise, "confirmed": self.confirmed, "evaluated": self.evaluated}


def parts(
    search: SearchParams,
    train: TrainParams,
    vocab_size: int,
    *,
    problem: Problem | None = None,
    workers: int = 1,
    speeds: Speeds | None = None,
) -> tuple[PlannedRuns, ...]:
    """Return what search and training cost, in the order they run; each batch of proxies waits for the one before it.

    Counts are upper bounds: a mixture that was measured before is taken over. Without the pool's `problem` natural, uniform
    and UniMax are taken to be three mixtures, of three domains.

    Raises:
        ConfigError: search.num_runs does not reach for the strategy and the confirmation.
    """
    known, speed = problem or _stand_in(search), speeds or Speeds()
    noise, planned = noise_round(search, known), counts(search, known)
    # The default's first round begins with the baselines, which are measured by then.
    begun = sum(ask.kind != "repeat" for ask in noise) if isinstance(search.strategy, Default) else 0
    judged = confirming(search)
    judging = () if judged is None else (most_runs(judged, search.num_noise_seeds),)
    # A second size asks for the pick at the first one, too.
    batches: dict[Purpose, tuple[int, ...]] = {
        "baselines and noise": (len(noise),),
        "first mixtures": tuple(count - begun for count in planned[:1]),
        "rounds": planned[1:],
        "confirmation": (*judging, *([] if search.transfer is None else [1])),
    }
    found = [_part(name, sizes, workers, search.proxy, vocab_size, speed.proxy) for name, sizes in batches.items()]
    if (second := search.transfer) is not None:
        sizes = (second.num_mixtures * second.num_seeds,)
        found.append(_part("second size", sizes, workers, second.second, vocab_size, speed.second))
    if search.stages is not None:
        # A trunk and its branches, as whole proxies.
        whole = (1 - search.stages.share) + (1 + len(known.domains)) * search.stages.share
        sizes = (ceil(search.stages.num_seeds * whole),)
        found.append(_part("last stage", sizes, workers, search.proxy, vocab_size, speed.proxy))
    runs = (len(train.mixtures) + len(train.branches)) * train.num_seeds
    found.append(_part("training", (runs,), workers, train.training, vocab_size, speed.training))
    return tuple(part for part in found if part.runs)


def total(found: Sequence[PlannedRuns]) -> dict[str, Any]:
    """Return the sums of some parts: runs, tokens, FLOPs, and hours where all of them are known."""
    hours = [part.hours for part in found]
    return {
        "runs": sum(part.runs for part in found),
        "all_tokens": sum(part.runs * part.tokens for part in found),
        "all_flops": sum(part.runs * part.flops for part in found),
        "hours": None if None in hours else sum(hour for hour in hours if hour is not None),
    }


def outlook(
    search: SearchParams,
    train: TrainParams,
    confidence: float,
    vocab_size: int,
    runs: RunTable | None,
    target_gain: float | None = None,
) -> Outlook:
    """Return what the noise in `runs` lets search and evaluation find, and what a `wanted` gain would take.

    `confidence` is the evaluation's. The noise is that of runs of the proxies' size, else of all in the table.
    """
    size = num_parameters(search.proxy.model, vocab_size)[0], search.proxy.num_tokens
    own = None if runs is None else difference_noise(runs.at(*size))
    noise = own if own is not None or runs is None else difference_noise(runs)
    if noise is None or runs is None:
        return Outlook(None, False, None, None, target_gain)
    evaluated, confirmed, confirm_seeds = detectable(noise, train.num_seeds, confidence), None, None
    if (params := search.confirm) is not None:
        mixtures = params.num_candidates + 2
        confirmed = confirmable(noise, mixtures, params.num_seeds, params.confidence)
        if target_gain is not None:
            confirm_seeds = seeds_needed(noise, target_gain, params.confidence, mixtures=mixtures)
    if target_gain is None:
        return Outlook(noise, own is not None, confirmed, evaluated)
    train_seeds, sized = seeds_needed(noise, target_gain, confidence), sizings(runs, target_gain, confidence)
    return Outlook(noise, own is not None, confirmed, evaluated, target_gain, confirm_seeds, train_seeds, sized)


def _part(
    name: Purpose,
    batches: Sequence[int],
    workers: int,
    training: TrainingConfig,
    vocab_size: int,
    tokens_per_s: float | None,
) -> PlannedRuns:
    parameters, turns = num_parameters(training.model, vocab_size)[0], sum(ceil(batch / workers) for batch in batches)
    flops = num_flops(training, vocab_size)
    return PlannedRuns(name, sum(batches), turns, parameters, training.num_tokens, flops, tokens_per_s)


def _stand_in(search: SearchParams) -> Problem:
    """Return a pool as most are: natural, uniform and UniMax differ, as one domain is small and one is large."""
    target, proxy = search.target.samples, search.proxy.num_samples
    shares = (0.2, 1.0, 4.0)
    domains = tuple(
        SearchedDomain(
            name, round(share * search.target.tokens), 0, max(round(share * target), 1), max(round(share * proxy), 1)
        )
        for name, share in zip("abc", shares, strict=True)
    )
    return Problem(domains, objective_shares("abc", None), target, proxy, max(search.max_epochs, 1.0))
