"""What models saw of what they are measured on: memorised documents."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published


class Auroc(Model):
    """How well a score tells documents that were trained on from others: the probability that it ranks one higher.

    It is known better than 0.5 where `lower` is above it.
    """

    value: float = Field(ge=0, le=1)
    lower: float = Field(ge=0, le=1)
    upper: float = Field(ge=0, le=1)
    pairs: PositiveInt


class Memorised(Model):
    """Documents of one domain: pairs of one that was trained on and one that was not, of about one length.

    `exposure` is how often a member was trained on, `member_tokens` and `other_tokens` how many tokens were scored, means
    over documents; None where there are no pairs. `auroc` by score (`min_k_20`, `min_k_plus_plus_20`), higher = member;
    empty where there are too few pairs.
    """

    pairs: NonNegativeInt
    exposure: NonNegativeFloat | None
    member_tokens: NonNegativeFloat | None
    other_tokens: NonNegativeFloat | None
    auroc: Mapping[str, Auroc]


class MemorisedModel(Model):
    """One model. `within_domains` compares only documents of one domain: the mean over domains, weighted by their pairs."""

    model: str
    domains: Mapping[str, Memorised]
    within_domains: Mapping[str, Auroc]


class Memorisation(Published):
    """How well every model is known to have memorised what it was trained on."""

    FILE: ClassVar[str] = "memorisation.json"

    format: Literal[1] = 1
    confidence: float = Field(gt=0, lt=1)
    models: tuple[MemorisedModel, ...]
