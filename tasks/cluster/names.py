"""Readable names: the words that tell a domain from the others, and the source when one dominates. ASCII slugs."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

# A source names its domain when it holds this share of its documents.
_DOMINATES = 0.6
_TERMS_LISTED = 12
_TERMS_IN_NAME = 3
_WORD = re.compile(r"[^\W\d_]{3,24}")


def document_counts(texts: Iterable[str]) -> Counter[str]:
    """Return in how many of the texts each word stands, English stop words left out."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(_WORD.findall(text.lower())) - ENGLISH_STOP_WORDS)
    return counts


def discriminative_terms(counts: Sequence[Counter[str]], documents: Sequence[int]) -> list[list[str]]:
    """Return the words that tell each domain from the rest, best first.

    A word scores p log(p / q) with p its share of the domain's documents and q its share of all others, both smoothed
    by half a document: its part of the Kullback-Leibler divergence. Ties go by the alphabet.
    """
    total, everywhere = sum(documents), sum(counts, Counter[str]())
    return [_best(own, everywhere, inside, total - inside) for own, inside in zip(counts, documents, strict=True)]


def _best(own: Counter[str], everywhere: Counter[str], inside: int, outside: int) -> list[str]:
    scores: dict[str, float] = {}
    for word, count in own.items():
        p, q = (count + 0.5) / (inside + 1), (everywhere[word] - count + 0.5) / (outside + 1)
        if p > q:
            scores[word] = p * math.log(p / q)
    chosen: list[str] = []
    for word in sorted(scores, key=lambda word: (-scores[word], word)):
        if len(chosen) == _TERMS_LISTED:
            break
        if not any(_same_stem(word, other) for other in chosen):
            chosen.append(word)
    return chosen


def domain_names(terms: Sequence[Sequence[str]], sources: Sequence[Mapping[str, int]]) -> list[str]:
    """Return a unique, non-empty ASCII slug per domain, from its terms and from the documents of each source.

    >>> domain_names([["def", "self", "import"], ["licence", "copyright", "software"]], [{"a": 1, "b": 1}, {"c": 5}])
    ['def-self-import', 'c-licence-copyright']
    """
    names: list[str] = []
    for own, counts in zip(terms, sources, strict=True):
        base = "-".join(_words(own, counts)[:_TERMS_IN_NAME]) or "domain"
        candidates = [base, *(f"{base}-{number}" for number in range(2, len(terms) + 2))]
        names.append(next(name for name in candidates if name not in names))
    return names


def slug(text: str) -> str:
    """Return the lower-case ASCII letters and digits of a text, joined by hyphens; may be empty.

    >>> slug("C headers (2024)")
    'c-headers-2024'
    """
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def _words(terms: Sequence[str], sources: Mapping[str, int]) -> list[str]:
    source, documents = max(sources.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    leading = [slug(source)] if documents > _DOMINATES * sum(sources.values()) else []
    own = [slug(term) for term in terms if term.isascii() and not any(_same_stem(term, lead) for lead in leading)]
    return [word for word in (*leading, *own) if word] or [word for word in [slug(source)] if word]


def _same_stem(left: str, right: str) -> bool:
    """Say whether two words are likely forms of one, such as infringed and infringing: they begin alike for 70 %."""
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
    return alike >= max(4, 0.7 * max(len(left), len(right)))
