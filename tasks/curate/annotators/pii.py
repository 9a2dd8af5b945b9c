"""Personal data and secrets in text: where they are, how many.

Conservative on purpose: what is counted here is redacted there (`refine`), and a number that only looks like a phone
number is worth keeping. Measured on lines labelled by hand (`tests/curate/data/personal_data.txt`). Each kind is looked
for only where a cheap test finds what it cannot do without. Addresses and numbers reserved for documentation (RFC 2606,
5737, 3849; 555-01xx) are nobody's and do not count, so that a redacted text has none.
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod
from tasks.curate.annotators.phones import NUMBER_RUN, phone_numbers
from tasks.curate.statistics.texts import Columns, Texts
from tasks.curate.statistics.top_level_domains import TOP_LEVEL_DOMAINS

Kind = Literal["email", "ip", "phone", "key"]

KINDS: tuple[Kind, ...] = ("key", "email", "ip", "phone")  # where two overlap, the first one named has it
COLUMNS: dict[Kind, str] = {"email": "pii_emails", "ip": "pii_ips", "phone": "pii_phones", "key": "pii_keys"}


class PersonalData(Params):
    """What is counted of personal data; it has no options."""

    kind: Literal["pii"] = "pii"


class Span(NamedTuple):
    """Characters `start:end` of a text are personal data of a kind."""

    start: int
    end: int
    kind: Kind


# RFC 5322's dot-atom, as in FineWeb's redaction, with the lengths of RFC 5321, and letters of Latin script (RFC 6531).
# Letters of other scripts stand right before an address where no blanks are written. Not behind a slash: that is a
# message id or a user in the path of a URL.
_ATOM = r"[A-Za-z0-9\xc0-\xd6\xd8-\xf6\xf8-\u024f!#$%&'*+=?^_`{|}~-]+"
_LOCAL = re.compile(rf"(?<![/A-Za-z0-9_.\xc0-\u024f]){_ATOM}(?:\.{_ATOM})*\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,30}[A-Za-z]{2,24}(?![A-Za-z0-9])")
# Addresses in other scripts: letters of one before the @, or a domain that ends in one of their top-level domains.
_ANY_LOCAL = re.compile(r"(?<![/\w.])[\w+-]+(?:\.[\w+-]+)*\Z")
_ANY_DOMAIN = re.compile(
    r"(?:\w(?:[\w-]{0,61}\w)?\.){1,30}"
    r"(?:рф|рус|бел|укр|қаз|срб|мкд|бг|ею|москва|онлайн|сайт|ελ|中国|中國|公司|网络|网址|商城|手机|香港|台湾|台灣|新加坡|한국|みんな|ไทย|भारत)"
)
_LOCAL_CHARS = 64
_RESERVED_DOMAIN = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|invalid|test|localhost)$", re.IGNORECASE)
# A leading quote or apostrophe is legal in a local part and never meant.
_LEADING = "'`{|=*#$%&!?^~"
_FIELD = re.compile(r"(?:e-?mail|mail|to|cc|from|user|login|author)=", re.IGNORECASE)
_NOBODY = frozenset({"git"})  # git@host: is how repositories are addressed
# Those of no country any more stand in old texts.
_TOP_LEVEL_DOMAINS = TOP_LEVEL_DOMAINS | {"cs", "dd", "tp", "yu", "zr"}
# Top-level domains that, right behind one name or a version, are nearly always the ends of file names.
_FILE_ENDS = frozenset({"py", "sh", "zip", "mov"})

_IPV4 = re.compile(
    r"(?<![A-Za-z0-9_.])(?<![A-Za-z0-9]-)(?<![A-Za-z]/)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9_]|\.[0-9]|-[A-Za-z])"
)
_SECTION_BELOW = 32  # 7.1.7.2 and 1.6.0.1 are sections and versions: of random addresses 1 in 4,096 looks like that
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:vers?[a-z]{0,5}|release|v|section|rev(?:ision)?|build|firmware|package|chapter|rfc|версия)[ .:=-]{0,2}"
    r"|版本[ :：]?|§ ?|[=<>~!]= ?)\Z",
    re.IGNORECASE,
)
_VERSION_CHARS = 16
_HOST_BEFORE = re.compile(
    r"(?:\b(?:ips?|address(?:es)?|hosts?|servers?|dns|ping|from)\b|地址)(?: at)?[ :=]{0,2}\Z", re.IGNORECASE
)
_ARCHIVE_BEHIND = re.compile(r"\.(?:tar|tgz|zip|jar|whl|deb|rpm|exe|dll|so|gz|js|css)\b")
# Global unicast is 2000::/3, and its last 32 bits may be written as IPv4 (RFC 4291). With fewer than three groups it
# is more likely prose or code.
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?:::?[0-9A-Fa-f]{1,4}){1,7}(?:::|(?:\.[0-9]{1,3}){3})?(?![\w:])")
_IPV6_CHARS = 39

# Formats that their issuers publish. One of the marks stands at the start of each (or one character behind it).
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"  # AWS access key ids, base 32
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{82}"  # GitHub
    r"|glpat-[A-Za-z0-9_-]{20,64}"  # GitLab
    r"|xox[abeoprs]-[0-9]+-[A-Za-z0-9-]{10,250}"  # Slack
    r"|[rs]k_live_[A-Za-z0-9]{20,250}"  # Stripe
    r"|sk-(?:proj-|ant-|svcacct-)[A-Za-z0-9_-]{20,250}|sk-[A-Za-z0-9]{32,64}(?![A-Za-z0-9-])"  # OpenAI, Anthropic
    r"|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"  # Google
    r"|hf_[A-Za-z]{34}(?![A-Za-z0-9])|npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"  # Hugging Face, npm
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"  # JSON web tokens
    r")|-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[^-]{20,20000}"  # PEM
    r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)
_MARKS = {
    **dict.fromkeys(
        ("AKIA", "ASIA", "AIza", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"), 0
    ),
    **dict.fromkeys(("sk-", "hf_", "npm_", "eyJ", "-----BEGIN "), 0),
    "k_live_": 1,
}


def count_pii(texts: Texts) -> Columns:
    """Return `pii_emails`, `pii_ips`, `pii_phones`, `pii_keys`: how many of each a text has (int64)."""
    counts = np.zeros((len(texts), len(KINDS)), np.int64)
    for row, text in enumerate(texts.to_list()):
        for span in find_pii(text):
            counts[row, KINDS.index(span.kind)] += 1
    return {COLUMNS[kind]: counts[:, i].copy() for i, kind in enumerate(KINDS)}


def find_pii(text: str, kinds: frozenset[Kind] = frozenset(KINDS)) -> list[Span]:
    """Return the personal data and secrets of a text in their order, none overlapping another.

    email: addresses with a domain name. ip: IPv4 and IPv6 addresses that are routed publicly. phone: international
    numbers with +, North American ones, and others behind a word that announces one (`phones`). key: tokens and
    private keys.
    """
    finders = {"key": _keys, "email": _emails, "ip": _addresses, "phone": _phones}
    taken: list[Span] = []
    for kind in KINDS:
        if kind in kinds:
            taken += [span for span in _apart(finders[kind](text)) if not _meets(span, taken)]
            taken.sort()
    return taken


def _meets(span: Span, taken: list[Span]) -> bool:
    """Return whether a span overlaps one of `taken`, which are in order and do not overlap each other."""
    place = bisect_left(taken, (span.end,))
    return place > 0 and taken[place - 1].end > span.start


def _emails(text: str) -> Iterator[Span]:
    at = text.find("@")
    end = 0
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain is None or domain.group().rpartition(".")[2].lower() not in _TOP_LEVEL_DOMAINS:
            domain = _ANY_DOMAIN.match(text, at + 1)
        if domain and (name := _mailbox(text, max(end, at - _LOCAL_CHARS), at)) and _is_host(domain.group()):
            yield Span(at - len(name), domain.end(), "email")
            end = domain.end()
        at = text.find("@", at + 1)


def _mailbox(text: str, start: int, at: int) -> str | None:
    """Return what of the text before an @ is the name of a mailbox, if any is."""
    local = _LOCAL.search(text, start, at) or _ANY_LOCAL.search(text, start, at)
    if local is None:
        return None
    name = local.group().lstrip(_LEADING)
    if field := _FIELD.match(name):
        name = name[field.end() :]
    return None if name in _NOBODY else name


def _is_host(domain: str) -> bool:
    name, _, top = domain.rpartition(".")
    file = top.lower() in _FILE_ENDS and ("." not in name or name[0].isdigit())
    return not (file or _RESERVED_DOMAIN.search(domain))


def _addresses(text: str) -> Iterator[Span]:
    yield from _ipv4(text)
    yield from _ipv6(text)


def _apart(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in their order, without those that overlap one before them."""
    end = 0
    for span in sorted(set(spans)):
        if span.start >= end:
            yield span
            end = span.end


def _ipv4(text: str) -> Iterator[Span]:
    for run in NUMBER_RUN.finditer(text):
        if run.group().count(".") >= 3:
            for match in _IPV4.finditer(text, run.start(), run.end() + 2):
                before = text[max(0, match.start() - _VERSION_CHARS) : match.start()]
                if not _VERSION_BEFORE.search(before) and not _ARCHIVE_BEHIND.match(text, match.end()):
                    yield from _public(match, announced=_HOST_BEFORE.search(before) is not None)


def _ipv6(text: str) -> Iterator[Span]:
    end = 0
    for colons in _COLONS.finditer(text):
        if colons.start() >= end:
            start = max(end, colons.start() - _IPV6_CHARS)
            long = _IPV6.search(text, start, colons.end() + _IPV6_CHARS)
            if long and long.group().count(":") - long.group().count("::") >= 2:
                yield from _public(long)
                end = long.end()


def _public(match: re.Match[str], *, announced: bool = False) -> Iterator[Span]:
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return
    section = address.version == 4 and max(address.packed) < _SECTION_BELOW and not announced
    if address.is_global and not address.is_multicast and not section:
        yield Span(match.start(), match.end(), "ip")


def _phones(text: str) -> Iterator[Span]:
    return (Span(start, end, "phone") for start, end in phone_numbers(text))


def _keys(text: str) -> Iterator[Span]:
    for mark, before in _MARKS.items():
        at = text.find(mark)
        while at >= 0:
            # The key ids in documentation say so.
            if (match := _KEY.match(text, max(0, at - before))) and not match.group().endswith("EXAMPLE"):
                yield Span(*match.span(), "key")
            at = text.find(mark, at + 1)


METHOD = AnnotatorMethod(lambda config, documents, held: count_pii(documents.texts))
