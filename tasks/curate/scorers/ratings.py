"""DataMan's ratings: 14 criteria from 1 to 5 and one of 15 domains (Peng et al. 2025, arXiv 2502.19363), asked for and read.

A line of a file of ratings is {"id": ID, "overall": 4, "accuracy": 5, ..., "domain": "medicine"}, or a model's answer:
{"id": ID, "answer": "..."}. What is null, left out or cannot be read is missing, and stays missing.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.asking import Request
from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines

# The last one is what the others come to; the words are ours.
CRITERIA = {
    "accuracy": "few errors of expression and of fact",
    "coherence": "one thought follows from the other",
    "language_consistency": "one language throughout",
    "semantic_density": "a large share of it says something",
    "knowledge_novelty": "it tells what is not known to everybody",
    "topic_focus": "it keeps to its topic",
    "creativity": "it shows ideas of its own",
    "professionalism": "it needs and shows expertise",
    "style_consistency": "one style throughout",
    "grammatical_diversity": "varied and correct sentences",
    "structural_standardization": "a clear and usual structure",
    "originality": "it does not repeat itself",
    "sensitivity": "nothing in it is offensive or confidential",
    "overall": "its quality in all",
}
DOMAINS = (
    "medicine", "finance", "law", "education", "technology", "entertainment", "mathematics", "coding", "government",
    "culture", "transportation", "retail", "telecommunication", "agriculture", "other",
)  # fmt: skip
LOWEST, HIGHEST = 1, 5
_SYSTEM = "You rate texts. Reply with one JSON object and nothing else."
_ASKED = (
    "Rate the text below from 1 (poor) to 5 (excellent) on each criterion, and name its domain. Reply with "
    '{{"accuracy": ..., ..., "overall": ..., "domain": ...}}.\n\nCriteria:\n{criteria}\n\nDomains: {domains}'
    "\n\nText:\n<<<\n{text}\n>>>"
)
_ANSWER_TOKENS = 300


@dataclass(frozen=True)
class Rating:
    """The ratings of a document, NaN where one is missing, in the order of `CRITERIA`; its domain from 1 on, or NaN."""

    criteria: tuple[float, ...]
    domain: float


@dataclass(frozen=True)
class Ratings:
    """Ratings by id; how many answers were missing or unreadable, and how often each criterion is missing."""

    by_id: Mapping[str, Rating]
    without: int = 0
    unreadable: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)


def question(name: str, text: str, chars: int) -> Request:
    """Return what is asked about a document; of a long one its first and its last half of `chars` are shown, as theirs."""
    half = chars // 2
    shown = text if len(text) <= chars else f"{text[:half]}...{text[-half:]}"
    criteria = "\n".join(f"- {criterion}: {words}" for criterion, words in CRITERIA.items())
    user = _ASKED.format(criteria=criteria, domains=", ".join(DOMAINS), text=shown)
    return Request(_SYSTEM, user, _ANSWER_TOKENS, {"id": name})


def read_ratings(files: Iterable[Path], what: str) -> Ratings:
    """Return the ratings of files.

    Raises:
        DataError: a line of a file is no rating, or rates a document twice.
    """
    found: dict[str, Rating] = {}
    without = unreadable = 0
    for where, line in read_lines(files, what):
        name = line.get("id")
        if not isinstance(name, str):
            raise DataError(f"{where}: a rating needs the id of its document.")
        if name in found:
            raise DataError(f"{where}: {name} was rated before. Keep one rating of a document.")
        if "answer" not in line:
            found[name] = _rating(line, where)
        elif not isinstance(line["answer"], str):
            without += 1
        elif (rated := read_answer(line["answer"])) is None:
            unreadable += 1
        else:
            found[name] = rated
    missing = Counter(criterion for one in found.values() for criterion in _missing(one))
    return Ratings(found, without, unreadable, dict(sorted(missing.items())))


def read_answer(answer: str) -> Rating | None:
    """Return the rating that stands in a model's answer; None where no object of JSON with a rating does.

    >>> rating = read_answer('Sure: {"overall": 4, "accuracy": 9, "domain": "Law"}')
    >>> rating.criteria[-1], rating.criteria[0], rating.domain
    (4.0, nan, 3.0)
    """
    start, end = answer.find("{"), answer.rfind("}")
    try:
        value = json.loads(answer[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    told = {str(key).strip().lower().replace(" ", "_").replace("-", "_"): one for key, one in value.items()}
    criteria = tuple(level if (level := _level(told.get(name))) is not None else math.nan for name in CRITERIA)
    domain = _domain(told.get("domain"))
    return None if all(map(math.isnan, criteria)) else Rating(criteria, math.nan if domain is None else domain)


def _rating(line: Mapping[str, Any], where: str) -> Rating:
    strangers = sorted({*line} - {*CRITERIA, "id", "domain"})
    if strangers:
        known = ", ".join(CRITERIA)
        raise DataError(f"{where}: {strangers[0]} is no criterion. Known: {known}; and domain.")
    values = [_stated(name, line.get(name), _level, where) for name in CRITERIA]
    return Rating(tuple(values), _stated("domain", line.get("domain"), _domain, where))


def _stated(name: str, value: Any, read: Any, where: str) -> float:
    if value is None:
        return math.nan
    found = read(value)
    if found is None:
        expected = (
            f"one of {', '.join(DOMAINS)}" if name == "domain" else f"a number from {LOWEST} to {HIGHEST}, or null"
        )
        raise DataError(f"{where}: {name} is {value!r}, expected {expected}.")
    return float(found)


def _level(value: Any) -> float | None:
    """Return a rating as a whole number: fractions away from the middle, as theirs; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
        return None
    return float(math.floor(value) if value < (LOWEST + HIGHEST) / 2 else math.ceil(value))


def _domain(value: Any) -> float | None:
    """Return the number of a domain, from 1 on, by its name."""
    name = value.strip().lower() if isinstance(value, str) else ""
    return next((float(number) for number, one in enumerate(DOMAINS, start=1) if name.startswith(one)), None)


def _missing(rating: Rating) -> Iterator[str]:
    yield from (name for name, value in zip(CRITERIA, rating.criteria, strict=True) if math.isnan(value))
    if math.isnan(rating.domain):
        yield "domain"
