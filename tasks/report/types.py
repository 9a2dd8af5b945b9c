"""What the report tells, as frozen data: one class per chapter of the page."""

from dataclasses import dataclass

from tasks.report.search_types import Supply

MIXTURES = ("searched", "natural", "uniform", "unimax")
# The row below the domains: the objective of the search, a mean over domains, weighted where the search weighted it.
OVERALL = "all domains"


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
