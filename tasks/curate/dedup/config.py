"""The params of deduplication: which repetitions are looked for, how, among which documents, and what they weigh."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.core.params import Params
from tasks.curate.dedup.signing.kinds import DEFAULT, NearDuplicates

Scope = Literal["all", "within_source"]
Step = tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(gt=0)]]


class Repeats(Params):
    """Paragraphs or lines that stand in several documents, compared in lower case and with blanks collapsed.

    Those of at least `min_chars` characters that stand in at least `min_documents` documents are cut: from all but the
    one with the smallest id, or, without `keep_first`, from every one (boilerplate). What a document repeats only in
    itself is left to the rules of repetition.
    """

    min_chars: Annotated[int, Field(ge=1)] = 100
    min_documents: Annotated[int, Field(ge=2)] = 2
    keep_first: bool = True


class Rehydration(Params):
    """How much a survivor weighs by the size of its cluster: a step function, given as (smallest size, weight).

    The default is FineWeb-2's (Penedo et al. 2025): 1, 2 and 3 for clusters of 1, 2 and 3 or 4 documents, 5 from 5, 8
    from 100, and 1 again from 1,000 on, where texts are mostly boilerplate. Its authors did not tune it.
    """

    steps: Annotated[tuple[Step, ...], Field(min_length=1)] = (
        *((1, 1.0), (2, 2.0), (3, 3.0), (5, 5.0)),
        *((100, 8.0), (1000, 1.0)),
    )

    @model_validator(mode="after")
    def _sizes_ascend_from_one(self) -> Self:
        sizes = [size for size, _ in self.steps]
        if sizes[0] != 1 or any(one >= other for one, other in pairwise(sizes)):
            raise ValueError(f"the sizes of steps are {sizes}: they must begin with 1 and ascend.")
        return self


class Duplicates(Params):
    """What is looked for among the documents that pass the rules; the best of each cluster survives.

    `documents`: equal texts. `near`: near duplicates. `paragraphs`, then `lines`: what repeats across the survivors.
    `scope`: documents of different sources are duplicates too, or only those of one source.
    `against`: folders of earlier versions; a duplicate of what they kept is dropped, whatever its quality.
    `rehydration`: the weight of a survivor, instead of 1.
    """

    documents: bool = True
    near: NearDuplicates | None = DEFAULT
    paragraphs: Repeats | None = None
    lines: Repeats | None = None
    scope: Scope = "all"
    against: tuple[str, ...] = ()
    rehydration: Rehydration | None = None

    @model_validator(mode="after")
    def _folders_are_needed_once(self) -> Self:
        if len(set(self.against)) != len(self.against):
            raise ValueError("against names a folder twice.")
        if self.against and not (self.documents or self.near):
            raise ValueError(
                "against names folders, but neither documents nor near is on: nothing is compared to them."
            )
        return self
