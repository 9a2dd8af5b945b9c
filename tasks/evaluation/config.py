"""Params of the evaluate stage."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.curate.decontaminate.params import NgramParams
from tasks.evaluation.planted.params import PlantedParams
from tasks.evaluation.tasks.params import TaskSetParams


class SampleParams(Params):
    """Text that the models continue, to be read beside the figures: the beginning of a held-out document per domain."""

    prompt_tokens: PositiveInt = Field(default=16, description="of the document that the model is shown")
    num_tokens: PositiveInt = Field(default=48, description="that a model adds at most")
    temperature: float = Field(default=0.8, ge=0, description="of the softmax; 0 = always the likeliest token")
    seed: int = Field(default=0, ge=0)


class MemorisationParams(Params):
    """Whether models give away what they were trained on: Min-K% and Min-K%++ of documents seen and not seen.

    Documents are compared in pairs of one domain and length: one of the split train that the run saw whole, by its executed
    plan, and one of the split test. Of longer documents the first tokens count, as many as the model's context has.
    """

    documents_per_domain: PositiveInt = Field(default=200, description="of each group, at most")
    k: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(10, 20, 30), min_length=1, description="percent of a document's tokens; 100 = all, the plain loss"
    )
    min_tokens: PositiveInt = Field(default=32, description="of a document; shorter ones say little")
    seed: int = Field(default=0, ge=0)


class ContaminationParams(NgramParams):
    """Which task items the models were trained on, and what that did to their scores.

    N-grams of an item's question and right answer are looked for in the documents of the split train, as curation looks
    for benchmarks; those count that a run trained on, by its executed plan.
    """

    min_hits: PositiveInt = Field(
        default=1, description="different n-grams of an item that a run trained on, for the item to be contaminated"
    )
    common_documents: PositiveInt | None = Field(
        default=None,
        description="n-grams in more documents of the split train are not looked for: set phrases (10: Brown et al. 2020, "
        "where duplicates were dropped before); null = all are",
    )


class FlatnessParams(Params):
    """How flat a model's loss is around its weights: the trace of its Hessian, and its critical sharpness.

    The loss is that of windows of the test split, of all domains alike, as long as the model's context.
    """

    num_probes: int = Field(
        default=16, ge=2, description="random directions; the standard error of the trace is over them"
    )
    windows: PositiveInt = Field(default=16, description="of held-out text, chosen by hash")
    seed: int = Field(default=0, ge=0, description="of directions and windows")


class SpecificityParams(Params):
    """What a domain's held-out text gains by the model that saw most of the domain: BPB(general) - BPB(domain)."""

    general: str = Field(
        default="natural", min_length=1, description="the mixture whose model counts as the general one"
    )


class EvaluateParams(TaskSetParams):
    """How much of the test split is measured, which tasks are put to models, and how sure a claim has to be."""

    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the paired interval that a claim needs")
    samples: SampleParams | None = Field(default_factory=SampleParams, description="null = none")
    memorisation: MemorisationParams | None = Field(default=None, description="null = not looked at")
    planted: PlantedParams | None = Field(default=None, description="what train.planted shows; null = not looked at")
    contamination: ContaminationParams | None = Field(default=None, description="null = not looked for")
    flatness: FlatnessParams | None = Field(default=None, description="null = not measured")
    specificity: SpecificityParams | None = Field(default=None, description="null = not told")

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with the tasks, or that there are none to look for."""
        yield from super().mistakes()
        if self.contamination is not None and not self.tasks:
            yield "contamination: there are no items to look for. Name their files in tasks, or set it to null"
