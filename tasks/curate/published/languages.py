"""By which thresholds documents of a language were judged: `languages.json`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import NonNegativeInt

from tasks.core.published import Model, Published


class LanguageThresholds(Model):
    """A language: documents of the pool and of its reference (0: none), and the thresholds that it has of its own."""

    documents: NonNegativeInt
    reference_documents: NonNegativeInt
    thresholds: Mapping[str, float]


class LearnedLanguages(Published):
    """The languages by name, and the profiles whose documents are judged by them."""

    FILE: ClassVar[str] = "languages.json"

    format: Literal[1] = 1
    profiles: tuple[str, ...]
    languages: Mapping[str, LanguageThresholds]
