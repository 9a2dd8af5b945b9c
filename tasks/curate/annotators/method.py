"""What annotators share: the documents they are given and how the profile of each reads it, and files of the user."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa

from tasks.core.errors import ConfigError
from tasks.curate.statistics.texts import Columns, Texts, texts_of

# What a word is: what stands between blanks, as in the paper; or, in scripts without blanks, what ICU finds there.
WordRule = Literal["blanks", "script"]
# What the language model is asked of: the text with every blank as a space and, where it is written in capitals, in lower
# case; or the text as it is, line breaks apart, as FineWeb and DCLM ask.
LanguageText = Literal["normalised", "as_it_is"]
RuleT = TypeVar("RuleT", bound=str)


@dataclass(frozen=True)
class Reading:
    """How the profile of a document reads it: what a word is to Gopher's rules, and what language is asked of."""

    words: WordRule = "blanks"
    language_text: LanguageText = "normalised"


@dataclass(frozen=True)
class Documents:
    """N documents to annotate: texts, URLs (an Arrow column), and the reading of each."""

    texts: Texts
    urls: pa.ChunkedArray
    readings: Sequence[Reading]


def by_rule(texts: Texts, rules: Sequence[RuleT], default: RuleT, take: Callable[[Texts, RuleT], Columns]) -> Columns:
    """Return the columns of texts of which each is read by its own rule; of no texts, `default` says what columns."""
    distinct = tuple(dict.fromkeys(rules)) or (default,)
    if len(distinct) == 1:
        return take(texts, distinct[0])
    every, found = texts.to_arrow(), Columns()
    for rule in distinct:
        rows = np.flatnonzero([one == rule for one in rules])
        for name, values in take(texts_of(every.take(pa.array(rows))), rule).items():
            found.setdefault(name, np.zeros(len(rules), values.dtype))[rows] = values
    return found


def existing_file(path: str, setting: str, what: str) -> Path:
    """Return the path of a file that a setting names.

    Raises:
        ConfigError: there is no such file; says which setting named it and what it should be.
    """
    found = Path(path)
    if not found.is_file():
        raise ConfigError(f"{setting}: {path} is no file. Name {what}, or leave the setting out.")
    return found


def stamp(path: Path) -> tuple[int, int]:
    """Return what tells a file from a later one under the same name: its size and when it was written.

    Only to know whether something kept in memory is still good; what is identity is the digest.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _no_files(config: Any) -> Mapping[str, Path]:
    return {}


@dataclass(frozen=True)
class AnnotatorMethod:
    """An annotator: `annotate(config, documents, held)` gives columns, one value per document.

    `user_files(config)` names the user's files that it looks into, by the field of its config; ConfigError where one does
    not exist. What `load(config)` gives, a worker keeps from shard to shard as `held`.
    """

    annotate: Callable[[Any, Documents, Any], Columns]
    user_files: Callable[[Any], Mapping[str, Path]] = _no_files
    load: Callable[[Any], Any] | None = None
