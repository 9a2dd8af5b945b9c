"""Addresses without secrets: one that carries a password or a signature is refused, and no message shows it.

What a run reads is written down: in the listing, in versions, in the parameters of its flow. Credentials belong to the
environment, where each service looks for them.
"""

import re
from urllib.parse import unquote

_USER = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
_QUERY = re.compile(r"(?<=://)([^\s?#'\"<>]*)([?#][^\s'\"<>]*)")
_FIELD = re.compile(r"[?&#;]([^?=&#;]+)=[^&#;]")
_SECRET = re.compile(
    r"x-(?:amz|goog|ms|oss|cos)-.*|.*(?:token|secret|passw|credential|signature).*|sig|(?:.*[-_])?api[-_]?key"
    r"|.*access[-_]?key(?:[-_]?id)?|key|auth.*|jwt|session.*|policy|key-pair-id|hdn(?:ea|ts)",
    re.IGNORECASE,
)
_ADVICE = (
    "It would be written down with the input. Give credentials where the service looks for them (AWS_ACCESS_KEY_ID, "
    "profiles, HF_TOKEN, or fsspec's configuration) and the address without them, or download the file first."
)


def credential_in(uri: str) -> str | None:
    """Return which credential an address carries, without its value; None for a path or an address without one.

    >>> credential_in("https://host/a.jsonl?X-Amz-Signature=17"), credential_in("https://host/a.jsonl?download=true")
    ("the query field 'X-Amz-Signature'", None)
    >>> credential_in("https://name:word@host/a.jsonl")
    'a user name or password'
    """
    if "://" not in uri:
        return None
    if _USER.search(uri):
        return "a user name or password"
    names = (unquote(name) for _, query in _QUERY.findall(uri) for name in _FIELD.findall(query))
    secret = next((name for name in names if _SECRET.fullmatch(name)), None)
    return None if secret is None else f"the query field {secret!r}"


def complaint_about(uri: str) -> str | None:
    """Return why an address cannot be an input, and what to do; None where it can be one."""
    found = credential_in(uri)
    return None if found is None else f"{redacted(uri)}: the address holds {found}. {_ADVICE}"


def redacted(text: str) -> str:
    """Return a text in which the addresses show no credentials.

    >>> redacted("403 for https://name:word@host/a?sig=17&page=2, retry")
    '403 for https://***@host/a?***, retry'
    """
    hidden = _USER.sub("***@", text)
    return _QUERY.sub(lambda found: found[1] + _without(found[2]), hidden)


def _without(query: str) -> str:
    secret = any(_SECRET.fullmatch(unquote(name)) for name in _FIELD.findall(query))
    end = "," if query.endswith(",") else ""
    return f"{query[0]}***{end}" if secret else query
