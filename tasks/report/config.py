"""Params of the report stage."""

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.params import Params


class ReportParams(Params):
    """What the page shows; nothing here changes what was measured."""

    title: str = Field(default="Mixture report", min_length=1, max_length=120)
    examples_per_reason: NonNegativeInt = Field(default=2, description="dropped documents shown per reason")
    examples_per_domain: NonNegativeInt = Field(default=3, description="kept documents shown per domain")
    quarantined_shown: NonNegativeInt = Field(default=10, description="quarantined records listed")
    excerpt_characters: PositiveInt = Field(default=280, description="longest excerpt of a document")
