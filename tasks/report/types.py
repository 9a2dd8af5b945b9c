"""What the report tells, as frozen data: one class per chapter of the page."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.core.account import Count
from tasks.report.search_types import Supply

MIXTURES = ("searched", "natural", "uniform", "unimax")
# The row below the domains: the objective of the search, a mean over domains, weighted where the search weighted it.
OVERALL = "all domains"


@dataclass(frozen=True)
class Example:
    """A document shown on the page. Its text is untrusted: the invisible is made visible, HTML is escaped later."""

    id: str
    source: str
    detail: str
    excerpt: str


@dataclass(frozen=True)
class Reason:
    """Why documents were dropped: the filter, its reason, how much went, and some that did."""

    filter: str
    name: str
    count: Count
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Source:
    """The funnel of one source: what curation took, kept, and dropped per filter; `edited` counts as a filter."""

    name: str
    taken: Count
    kept: Count
    dropped: Mapping[str, Count]


@dataclass(frozen=True)
class Refusal:
    """A record that could not be read, and where it stands in its file."""

    file: str
    offset: int
    bytes: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Curation:
    """What came in, what was kept, and why the rest was not; `warnings` are what curation says must be read first.

    `quarantined` records are broken, `passed_over` ones are whole but hold no document (a page without main text).
    `edited`: what operations took out of the documents that were kept.
    """

    warnings: tuple[str, ...]
    records: Count
    quarantined: Mapping[str, Count]
    passed_over: Mapping[str, Count]
    edited: Mapping[str, Count]
    refusals: tuple[Refusal, ...]
    taken: Count
    kept: Count
    sources: tuple[Source, ...]
    reasons: tuple[Reason, ...]

    @property
    def filters(self) -> tuple[str, ...]:
        """What took something, in alphabetical order: filters, and what edited the kept documents."""
        return tuple(sorted({reason.filter for reason in self.reasons} | ({"edited"} if self.edited else set())))


@dataclass(frozen=True)
class Domain:
    """One domain of the map; `tokens` by split, `quality` the mean over its documents (None = it was not scored).

    `label` is what a reader calls it: its name, or words in its own script.
    """

    index: int
    name: str
    label: str
    documents: int
    bytes: int
    quality: float | None
    sources: Mapping[str, int]
    terms: tuple[str, ...]
    examples: tuple[Example, ...]
    tokens: Mapping[str, int]


@dataclass(frozen=True)
class Cluster:
    """One k-means cluster: its domain (-1 = pruned) and the place of its centre on two principal axes."""

    domain: int
    documents: int
    bytes: int
    position: tuple[float, float]


@dataclass(frozen=True)
class DomainMap:
    """All domains and the clusters they are made of, what pruning left out, and the size of the vocabulary."""

    domains: tuple[Domain, ...]
    clusters: tuple[Cluster, ...]
    pruned: Count
    vocabulary: int


@dataclass(frozen=True)
class Phase:
    """A part of the run with one mixture; weights in the order of the domains."""

    tokens: int
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Recipe:
    """The mixture found, the baselines, and the cap on repetition (None = off).

    `uniform_capped` are the domains that are too small for their uniform share under that cap.
    """

    domains: tuple[str, ...]
    phases: tuple[Phase, ...]
    natural: tuple[float, ...]
    uniform: tuple[float, ...]
    unimax: tuple[float, ...]
    max_epochs: float | None
    uniform_capped: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return sum(phase.tokens for phase in self.phases)

    @property
    def searched(self) -> tuple[float, ...]:
        """The mixture over the whole run: the phases' weights, weighted by their tokens."""
        columns = zip(*(phase.weights for phase in self.phases), strict=True)
        shares = [phase.tokens / self.tokens for phase in self.phases]
        return tuple(sum(w * share for w, share in zip(column, shares, strict=True)) for column in columns)

    @property
    def mixtures(self) -> tuple[str, ...]:
        """The searched mixture and the baselines; UniMax where it is another one than uniform."""
        same = max(abs(a - b) for a, b in zip(self.uniform, self.unimax, strict=True)) < 1e-6
        return tuple(name for name in MIXTURES if not (same and name == "unimax"))

    def weights(self, mixture: str) -> tuple[float, ...]:
        """Return the weights of one of `MIXTURES`."""
        baselines = {"natural": self.natural, "uniform": self.uniform, "unimax": self.unimax}
        return self.searched if mixture == "searched" else baselines[mixture]

    def caps(self, supply: Supply) -> tuple[float, ...] | None:
        """Return the largest weight per domain that the cap on repetition leaves; None without a cap."""
        if self.max_epochs is None:
            return None
        return tuple(min(1.0, self.max_epochs * tokens / self.tokens) for tokens in supply.target)


@dataclass(frozen=True)
class Curve:
    """Training loss of one mixture over its seeds, nats per token, smoothed: mean, lowest and highest per step."""

    mixture: str
    seeds: int
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Training:
    """The full runs: their curves, and by mixture how often each domain was gone through, as the ledger has it."""

    curves: tuple[Curve, ...]
    epochs: Mapping[str, tuple[float, ...]]
    model_parameters: int
    flops: int
