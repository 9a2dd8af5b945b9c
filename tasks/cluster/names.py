"""Readable names: the words that tell a domain from the others, and the source when one dominates.

A domain has a name in ASCII, which recipes, tables and files carry, and a label for people, in the script of its words.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from tasks.embedding.terms import terms as terms_of

# A source names its domain when it holds this share of its documents.
_DOMINATES = 0.6
_TERMS_LISTED = 12
_TERMS_IN_NAME = 3
_SHORTEST = 3


def document_counts(texts: Iterable[str]) -> Counter[str]:
    """Return in how many of the texts each word stands, English stop words left out."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(terms_of(text.lower(), _SHORTEST)) - ENGLISH_STOP_WORDS)
    return counts


def discriminative_terms(counts: Sequence[Counter[str]], documents: Sequence[int]) -> list[list[str]]:
    """Return the words that tell each domain from the rest, best first.

    A word scores p log(p / q) with p its share of the domain's documents and q its share of all others, both smoothed
    by half a document: its part of the Kullback-Leibler divergence. Ties go by the alphabet.

    That is for English, whose stop words are left out. In a domain of other scripts function words would come first: they
    stand in most of its documents, and in few of all others. There a word scores p (1 - p) log(p / r) with r its share of
    that other domain which has it most: what stands everywhere, or in two domains alike, tells little.
    """
    total, everywhere = sum(documents), sum(counts, Counter[str]())
    pairs = list(zip(counts, documents, strict=True))
    found = [_best(_divergences(own, everywhere, inside, total - inside)) for own, inside in pairs]
    for domain, (own, inside) in enumerate(pairs):
        if sum(word.isascii() for word in found[domain]) < len(found[domain]) / 2:
            others = [pair for other, pair in enumerate(pairs) if other != domain]
            found[domain] = _best(_contrasts(own, inside, others))
    return found


def _divergences(own: Counter[str], everywhere: Counter[str], inside: int, outside: int) -> dict[str, float]:
    scores: dict[str, float] = {}
    for word, count in own.items():
        p, q = _share(count, inside), _share(everywhere[word] - count, outside)
        if p > q:
            scores[word] = p * math.log(p / q)
    return scores


def _contrasts(own: Counter[str], inside: int, others: Sequence[tuple[Counter[str], int]]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for word, count in own.items():
        p, r = _share(count, inside), max((_share(other[word], documents) for other, documents in others), default=0.5)
        if p > r or not others:
            scores[word] = p * (1 - p) * (math.log(p / r) if others else 1)
    return scores


def _share(count: int, documents: int) -> float:
    return (count + 0.5) / (documents + 1)


def _best(scores: Mapping[str, float]) -> list[str]:
    chosen: list[str] = []
    for word in sorted(scores, key=lambda word: (-scores[word], word)):
        if len(chosen) == _TERMS_LISTED:
            break
        if not any(_same_stem(word, other) for other in chosen):
            chosen.append(word)
    return chosen


def domain_labels(names: Sequence[str], terms: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return what to call each domain for a reader: its name, or, where that leaves its words out, its first words.

    >>> domain_labels(["c-licence", "wiki-2"], [["licence", "software"], ["영화의", "감독의", "formula", "음악에"]])
    ('c-licence', '영화의 감독의 formula')
    """
    return tuple(
        name if all(word.isascii() for word in own[:_TERMS_IN_NAME]) else " ".join(own[:_TERMS_IN_NAME])
        for name, own in zip(names, terms, strict=True)
    )


def domain_names(terms: Sequence[Sequence[str]], sources: Sequence[Mapping[str, int]]) -> list[str]:
    """Return a unique, non-empty ASCII slug per domain, from its terms and from the documents of each source.

    >>> domain_names([["def", "self", "import"], ["licence", "copyright", "software"]], [{"a": 1, "b": 1}, {"c": 5}])
    ['def-self-import', 'c-licence-copyright']
    """
    pairs = zip(terms, sources, strict=True)
    return unique(["-".join(_words(own, counts)[:_TERMS_IN_NAME]) or "domain" for own, counts in pairs])


def unique(names: Sequence[str]) -> list[str]:
    """Return names of which no two are equal: a later one has a number.

    >>> unique(["law", "code", "law"])
    ['law', 'code', 'law-2']
    """
    found: list[str] = []
    for base in names:
        candidates = [base, *(f"{base}-{number}" for number in range(2, len(names) + 2))]
        found.append(next(name for name in candidates if name not in found))
    return found


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
