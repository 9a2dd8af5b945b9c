"""The tokens of one chunk (a run of characters without whitespace), before the rules that look across chunks.

The order of the rules is spaCy's: exceptions and affixes alternate from outside to inside, what is left is an exception,
an address, or is cut at its infixes. Everything looks at bounded windows, so that a chunk of a megabyte costs linear time.
"""

import re
from dataclasses import dataclass
from functools import cache

from tasks.curate.english.facts import Facts, load_facts
from tasks.curate.english.urls import is_url

# A suffix and what its rule looks at before it: none of the suffixes but a run of periods is longer.
_WINDOW = 16


@dataclass(frozen=True)
class Rules:
    """The compiled rules: `exceptions` are chunk -> tokens, none of which is longer than `longest_exception`."""

    prefix: re.Pattern[str]
    suffix: re.Pattern[str]
    infix: re.Pattern[str]
    exceptions: dict[str, tuple[str, ...]]
    longest_exception: int


@cache
def english_rules() -> Rules:
    """Return the rules of English, compiled once per process."""
    facts = load_facts()
    return Rules(
        prefix=re.compile("|".join([*_any_of(facts.prefixes), r"\.\.+|\+(?![0-9])", f"[{facts.members('prefix')}]"])),
        suffix=_suffix_rule(facts),
        infix=_infix_rule(facts),
        exceptions=facts.exceptions,
        longest_exception=max(map(len, facts.exceptions)),
    )


def _any_of(strings: list[str]) -> list[str]:
    return [re.escape(string) for string in strings]


def _suffix_rule(facts: Facts) -> re.Pattern[str]:
    """Return the rule of all suffixes but runs of periods; its `search` finds the one that starts first, the longest."""
    rules = [
        *_any_of(facts.suffixes),
        f"[{facts.members('suffix')}]",
        f"(?<=[0-9])(?:{'|'.join(_any_of(facts.after_digit))})",
        f"(?<=[{facts.members('before_period')}])\\.",
        f"(?<=[{facts.members('upper')}][{facts.members('upper')}])\\.",
        "(?<=°[FfCcKk])\\.",
    ]
    return re.compile(rf"(?:{'|'.join(rules)})\Z")


def _infix_rule(facts: Facts) -> re.Pattern[str]:
    """Return where a word is cut inside; a rule stands before those that it wins against."""
    alpha = facts.members("alpha")
    rules = [
        r"\.\.+",
        f"[{facts.members('infix')}]",
        r"(?<=[0-9])[+\-*^](?=[0-9-])",
        rf"(?<=[{facts.members('lower', 'quote')}])\.(?=[{facts.members('upper', 'quote')}])",
        f"(?<=[{alpha}]),(?=[{alpha}])",
        f"(?<=[{alpha}0-9])(?:{'|'.join(_any_of(facts.hyphens))})(?=[{alpha}])",
        f"(?<=[{alpha}0-9])[:<>=/](?=[{alpha}])",
    ]
    return re.compile("|".join(rules))


def split_english(chunk: str) -> list[str]:
    """Return the tokens of a chunk; joined, they are the chunk."""
    return split_chunk(chunk, english_rules().exceptions)


def split_chunk(chunk: str, exceptions: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the tokens that the rules give a chunk with these exceptions."""
    rules = english_rules()
    start, end = 0, len(chunk)
    prefixes, suffixes = [], []

    def known(first: int, last: int) -> bool:
        return 0 < last - first <= rules.longest_exception and chunk[first:last] in exceptions

    while start < end and not known(start, end):
        prefix = rules.prefix.match(chunk, start, end)
        after = start if prefix is None else prefix.end()
        if after > start and known(after, end):
            prefixes.append(chunk[start:after])
            start = after
            break
        before = _suffix_start(chunk, after, end, rules)
        if before < end and known(start, before):
            suffixes.append(chunk[before:end])
            end = before
            break
        if after == start and before == end:
            break
        prefixes.append(chunk[start:after])
        suffixes.append(chunk[before:end])
        start, end = after, before
    middle = _split_middle(chunk[start:end], exceptions, rules)
    return [token for token in (*prefixes, *middle, *reversed(suffixes)) if token]


def _suffix_start(chunk: str, start: int, end: int, rules: Rules) -> int:
    """Return where the suffix of chunk[start:end] starts; `end` if there is none. No rule looks before `start`."""
    window = max(start, end - _WINDOW)
    if chunk.endswith("..", start, end):
        before = end
        while before > start and chunk[before - 1] == ".":
            before -= 1
        return before
    suffix = rules.suffix.search(chunk[window:end])
    return end if suffix is None else window + suffix.start()


def _split_middle(middle: str, exceptions: dict[str, tuple[str, ...]], rules: Rules) -> list[str]:
    """Return the tokens of what has no affixes (left): an exception, an address, or cut at the infixes."""
    if middle in exceptions:
        return list(exceptions[middle])
    if is_url(middle):
        return [middle]
    tokens, start = [], 0
    # None starts the middle: an infix that looks at nothing before it is a prefix, too.
    for infix in rules.infix.finditer(middle):
        tokens += [middle[start : infix.start()], infix.group()]
        start = infix.end()
    return [*tokens, middle[start:]]
