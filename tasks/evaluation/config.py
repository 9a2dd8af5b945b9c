"""Params of the evaluate stage."""

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.evaluation.tasks.params import TaskSetParams


class SampleParams(Params):
    """Text that the models continue, to be read beside the figures: the beginning of a held-out document per domain."""

    prompt_tokens: PositiveInt = Field(default=16, description="of the document that the model is shown")
    num_tokens: PositiveInt = Field(default=48, description="that a model adds at most")
    temperature: float = Field(default=0.8, ge=0, description="of the softmax; 0 = always the likeliest token")
    seed: int = Field(default=0, ge=0)


class EvaluateParams(TaskSetParams):
    """How much of the test split is measured, which tasks are put to models, and how sure a claim has to be."""

    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the paired interval that a claim needs")
    samples: SampleParams | None = Field(default_factory=SampleParams, description="null = none")
