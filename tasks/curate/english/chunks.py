"""The tokens of one chunk (a run of characters without whitespace), before the rules that look across chunks.

The order of the rules is spaCy's: exceptions and affixes alternate from outside to inside, what is left is an exception,
an address, or is cut at its infixes. Everything looks at bounded windows, so that a chunk of a megabyte costs linear time.
"""

import re
from dataclasses import dataclass
from functools import cache
from itertools import chain

from tasks.curate.english.facts import Facts, load_facts

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


_SCHEME = re.compile(r"[\w+\-.]{2,}(?=://)")
# Behind the host: a port of 2 to 5 digits, then the end or a path.
_TAIL = re.compile(r"(?::\d{2,5})?(?:[/?#]|\Z)")
_HOST_END = re.compile(r"[:/?#@]")
_LABEL = re.compile(r"[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff_-]{0,62}[A-Za-z0-9\u00a1-\uffff])?")
# The octets of an address: the first is 1 to 223, the last is neither 0 nor 255.
_FIRST = re.compile(r"[1-9]\d?|1\d\d|2[01]\d|22[0-3]")
_MIDDLE = re.compile(r"1?\d{1,2}|2[0-4]\d|25[0-5]")
_LAST = re.compile(r"[1-9]\d?|1\d\d|2[0-4]\d|25[0-4]")
# Private and local networks are not taken for addresses.
_PRIVATE = re.compile(r"(?:10|127)\..*|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])")


@cache
def _top_level() -> re.Pattern[str]:
    """Return the rule of a domain's last label: 2 to 63 characters that are no capitals."""
    return re.compile(f"[{load_facts().members('lower')}]{{2,63}}")


def is_url(text: str) -> bool:
    """Return whether a string without whitespace is an address; time is linear in its length."""
    if "." not in text:
        return False
    scheme = _SCHEME.match(text)
    behind_user = (at.end() for at in re.finditer("(?<!^)@", text))
    starts = chain((0,), () if scheme is None else (scheme.end() + 3,), behind_user)
    return any(_is_host_and_path(text, start) for start in starts)


def _is_host_and_path(text: str, start: int) -> bool:
    """Return whether text[start:] is host[:port][path]."""
    end_match = _HOST_END.search(text, start)
    end = len(text) if end_match is None else end_match.start()
    labels = text[start:end].split(".")
    return (_is_ip_address(labels) or _is_domain(labels)) and _TAIL.match(text, end) is not None


def _is_domain(labels: list[str]) -> bool:
    hosts, top = labels[:-1], labels[-1]
    return bool(hosts) and all(map(_LABEL.fullmatch, hosts)) and _top_level().fullmatch(top) is not None


def _is_ip_address(labels: list[str]) -> bool:
    if len(labels) != 4 or _PRIVATE.fullmatch(".".join(labels[:2])):
        return False
    return all(form.fullmatch(label) for form, label in zip((_FIRST, _MIDDLE, _MIDDLE, _LAST), labels, strict=True))
