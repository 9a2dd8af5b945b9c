"""What is searched: domains, what limits their weights, and what counts.

Axes: M mixtures, D domains (in the pool's order), S held-out sets (in a search of a pool: its domains).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.mixture.limits import Limit, admitted, gridded_within, holds, require_room
from tasks.training.sample_counts import weight_caps

Array = npt.NDArray[np.float64]

# Mixtures are proposed on this grid: finer than one sample of a large proxy, and numbers that can be read.
GRID = 10_000
# How finely the number of epochs that UniMax repeats every domain is looked for.
_LEVEL_STEP = 1.01


@dataclass(frozen=True)
class SearchedDomain:
    """What one domain has in the train split; `rows` are whole samples of the target run, `proxy_rows` of a proxy.

    A domain that is not `trainable` is only measured on: no mixture gives it a weight.
    """

    name: str
    tokens: int
    bytes: int
    rows: int
    proxy_rows: int
    trainable: bool = True


@dataclass(frozen=True)
class Constraint:
    """The loss of held-out set number `set` may be at most `max_increase` above what natural gives, in its unit."""

    set: int
    max_increase: float


@dataclass(frozen=True)
class Problem:
    """A search over the weights of `domains`, for a run of `target_samples` judged by `objective_S`.

    `limits` are on what several domains have together; a design is wide and knows none of them.
    `objective` has one share per held-out set, summing to 1: the objective is the sum of share times loss (bits per byte
    in a pool). `sets` names them; empty = the domains. `max_epochs` is how often a domain may be repeated, in the target
    run and in a proxy. `kl_to_natural` is what a nat of divergence from the natural mixture must gain, in the objective's
    unit: few or noisy runs, measured on few held-out documents, promise more from extreme mixtures than those keep.

    Raises:
        ConfigError: no weights can keep to the caps: the pool is too small for the run.
    """

    domains: tuple[SearchedDomain, ...]
    objective: tuple[float, ...]
    target_samples: int
    proxy_samples: int
    max_epochs: float
    kl_to_natural: float = 0.0
    sets: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        trainable = sum(domain.trainable for domain in self.domains)
        if trainable < 2:
            raise ConfigError(f"{trainable} domain(s) to train on leave nothing to search: cluster into at least 2.")
        if len(self.objective) != len(self.set_names):
            raise ConfigError(
                f"the objective has {len(self.objective)} shares for {len(self.set_names)} held-out sets: give one each."
            )
        for run, samples, rows in (self._target, self._proxy):
            room = float(np.floor(self.max_epochs * np.array(rows)).sum())
            if room < samples:
                raise ConfigError(
                    f"no weights keep to the caps: the {run} asks for {samples:,} samples, {trainable} domains "
                    f"with {sum(rows):,} samples give at most {int(room):,} in {self.max_epochs:g} epochs. Train on "
                    "fewer tokens, raise max_epochs, or bring more text."
                )
        require_room(self.limits, self.caps_D)

    @property
    def names(self) -> tuple[str, ...]:
        """The domains' names."""
        return tuple(domain.name for domain in self.domains)

    @property
    def set_names(self) -> tuple[str, ...]:
        """The held-out sets' names."""
        return self.sets or self.names

    @property
    def objective_S(self) -> Array:
        """The objective's shares as an array."""
        return np.array(self.objective)

    def penalty(self, weights_MD: Array) -> Array:
        """Return kl_to_natural x KL(w || natural), shape [M]; 0 at natural."""
        natural_D = self.natural
        # A domain that natural cannot have (nothing to train on) has no weight in any mixture but for rounding.
        some_MD = (weights_MD > 0) & (natural_D > 0)
        ratio_MD = np.where(some_MD, weights_MD, 1.0) / np.where(some_MD, natural_D, 1.0)
        return np.asarray(self.kl_to_natural * (weights_MD * np.log(ratio_MD)).sum(axis=1))

    @property
    def caps_D(self) -> Array:
        """The largest weight a recipe may give each domain: repetition in the target run and in a proxy."""
        return np.minimum(self._caps(self._target), self.proxy_caps_D)

    @property
    def proxy_caps_D(self) -> Array:
        """The largest weight a proxy may give each domain. Designs stay wide: only the recipe keeps to `caps_D`."""
        return self._caps(self._proxy)

    @property
    def natural(self) -> Array:
        """Each domain by its share of tokens; a domain at its cap gives the rest to the others, in proportion."""
        return self._within(filled([domain.tokens * domain.trainable for domain in self.domains], self.caps_D))

    @property
    def uniform(self) -> Array:
        """Equal weights under the caps: what a capped domain leaves goes to the others."""
        return self._within(filled(self._equal, self.caps_D))

    @property
    def unimax(self) -> Array:
        """UniMax (arXiv 2304.09151): as even as can be without repeating any domain more than need be.

        Equal weights, none above one epoch of its domain; where all text together is less than the run, none above as
        many epochs as the run has of all text.
        """
        rows_D = np.array([domain.rows * domain.trainable for domain in self.domains], dtype=np.float64)
        epochs = max(1.0, self.target_samples / float(rows_D.sum()))
        # Caps may leave less than a whole run at that level: then the least level that does.
        while np.minimum(rows_D * epochs / self.target_samples, self.caps_D).sum() < 1 and epochs < self.max_epochs:
            epochs = min(epochs * _LEVEL_STEP, self.max_epochs)
        return self._within(filled(self._equal, np.minimum(rows_D * epochs / self.target_samples, self.caps_D)))

    @property
    def capped(self) -> tuple[str, ...]:
        """Domains that uniform weights would repeat too often."""
        equal = 1 / sum(domain.trainable for domain in self.domains)
        pairs = zip(self.domains, self.caps_D, strict=True)
        return tuple(domain.name for domain, cap in pairs if domain.trainable and cap < equal)

    def allows(self, weights_MD: Array) -> npt.NDArray[np.bool_]:
        """Return for each mixture whether it keeps to the caps of a recipe and to the limits on sets, shape [M]."""
        return np.asarray((weights_MD <= self.caps_D + 1e-12).all(axis=1) & holds(self.limits, weights_MD))

    def admitted(self, weights_MD: Array) -> Array:
        """Return mixtures under the caps of a recipe brought within the limits on sets, shape [M, D]."""
        return admitted(self.limits, self.caps_D, weights_MD)

    def gridded(self, weights_D: Array) -> Array:
        """Return a mixture that a recipe may have, on the grid: the nearest that keeps to caps and limits."""
        if not self.limits:
            return gridded(weights_D, self.caps_D)
        return gridded_within(self.limits, self._within(weights_D), self.caps_D, GRID)

    def recipes(self, weights_MD: Array) -> Array:
        """Return mixtures on the grid and under the caps of a recipe brought within its limits, shape [M, D]."""
        return np.array([self.gridded(row_D) for row_D in weights_MD]) if self.limits else weights_MD

    def _within(self, weights_D: Array) -> Array:
        return np.asarray(self.admitted(weights_D[None])[0])

    @property
    def _equal(self) -> list[float]:
        return [float(domain.trainable) for domain in self.domains]

    @property
    def _target(self) -> tuple[str, int, list[int]]:
        return "target run", self.target_samples, [domain.rows * domain.trainable for domain in self.domains]

    @property
    def _proxy(self) -> tuple[str, int, list[int]]:
        return "proxy", self.proxy_samples, [domain.proxy_rows * domain.trainable for domain in self.domains]

    def _caps(self, run: tuple[str, int, list[int]]) -> Array:
        _, samples, rows = run
        return weight_caps(rows, samples, self.max_epochs)


def objective_shares(names: Sequence[str], weights: Mapping[str, float] | None) -> tuple[float, ...]:
    """Return the share of each held-out set in the objective; None means that all count the same.

    Raises:
        ConfigError: a set that is named does not exist, or nothing counts.
    """
    if weights is None:
        return tuple(1 / len(names) for _ in names)
    if strangers := sorted({*weights} - {*names}):
        raise ConfigError(
            f"search.objective: {len(strangers)} of {len(weights)} held-out sets do not exist; first: {strangers[0]}. "
            f"There are: {', '.join(names)}."
        )
    total = sum(weights.values())
    if not total > 0:
        raise ConfigError("search.objective: the weights sum to 0, so nothing counts. Give a set a weight above 0.")
    return tuple(weights.get(name, 0.0) / total for name in names)


def filled(shares: Sequence[float] | Array, caps_D: Array) -> Array:
    """Return weights in proportion to `shares`, none above its cap: w = min(cap, level x share), sum 1.

    >>> filled([1, 1, 2], np.array([1.0, 0.1, 1.0])).round(3).tolist()
    [0.3, 0.1, 0.6]

    Raises:
        ConfigError: the caps of the domains with a share sum to less than 1.
    """
    shares_D = np.array(shares, dtype=np.float64)
    room = float(caps_D[shares_D > 0].sum())
    if room < 1 - 1e-12:
        raise ConfigError(
            f"weights cannot be met under the caps: {int((shares_D > 0).sum())} domains may have {room:.4f} together, "
            "not 1. Train on fewer tokens, raise max_epochs, or bring more text."
        )
    full_D = np.zeros(len(shares_D), dtype=bool)
    while True:
        free = 1.0 - float(caps_D[full_D].sum())
        open_D = np.where(full_D, 0.0, shares_D)
        weights_D = np.where(full_D, caps_D, open_D * free / max(float(open_D.sum()), 1e-300))
        over_D = ~full_D & (weights_D > caps_D)
        if not over_D.any():
            return weights_D
        full_D |= over_D


def gridded(weights_D: Array, caps_D: Array) -> Array:
    """Return the weights on a grid of 1/10,000 that sums to 1, none above its cap.

    The largest remainders are rounded up. Caps that leave no room on the grid leave the weights as they are.
    """
    most_D = np.floor(caps_D * GRID + 1e-9)
    counts_D = np.minimum(np.floor(weights_D * GRID + 1e-9), most_D)
    missing = int(GRID - counts_D.sum())
    if missing > int((most_D - counts_D).sum()):
        return weights_D
    while missing > 0:
        open_D = np.flatnonzero(counts_D < most_D)
        chosen = open_D[np.argsort(-(weights_D * GRID - counts_D)[open_D], kind="stable")][:missing]
        counts_D[chosen] += 1
        missing -= len(chosen)
    return counts_D / GRID
