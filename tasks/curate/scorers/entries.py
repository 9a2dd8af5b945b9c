"""MetaCLIP's balance over entries: documents of frequent entries are kept less often, those of rare ones always.

Xu et al. 2023, arXiv 2309.16671. An entry (a title, a topic, a frequent pair of words) that stands in count documents lets
each of them through with p = t / max(count, t); a document is kept if any of its entries lets it through. The score is that
probability, 1 - prod(1 - p), for a selection of kind `bernoulli` to draw by. A text is looked through as the authors do, as
words between blanks with the marks around them apart; entries too, and runs of blanks are one, so that an entry with a mark
or behind one is found (theirs is not).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.errors import DataError
from tasks.curate.annotators.method import existing_file
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod, ScorerParams
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.texts import Columns

_MARKS = {ord(mark): f" {mark} " for mark in ",.;:?!`"}
_LEARNED = "entries.npz"
# The entry of those documents that no entry stands in.
_UNMATCHED = -1


class Entries(ScorerParams):
    """The probability to be kept so that entries are balanced, and `NAME_matched`, how many entries a document has.

    Attributes:
        entries: a text file in UTF-8, an entry a line.
        at_most: t, how many documents (`count: documents`) or tokens of an entry are let through before it is thinned.
        lower_case: whether capitals do not matter; the authors' release heeds them.
        unmatched: documents without any entry are thinned as if they were one (`entry`), or have no score (`no_score`).
    """

    kind: Literal["entries"] = "entries"
    entries: Annotated[str, Field(min_length=1)]
    at_most: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    count: Literal["documents", "tokens"] = "documents"
    lower_case: bool = True
    unmatched: Literal["entry", "no_score"] = "entry"


@dataclass(frozen=True)
class Matcher:
    """Entries by their words: the number of each, and how many words entries have that begin with a word."""

    numbers: Mapping[str, int]
    lengths: Mapping[str, tuple[int, ...]]
    lower_case: bool

    def matched(self, text: str) -> list[int]:
        """Return the numbers of the entries that stand in a text, ascending."""
        words = words_of(text, lower_case=self.lower_case)
        found = set()
        for place, word in enumerate(words):
            for length in self.lengths.get(word, ()):
                number = self.numbers.get(word if length == 1 else " ".join(words[place : place + length]))
                if number is not None:
                    found.add(number)
        return sorted(found)


def words_of(text: str, *, lower_case: bool) -> list[str]:
    """Return what entries are made of and looked for in.

    >>> words_of("Rome: the city, now", lower_case=True)
    ['rome', ':', 'the', 'city', ',', 'now']
    """
    return (text.lower() if lower_case else text).translate(_MARKS).split()


def matcher_of(lines: Iterable[str], *, lower_case: bool) -> Matcher:
    """Return what finds entries; those that are the same words are one, and empty lines are none."""
    every = [words_of(line, lower_case=lower_case) for line in lines]
    numbers = {entry: number for number, entry in enumerate(dict.fromkeys(" ".join(words) for words in every if words))}
    lengths: dict[str, set[int]] = {}
    for words in every:
        if words:
            lengths.setdefault(words[0], set()).add(len(words))
    return Matcher(numbers, {word: tuple(sorted(sizes)) for word, sizes in lengths.items()}, lower_case)


def kept_share(p_E: NDArray[np.float64], entries: list[int]) -> float:
    """Return the probability that at least one of some entries lets a document through."""
    return float(1 - np.prod(1 - p_E[entries]))


def gini(counts_E: NDArray[np.float64]) -> float:
    """Return how unequal counts are: 0 where all are equal, towards 1 where one has all.

    >>> gini(np.array([1.0, 1.0])), gini(np.array([0.0, 0.0, 0.0, 4.0]))
    (0.0, 0.75)
    """
    number, total = len(counts_E), float(counts_E.sum())
    ranks = np.arange(1, number + 1)
    return float(2 * (ranks @ np.sort(counts_E)) / (number * total) - (number + 1) / number) if total else 0.0


def _load(config: Entries, given: Given) -> Matcher:
    path = given.files["entries"]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"scorer {config.name}, entries: {path} is not UTF-8: {error}.") from error
    found = matcher_of(lines, lower_case=config.lower_case)
    if not found.numbers:
        raise DataError(f"scorer {config.name}, entries: {path} has no entry. Write one a line.")
    return found


def _look(config: Entries, documents: Documents, held: Matcher) -> pa.Table:
    """Return, per entry and per length of documents (by powers of 2), how many documents and tokens there are."""
    tokens_N = pretokens(documents)
    rows: dict[tuple[str, int], tuple[int, int]] = {}
    for text, tokens in zip(documents.to_list(), tokens_N.tolist(), strict=True):
        keys = [("entry", number) for number in held.matched(text) or [_UNMATCHED]]
        for key in (*keys, ("length", max(1, tokens).bit_length() - 1)):
            one = rows.get(key, (0, 0))
            rows[key] = (one[0] + 1, one[1] + tokens)
    columns = {
        "of": pa.array([of for of, _ in rows], pa.string()),
        "number": pa.array([number for _, number in rows], pa.int64()),
        "documents": pa.array([one[0] for one in rows.values()], pa.int64()),
        "tokens": pa.array([one[1] for one in rows.values()], pa.int64()),
    }
    return pa.table(columns)


def _learn(config: Entries, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    number = len(_load(config, Given(files)).numbers)
    counts_E, lengths = _counted(config, looks, number)
    np.savez(folder / _LEARNED, counts=counts_E, lengths=lengths)
    there = counts_E[:_UNMATCHED] > 0
    return {
        "entries": number,
        "entries_found": int(there.sum()),
        "entries_thinned": int((counts_E[:_UNMATCHED] > config.at_most).sum()),
        "gini": gini(counts_E[:_UNMATCHED]),
    }


def _told_of_kept(config: Entries, looks: Iterable[pa.Table], learned: Path) -> Mapping[str, float]:
    counts_E, lengths = _read(learned)
    kept_E, kept_lengths = _counted(config, looks, len(counts_E) - 1)
    told = {"gini_kept": gini(kept_E[:_UNMATCHED])}
    for power in np.flatnonzero(lengths).tolist():
        told[f"kept from 2^{power:02d} tokens"] = kept_lengths[power] / lengths[power]
    return told


def _counted(
    config: Entries, looks: Iterable[pa.Table], number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much there is of each entry, at last of documents without any, and documents by powers of 2 of tokens."""
    counts_E, lengths = np.zeros(number + 1), np.zeros(64)
    for look in looks:
        is_entry = np.array(look["of"].to_pylist(), dtype=object) == "entry"
        numbers = look["number"].to_numpy()
        np.add.at(counts_E, numbers[is_entry], look[config.count].to_numpy()[is_entry])
        np.add.at(lengths, numbers[~is_entry], look["documents"].to_numpy()[~is_entry])
    return counts_E, lengths


def _read(learned: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.load(learned / _LEARNED, allow_pickle=False) as found:
        return found["counts"], found["lengths"]


@dataclass(frozen=True)
class _Held:
    matcher: Matcher
    p_E: NDArray[np.float64]


def _load_learned(config: Entries, given: Given) -> _Held:
    assert given.learned is not None
    counts_E, _ = _read(given.learned)
    p_E = config.at_most / np.maximum(counts_E, config.at_most)
    if config.unmatched == "no_score":
        p_E[_UNMATCHED] = np.nan
    return _Held(_load(config, given), p_E)


def _score(config: Entries, documents: Documents, held: _Held) -> Columns:
    matched = [held.matcher.matched(text) for text in documents.to_list()]
    shares = [kept_share(held.p_E, entries or [_UNMATCHED]) for entries in matched]
    return {"": np.array(shares, np.float64), "matched": np.array([len(entries) for entries in matched], np.float64)}


METHOD = ScorerMethod(
    ("", "matched"),
    _score,
    _load_learned,
    user_files=lambda config: {
        "entries": existing_file(config.entries, f"scorer {config.name}, entries", "a text file with an entry a line")
    },
    file_fields=("entries",),
    learning=LearningPass(
        _look, _learn, _told_of_kept, looks_at_files=True, load=_load, look_fields=("entries", "lower_case")
    ),
)
