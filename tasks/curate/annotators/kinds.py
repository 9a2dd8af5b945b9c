"""The kinds of annotators, in the order of their columns, and what a step asks of the chosen one.

A kind is a module with a frozen config and a pure function from documents to columns. Files of the user that it looks
into are fields of the config that end in `_path`, or those of a list of files: see `user_files`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, assert_never, get_args

from pydantic import Field

from tasks.core.params import Params
from tasks.curate.annotators import language, pii, tokens, url
from tasks.curate.annotators.language import LanguageId
from tasks.curate.annotators.method import Documents
from tasks.curate.annotators.pii import PersonalData
from tasks.curate.annotators.tokens import TokenCounts
from tasks.curate.annotators.url import UrlLists
from tasks.curate.statistics import english, gopher
from tasks.curate.statistics.english import English
from tasks.curate.statistics.gopher import Gopher
from tasks.curate.statistics.texts import Columns

Annotator = Annotated[
    Gopher | English | LanguageId | UrlLists | PersonalData | TokenCounts, Field(discriminator="kind")
]
Group = Literal["gopher", "english", "language", "url", "pii", "tokens"]
GROUPS: tuple[Group, ...] = get_args(Group)


def annotate(config: Annotator, documents: Documents, held: Any = None) -> Columns:
    """Return the columns of an annotator; `held` is the language model that a worker keeps, if it keeps one."""
    match config:
        case Gopher():
            return gopher.annotate(documents)
        case English():
            return english.english_statistics(documents.texts)
        case LanguageId():
            return language.annotate(documents, config, held)
        case UrlLists():
            return url.url_matches(documents.urls.to_pylist(), config)
        case PersonalData():
            return pii.count_pii(documents.texts)
        case TokenCounts():
            return tokens.token_counts(documents.texts, config)
        case _ as other:
            assert_never(other)


def user_files(config: Annotator) -> Mapping[str, Path]:
    """Return the files that an annotator looks into, by the field of its config.

    Raises:
        ConfigError: one does not exist.
    """
    match config:
        case LanguageId():
            return language.user_files(config)
        case UrlLists():
            return url.user_files(config)
        case TokenCounts():
            return tokens.user_files(config)
        case Gopher() | English() | PersonalData():
            return {}
        case _ as other:
            assert_never(other)


def is_held(config: Annotator) -> bool:
    """Return whether an annotator loads something that a worker should keep from shard to shard."""
    return isinstance(config, LanguageId)


def load(config: Annotator) -> Any:
    """Return what a worker keeps for an annotator that `is_held`."""
    assert isinstance(config, LanguageId) and config.model_path is not None
    return language.load_model(Path(config.model_path))


class Annotators(Params):
    """How language is identified, which lists a URL is held against, and which tokenizer counts (None: none does)."""

    language: LanguageId = LanguageId()
    url: UrlLists = UrlLists()
    tokens: TokenCounts | None = None
