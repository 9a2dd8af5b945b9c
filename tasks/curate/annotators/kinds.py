"""The kinds of annotators, in the order of their columns, and the choice of one.

A kind is a module with a frozen config and a `METHOD` (see `method.AnnotatorMethod`).
"""

from collections.abc import Mapping
from typing import Annotated, Literal, assert_never, get_args

from pydantic import Field

from tasks.core.params import Params
from tasks.curate.annotators import language, pii, tokens, url
from tasks.curate.annotators.language import LanguageId
from tasks.curate.annotators.method import AnnotatorMethod
from tasks.curate.annotators.pii import PersonalData
from tasks.curate.annotators.tokens import TokenCounts
from tasks.curate.annotators.url import UrlLists
from tasks.curate.statistics import english, gopher
from tasks.curate.statistics.english import English
from tasks.curate.statistics.gopher import Gopher

Annotator = Annotated[
    Gopher | English | LanguageId | UrlLists | PersonalData | TokenCounts, Field(discriminator="kind")
]
Group = Literal["gopher", "english", "language", "url", "pii", "tokens"]
GROUPS: tuple[Group, ...] = get_args(Group)
# The numbers that documents are annotated with, by name, and the group that takes them.
NUMBERS: Mapping[str, Group] = {
    **dict.fromkeys(gopher.STATISTICS, "gopher"),
    **dict.fromkeys(english.STATISTICS, "english"),
    "language_score": "language",
    **dict.fromkeys(url.COLUMNS, "url"),
    **dict.fromkeys(pii.COLUMNS.values(), "pii"),
    "tokens": "tokens",
}


def method(config: Annotator) -> AnnotatorMethod:
    """Return what an annotator is."""
    match config:
        case Gopher():
            return gopher.METHOD
        case English():
            return english.METHOD
        case LanguageId():
            return language.METHOD
        case UrlLists():
            return url.METHOD
        case PersonalData():
            return pii.METHOD
        case TokenCounts():
            return tokens.METHOD
        case _ as other:
            assert_never(other)


class Annotators(Params):
    """How language is identified, which lists a URL is held against, and which tokenizer counts (None: none does)."""

    language: LanguageId = LanguageId()
    url: UrlLists = UrlLists()
    tokens: TokenCounts | None = None


def configured(options: Annotators) -> dict[Group, Annotator | None]:
    """Return the annotator that takes each group of statistics; None: the params name none."""
    return {
        "gopher": Gopher(),
        "english": English(),
        "language": options.language,
        "url": options.url,
        "pii": PersonalData(),
        "tokens": options.tokens,
    }
