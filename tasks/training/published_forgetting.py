"""What others may read of stages that were trained one after the other: what each did to what was learnt before."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from tasks.core.published import Model, Published


class RunForgetting(Model):
    """The stages of a run: bits per byte of every domain before the first stage and behind each.

    `steps` were made in each of the n + 1 rows, 0 first, and `bits_per_byte` R[t, j] has a column for each of the domains.
    `stages` names the domain that has most of each stage's tokens. Where these are different domains, `backward` is
    R[n, j] - R[j, j] of each but the last (above 0: it was forgotten), and `forward` R[j - 1, j] - R[0, j] of each but the
    first (below 0: what came before helped), by the stage's domain.
    """

    run: str
    mixture: str
    seed: NonNegativeInt
    steps: tuple[NonNegativeInt, ...]
    stages: tuple[str, ...] = Field(min_length=2)
    bits_per_byte: tuple[tuple[float, ...], ...]
    backward: Mapping[str, float]
    forward: Mapping[str, float]

    @property
    def mean_backward(self) -> float | None:
        """The mean over domains: positive where they were forgotten; None where stages are not of different domains."""
        return _mean(self.backward)

    @property
    def mean_forward(self) -> float | None:
        """The mean over domains: negative where earlier stages helped; None where stages are not of different domains."""
        return _mean(self.forward)


class Forgetting(Published):
    """The runs of a train stage that were measured before their first stage and behind each of several."""

    FILE: ClassVar[str] = "forgetting.json"

    format: Literal[1] = 1
    domains: tuple[str, ...] = Field(min_length=1)
    runs: tuple[RunForgetting, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_a_row_more_than_stages(self) -> Self:
        for one in self.runs:
            rows = {len(row) for row in one.bits_per_byte}
            if len(one.steps) != len(one.bits_per_byte) or len(one.steps) != len(one.stages) + 1:
                raise ValueError(f"{one.run}: {len(one.stages)} stages and {len(one.bits_per_byte)} rows")
            if rows != {len(self.domains)}:
                raise ValueError(f"{one.run}: rows of {sorted(rows)} values for {len(self.domains)} domains")
        return self


def _mean(values: Mapping[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None
