"""How text becomes a run's samples, and when and on how much held-out text the run is evaluated."""

from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pydantic import Field, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.training.transforms.kinds import TransformKind, rearranges


class EvaluationConfig(Params):
    """When a run is evaluated on held-out text (the split `search`) while it is under way, and on how much."""

    every_steps: PositiveInt | None = None
    at_steps: tuple[PositiveInt, ...] = ()
    at_start: bool = Field(default=False, description="before the first step too")
    at_stages: bool = Field(
        default=False, description="before the first step and when a stage of the recipe ends; decided with the recipe"
    )
    tokens_per_domain: PositiveInt = Field(default=16_384, description="at most, evenly spaced over the split")

    def is_due(self, step: int) -> bool:
        """Return whether the run is evaluated when so many steps are made.

        Raises:
            ConfigError: it is to be evaluated at the ends of stages, and nobody has said which steps these are.
        """
        if self.at_stages:
            raise ConfigError("evaluations.at_stages is set, and this run has no stages of a recipe. Name at_steps.")
        if step == 0:
            return self.at_start
        return step in self.at_steps or (self.every_steps is not None and step % self.every_steps == 0)

    def with_stages(self, ends: Sequence[int]) -> Self:
        """Return the evaluations with the steps at which stages end in place of `at_stages`."""
        if not self.at_stages:
            return self
        steps = tuple(sorted({*self.at_steps, *ends}))
        return self.model_copy(update={"at_stages": False, "at_start": True, "at_steps": steps})

    def within(self, num_steps: int) -> "EvaluationConfig | None":
        """Return the evaluations of a run that ends after so many steps; None = there are none."""
        every = None if self.every_steps is None or self.every_steps > num_steps else self.every_steps
        steps = tuple(step for step in self.at_steps if step <= num_steps)
        if every is None and not steps:
            return None
        return self.model_copy(update={"every_steps": every, "at_steps": steps})

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.every_steps is None and not (self.at_steps or self.at_start or self.at_stages):
            yield "evaluations name no step; give every_steps, at_steps, at_start or at_stages, or null for none"


class DataConfig(Params):
    """How the documents of a domain become samples, and in which order these are drawn."""

    document_weights: str | None = Field(
        default=None,
        min_length=1,
        description="column of the token pool: floor(w) copies of a document, and one more for a share frac(w) of them",
    )
    loss_weights: str | None = Field(
        default=None,
        min_length=1,
        description="column of the token pool: what a token of a document counts in the loss; null = 1",
    )
    packing: Literal["best_fit"] | None = Field(
        default=None,
        description="best_fit = no document is split that fits into a row, rows are padded; null = cut from one stream",
    )
    document_mask: bool = Field(default=False, description="a token attends to those of its own document only")
    curriculum: str | None = Field(
        default=None, min_length=1, description="column by whose mean the rows of an epoch are drawn, ascending"
    )
    curriculum_order: Literal["descending"] | None = Field(
        default=None, description="of the curriculum's numbers; null = ascending"
    )
    transform: TransformKind | None = Field(
        default=None, description="what is made of each row before the model sees it; null = nothing"
    )
    seed: int = Field(
        default=0, ge=0, description="which documents get the copy that their weight's fraction stands for"
    )

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.curriculum_order is not None and self.curriculum is None:
            yield "data.curriculum_order says how a curriculum's numbers go, and data.curriculum names none"
        if self.transform is not None and rearranges(self.transform):
            named = {"packing": self.packing, "loss_weights": self.loss_weights, "document_mask": self.document_mask}
            if there := [name for name, value in named.items() if value]:
                yield (
                    f"transform {self.transform.kind} moves the tokens of a row, and {', '.join(there)} would find them at "
                    "other places; leave one of them out"
                )

    @property
    def gaps(self) -> bool:
        """Whether there may be places in a row at which nothing is predicted."""
        return self.packing is not None or self.transform is not None
