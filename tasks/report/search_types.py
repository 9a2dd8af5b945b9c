"""What the report tells of a search, as frozen data. Objectives and losses: lower is better; gains: higher is better."""

from dataclasses import dataclass

# Kinds of runs that a search compares with each other; the others only judge its pick or its noise.
_COMPARED = ("natural", "uniform", "unimax", "design", "proposal", "imported")


@dataclass(frozen=True)
class Forecast:
    """What was said before training: the gain over natural in bits per byte, and what it speaks of."""

    objective: str
    gain: float
    lower: float
    upper: float
    confidence: float
    predicted_searched: float
    predicted_natural: float
    model_parameters: int
    tokens: int
    noise_sd: float
    status: str
    statement: str


@dataclass(frozen=True)
class Proxy:
    """One proxy run: what it measured, and what the predictor says of it when it has seen all others but not this one.

    `predicted` and its standard deviation are None for a run that no predictor was fitted to (another seed).
    """

    run: str
    round: int
    kind: str
    seed: int
    model_parameters: int
    tokens: int
    objective: float
    weights: tuple[float, ...]
    predicted: float | None
    predicted_sd: float | None

    @property
    def size(self) -> tuple[int, int]:
        """Parameters and tokens: only runs of one size can be compared."""
        return self.model_parameters, self.tokens


@dataclass(frozen=True)
class Predictor:
    """A predictor that was tried, with its errors in cross-validation; coverage is of its 90 % intervals.

    `share` is its part in the chosen one, where that is a stack of several; else None.
    """

    kind: str
    rmse: float
    spearman: float
    coverage: float
    chosen: bool
    share: float | None


@dataclass(frozen=True)
class Supply:
    """Tokens that each domain has: for the run that the recipe is for, and for a proxy (sub-sampled or not)."""

    target: tuple[float, ...]
    proxy: tuple[float, ...]


@dataclass(frozen=True)
class Interactions:
    """How much more of a domain lowers the loss of each held-out set: rows are sets, columns are domains.

    A positive value is a loss that falls. `unit` says of what, per how much weight.
    """

    sets: tuple[str, ...]
    domains: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    unit: str


@dataclass(frozen=True)
class Point:
    """A measured mixture by several objectives; `front`: no other is better in one and as good in all others."""

    run: int
    kind: str
    values: tuple[float, ...]
    front: bool


@dataclass(frozen=True)
class Pareto:
    """All measured mixtures by several objectives, with the one that was chosen and natural."""

    objectives: tuple[str, ...]
    points: tuple[Point, ...]
    chosen: tuple[float, ...]
    natural: tuple[float, ...]


@dataclass(frozen=True)
class Interval:
    """A gain with its interval."""

    gain: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Confirmed:
    """A candidate that was run again with fresh seeds: its paired gains, and how far the prediction was off.

    `over_best` is None for the best measured itself; `predicted` is a gain over natural, `z` its distance from what was
    measured in standard deviations; both are None where nothing was predicted.
    """

    name: str
    over_natural: Interval
    over_best: Interval | None
    predicted: float | None
    z: float | None


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds said of the top candidates, and what follows from it."""

    candidates: tuple[Confirmed, ...]
    verdict: str


@dataclass(frozen=True)
class Transfer:
    """The same mixtures at two sizes, (parameters, tokens) each: objectives by run, and how far their ranks agree.

    `top`: the mixture belongs to the best quarter of the first size, of which more are looked at than of the rest.
    `top_quartile` is the rank correlation among those, None where they are too few.
    """

    sizes: tuple[tuple[int, int], tuple[int, int]]
    runs: tuple[int, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    top: tuple[bool, ...]
    spearman: float
    lower: float
    upper: float
    top_quartile: float | None
    verdict: str


@dataclass(frozen=True)
class Search:
    """The proxies in the order they were run, the predictors that were tried, and why this mixture and no other.

    What a search did not look at is None: one objective has no Pareto front, one size no transfer.
    """

    proxies: tuple[Proxy, ...]
    predictors: tuple[Predictor, ...]
    chosen: str
    reason: str
    supply: Supply | None = None
    interactions: Interactions | None = None
    pareto: Pareto | None = None
    confirmation: Confirmation | None = None
    transfer: Transfer | None = None

    @property
    def natural(self) -> Proxy:
        """The search's own run of the natural mixture; runs taken from an earlier search stand before it."""
        return next((proxy for proxy in reversed(self.proxies) if proxy.kind == "natural"), self.proxies[0])

    @property
    def shown(self) -> tuple[Proxy, ...]:
        """The proxies of the size that the search was made with."""
        return tuple(proxy for proxy in self.proxies if proxy.size == self.natural.size)

    @property
    def compared(self) -> tuple[Proxy, ...]:
        """The proxies among which the best is looked for: of one size and one seed, so that differences are paired."""
        seed = self.natural.seed
        return tuple(proxy for proxy in self.shown if proxy.seed == seed and proxy.kind in _COMPARED)

    @property
    def model_parameters(self) -> int:
        """Parameters of the proxies that are shown."""
        return self.natural.model_parameters

    @property
    def tokens(self) -> int:
        """Tokens that each of the proxies that are shown was trained on."""
        return self.natural.tokens
