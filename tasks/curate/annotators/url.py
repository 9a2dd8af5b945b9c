"""URL lists, as RefinedWeb and FineWeb filter by them (recipe: blocked domains, substrings, hard and soft words).

The lists are the user's files: Mixwright brings none, for every list is a judgement. What is listed is counted; how many
soft words are too many (two, in both) is a threshold of the profile.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod, existing_file, stamp
from tasks.curate.statistics.texts import Columns

FIELDS = ("blocked_domains", "banned_substrings", "hard_words", "soft_words")
COLUMNS = ("url_blocked_domain", "url_banned_substring", "url_hard_words", "url_soft_words")
_WHAT = "a UTF-8 text file with one entry per line"
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://|^//")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


class UrlLists(Params):
    """Paths of text files, one entry per line; blank lines and those that start with # do not count. None: no list."""

    kind: Literal["url"] = "url"
    blocked_domains: str | None = None
    banned_substrings: str | None = None
    hard_words: str | None = None
    soft_words: str | None = None


@dataclass(frozen=True)
class _Lists:
    domains: frozenset[str]
    substrings: tuple[str, ...]
    hard: frozenset[str]
    soft: frozenset[str]


def url_matches(urls: Sequence[str | None], config: UrlLists) -> Columns:
    """Return how many entries of each list a URL meets (int64); a document without URL meets none.

    url_blocked_domain: the host or one of the domains above it is listed (0 or 1). url_banned_substring: entries
    found in the URL once everything but a-z and 0-9 is taken out. url_hard_words, url_soft_words: different entries
    among the words of the URL, cut at everything else. Upper and lower case are the same.

    Raises:
        ConfigError: a list does not exist, is not UTF-8, or holds an entry that can never match.
    """
    lists = _read(config, tuple(stamp(path) for path in user_files(config).values()))
    rows = np.array([_counts(url, lists) if url else (0, 0, 0, 0) for url in urls], np.int64).reshape(-1, len(COLUMNS))
    return {name: rows[:, i].copy() for i, name in enumerate(COLUMNS)}


def user_files(config: UrlLists) -> dict[str, Path]:
    """Return the file of every list that is named.

    Raises:
        ConfigError: a list does not exist.
    """
    named = {name: path for name in FIELDS if (path := getattr(config, name)) is not None}
    return {name: existing_file(path, f"url.{name}", _WHAT) for name, path in named.items()}


def host(url: str) -> str:
    """Return the host of a URL in lower case, without user, port and final dot.

    >>> host("https://me@Sub.Example.COM.:8080/a?b"), host("//a.example/x"), host("example.org/page")
    ('sub.example.com', 'a.example', 'example.org')
    """
    place = re.split(r"[/?#\\]", _SCHEME.sub("", url.strip()), maxsplit=1)[0].rpartition("@")[2]
    name = place[: place.find("]") + 1] if place.startswith("[") else place.partition(":")[0]
    return name.rstrip(".").lower()


def _counts(url: str, lists: _Lists) -> tuple[int, int, int, int]:
    lowered = url.lower()
    bare = _NOT_ALPHANUMERIC.sub("", lowered) if lists.substrings else ""
    words = set(_NOT_ALPHANUMERIC.split(lowered)) if lists.hard or lists.soft else set()
    return (
        int(bool(lists.domains) and any(domain in lists.domains for domain in _domains(host(url)))),
        sum(entry in bare for entry in lists.substrings),
        len(words & lists.hard),
        len(words & lists.soft),
    )


def _domains(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts))]


@lru_cache(maxsize=2)
def _read(config: UrlLists, _: tuple[tuple[int, int], ...]) -> _Lists:
    raw = {name: _entries(getattr(config, name), f"url.{name}") for name in FIELDS}
    bare = {name: [_bare(entry, name) for entry in entries] for name, entries in raw.items()}
    return _Lists(
        frozenset(host(entry) for entry in raw["blocked_domains"]),
        tuple(sorted(set(bare["banned_substrings"]))),
        frozenset(bare["hard_words"]),
        frozenset(bare["soft_words"]),
    )


def _bare(entry: str, name: str) -> str:
    found = _NOT_ALPHANUMERIC.sub("", entry.lower())
    if not found:
        # An empty substring would be found in every URL, an empty word in most.
        raise ConfigError(f"url.{name}: the entry {entry!r} has neither a-z nor 0-9 and says nothing. Take it out.")
    return found


def _entries(path: str | None, setting: str) -> list[str]:
    if path is None:
        return []
    try:
        text = existing_file(path, setting, _WHAT).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{setting}: {path} is not UTF-8: {error}. Convert it.") from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


METHOD = AnnotatorMethod(lambda config, documents, held: url_matches(documents.urls.to_pylist(), config), user_files)
