"""Pairwise judgements: which of two documents is better, asked in both orders, and what the answers come to.

A line of a file of judgements is {"a": ID, "b": ID, "p": the chance that a is better}, or an answer of a model that was
shown a first and b second: {"a": ID, "b": ID, "answer": "A" or "B"}.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.asking import Request
from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines
from tasks.core.rng import seed_of

_SYSTEM = "You compare two texts. Reply with one letter, A or B, and nothing else."
_ASKED = "{question}\n\nText A:\n<<<\n{a}\n>>>\n\nText B:\n<<<\n{b}\n>>>\n\nReply with A or B."
_ANSWER_TOKENS = 8
_READ = re.compile(r"\W*(?:(?:text|answer|option)\W+)*([AB])\b", re.IGNORECASE)


@dataclass(frozen=True)
class Judged:
    """A pair and the chance that its first document is the better one; both orders of it were asked, or a file says it."""

    a: str
    b: str
    chance: float


@dataclass(frozen=True)
class Judgements:
    """Pairs that were judged, and what became of the others.

    `without` answers, `unreadable` ones; pairs of which an order has no valid answer (`half`), and those whose orders
    contradict each other, so that the place decided (`by_place`), which have the chance 1/2.
    """

    pairs: tuple[Judged, ...]
    without: int = 0
    unreadable: int = 0
    half: int = 0
    by_place: int = 0


def pairs_of(ids: Sequence[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Return pairs of documents, chosen by hashes of ids: in each round everybody is in one pair at most.

    >>> pairs_of(["a", "b", "c"], 2, 0) == pairs_of(["c", "b", "a"], 2, 0)
    True
    """
    most = len(ids) * (len(ids) - 1) // 2
    found: dict[frozenset[str], tuple[str, str]] = {}
    round_ = 0
    while len(found) < min(count, most):
        order = sorted(ids, key=lambda name, round_=round_: (seed_of(seed, "pairs", round_, name), name))  # type: ignore[misc]
        for a, b in zip(order[::2], order[1::2], strict=False):
            if len(found) < min(count, most):
                found.setdefault(frozenset((a, b)), (a, b))
        round_ += 1
    return list(found.values())


def questions(
    texts: Mapping[str, str], question: str, pairs: Iterable[tuple[str, str]], generations: int
) -> Iterator[Request]:
    """Yield what is asked about pairs: both orders of each, so often."""
    for pair in pairs:
        for a, b in (pair, pair[::-1]):
            user = _ASKED.format(question=question, a=texts[a], b=texts[b])
            for sample in range(generations):
                yield Request(_SYSTEM, user, _ANSWER_TOKENS, {"a": a, "b": b}, sample)


def read_answer(answer: str) -> bool | None:
    """Return whether an answer is A; None where it cannot be read.

    >>> read_answer("A"), read_answer("**Text B** has more."), read_answer("Both are good.")
    (True, False, None)
    """
    found = _READ.match(answer)
    return None if found is None else found[1].upper() == "A"


def read_judgements(files: Iterable[Path], what: str) -> Judgements:
    """Return the pairs of files of judgements.

    An order counts if more than half of its answers can be read, a pair if both of its orders do (QuRating, section 3.1).

    Raises:
        DataError: a line is no judgement.
    """
    pairs: list[Judged] = []
    asked: dict[tuple[str, str], list[bool | None]] = {}
    counts: Counter[str] = Counter()
    for where, line in read_lines(files, what):
        a, b = line.get("a"), line.get("b")
        if not (isinstance(a, str) and isinstance(b, str) and a != b and ("p" in line or "answer" in line)):
            raise DataError(
                f'{where}: expected {{"a": ID, "b": ID, "p": CHANCE}} of two documents, or "answer" for "p".'
            )
        if "p" in line:
            pairs.append(Judged(a, b, _chance(line["p"], where)))
            continue
        answer = line["answer"]
        read = read_answer(answer) if isinstance(answer, str) else None
        counts["without"] += not isinstance(answer, str)
        counts["unreadable"] += isinstance(answer, str) and read is None
        asked.setdefault((a, b), []).append(read)
    for (a, b), answers in asked.items():
        if a > b and (b, a) in asked:
            continue
        there, back = _share(answers), _share(asked.get((b, a), []))
        if there is None or back is None:
            counts["half"] += 1
            continue
        counts["by_place"] += (there - 0.5) * (back - 0.5) > 0
        pairs.append(Judged(a, b, (there + 1 - back) / 2))
    return Judgements(tuple(sorted(pairs, key=lambda pair: (pair.a, pair.b, pair.chance))), **counts)


def _share(answers: Sequence[bool | None]) -> float | None:
    """Return the share of answers that are A; None where no more than half can be read."""
    read = [one for one in answers if one is not None]
    return sum(read) / len(read) if 2 * len(read) > len(answers) else None


def _chance(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(f"{where}: p is {value!r}; the chance that a is better lies in 0 to 1.")
    return float(value)
