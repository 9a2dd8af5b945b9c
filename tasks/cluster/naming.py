"""Names of domains that a language model gives, from their words and the beginnings of their texts. The words are ours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.cluster.grouping import Grouping
from tasks.cluster.names import domain_labels, slug, unique
from tasks.cluster.published.domains import Domains
from tasks.core.asking import Request
from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines

_ANSWER_TOKENS, _LONGEST_NAME = 30, 60
_SYSTEM = "You name groups of texts. Reply with what is asked for and nothing else."
_NAME = (
    "A collection is in groups, which are called {groups} by some of their words. What do the texts of the group {name} "
    "have in common: what are they about, or what kind of text are they? Reply with a name for it of at most 5 words, in "
    "English, that tells it from the other groups.\n\nIts words: {words}\n\nBeginnings of its texts:\n{texts}"
)


@dataclass(frozen=True)
class Named:
    """Domains with the names that a model gave them; `unnamed` of them kept that of their words."""

    grouping: Grouping
    unnamed: int


def name_questions(domains: Domains) -> list[Request]:
    """Return what is asked: the name of each domain."""
    groups = ", ".join(one.name for one in domains.domains)
    return [
        Request(
            _SYSTEM,
            _NAME.format(
                groups=groups,
                name=one.name,
                words=", ".join(one.terms),
                texts="\n".join(f"- {example.excerpt}" for example in one.examples),
            ),
            _ANSWER_TOKENS,
            {"domain": one.name},
        )
        for one in domains.domains
    ]


def read_name(answer: str) -> str:
    """Return the name that stands in the first line of an answer; "": none does.

    >>> read_name('"Python source code."'), read_name("?!")
    ('Python source code', '')
    """
    name = " ".join(answer.strip().partition("\n")[0].split()).strip("\"'`*.:")
    return name if 0 < len(name) <= _LONGEST_NAME and any(map(str.isalnum, name)) else ""


def named(grouping: Grouping, names: Sequence[str], terms: Sequence[Sequence[str]], answers: Path) -> Named:
    """Return a grouping with the names and labels of a file of answers about domains that are called `names` by their words.

    A domain that has no answer, or one that is no name, keeps what its words call it.

    Raises:
        DataError: the file cannot be read, or tells of none of these domains.
    """
    where = "cluster.domains.answers"
    lines = [line for _, line in read_lines([answers], where)]
    told = {str(line.get("domain")): read_name(str(line.get("answer") or "")) for line in lines}
    if not told.keys() & {*names}:
        raise DataError(
            f"{where}: {answers} names none of the domains {', '.join(names)}. Name the answers of a run with the same "
            "documents and clusters, or an endpoint."
        )
    given = [told.get(name, "") for name in names]
    labels = [own or label for own, label in zip(given, domain_labels(names, terms), strict=True)]
    # A name in another script is a label alone.
    slugs = unique([slug(own) or name for own, name in zip(given, names, strict=True)])
    return Named(replace(grouping, names=tuple(slugs), labels=tuple(labels)), given.count(""))
