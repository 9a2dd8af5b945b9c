"""What the English tokenizer knows: classes of characters, affixes, and the chunks with tokens of their own.

facts.json holds them once for the Python tokenizer and the kernel; `regenerate.py` writes it from an installed spaCy.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise


@dataclass(frozen=True)
class Facts:
    """The facts as the tokenizer uses them.

    Attributes:
        ranges: per class of characters, its first, last, first, last, ... code points, ascending.
        prefixes: the prefixes of more than one character.
        suffixes: the suffixes of more than one character.
        after_digit: the units and currencies that are suffixes where a digit (0-9) stands before them.
        hyphens: what splits a word between letters.
        exceptions: chunk -> its tokens.
        stop_words: the words that datatrove's GopherQuality looks for.
    """

    ranges: dict[str, list[int]]
    prefixes: list[str]
    suffixes: list[str]
    after_digit: list[str]
    hyphens: list[str]
    exceptions: dict[str, tuple[str, ...]]
    stop_words: list[str]

    def __post_init__(self) -> None:
        for name, bounds in self.ranges.items():
            ascending = all(first <= last for first, last in zip(bounds[::2], bounds[1::2], strict=True))
            assert ascending and all(a < b for a, b in pairwise(bounds[::2])), f"the ranges of {name} are not ascending"

    def members(self, *names: str) -> str:
        """Return the union of classes as the inside of a regular expression's brackets."""
        bounds = [(name, i) for name in names for i in range(0, len(self.ranges[name]), 2)]
        pairs = [self.ranges[name][i : i + 2] for name, i in bounds]
        return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in pairs)


@cache
def load_facts() -> Facts:
    """Return the facts of facts.json, read once per process."""
    raw = json.loads(files(__package__).joinpath("facts.json").read_text(encoding="utf-8"))
    return Facts(
        ranges=raw["classes"],
        prefixes=raw["prefixes"],
        suffixes=raw["suffixes"],
        after_digit=raw["after_digit"],
        hyphens=raw["hyphens"],
        exceptions={entry.replace(" ", ""): tuple(entry.split(" ")) for entry in raw["exceptions"]},
        stop_words=raw["stop_words"],
    )


def kernel_facts() -> tuple[dict[str, list[int]], dict[str, list[str]]]:
    """Return the facts for the kernel, which calls this once: ranges per class, and lists of strings by name.

    The tokens of an exception are separated by spaces.
    """
    facts = load_facts()
    strings = {
        "prefixes": facts.prefixes,
        "suffixes": facts.suffixes,
        "after_digit": facts.after_digit,
        "hyphens": facts.hyphens,
        "exceptions": [" ".join(tokens) for tokens in facts.exceptions.values()],
        "stop_words": facts.stop_words,
    }
    return facts.ranges, strings
