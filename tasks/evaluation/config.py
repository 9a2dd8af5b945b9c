"""Params of the evaluate stage."""

from pydantic import Field, PositiveInt

from tasks.core.params import Params


class EvaluateParams(Params):
    """How much of the test split is measured, and how sure a claim has to be."""

    test_tokens_per_domain: PositiveInt | None = Field(default=None, description="null = all of the test split")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the paired interval that a claim needs")
