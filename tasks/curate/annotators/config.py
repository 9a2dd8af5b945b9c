"""The params of the annotators that have some: which files of the user they look into."""

from tasks.core.params import Params
from tasks.curate.annotators.language import LanguageId
from tasks.curate.annotators.tokens import TokenCounts
from tasks.curate.annotators.url import UrlLists


class Annotators(Params):
    """How language is identified, which lists a URL is held against, and which tokenizer counts (None: none does)."""

    language: LanguageId = LanguageId()
    url: UrlLists = UrlLists()
    tokens: TokenCounts | None = None
