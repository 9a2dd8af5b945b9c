"""The guard of the train stage, as an option."""

from collections.abc import Iterator, Mapping

from pydantic import Field, PositiveFloat

from tasks.core.params import Params


class GuardParams(Params):
    """Says on the way of runs that go on from a start or a trunk whether they will forget more than a tolerance.

    It changes no bit of a run. What is watched is the mean bits per byte of the earlier domains, by their weights.
    """

    tolerance: PositiveFloat = Field(
        description="bits per byte that the loss on the earlier domains may rise by; CMR has 0.05 of its loss"
    )
    domains: Mapping[str, PositiveFloat] | None = Field(
        default=None,
        min_length=1,
        description="the earlier domains with weights in any unit; null = as the start, or the trunk, was trained on them",
    )
    reference: PositiveFloat | None = Field(
        default=None,
        description="bits per byte that the tolerance counts from; null = those before the first step",
    )
    earlier: tuple[str, ...] = Field(
        default=(),
        description="folders that train stages with a guard have published: runs of the same start with other ratios",
    )
    confidence: float = Field(default=0.8, gt=0.5, lt=1, description="of the intervals")

    def mistakes(self) -> Iterator[str]:
        """Yield which folder stands twice."""
        if len({*self.earlier}) < len(self.earlier):
            yield f"earlier: a folder stands twice in {', '.join(self.earlier)}, and copies are no evidence"
