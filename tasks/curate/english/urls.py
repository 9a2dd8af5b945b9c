"""Which strings are one token because they look like a web address or an e-mail address.

The form is [scheme://][user@]host[:port][path], matched as a whole. What makes it linear: a host holds none of `:/?#@`,
so it ends at the first of them, and only what follows the scheme or an `@` can start one.
"""

import re
from functools import cache
from itertools import chain

from tasks.curate.english.facts import load_facts

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
