"""Redaction: personal data and secrets become placeholders that are nobody's."""

from tasks.curate.annotators.pii import KINDS, Kind, Span, find_pii
from tasks.curate.refine.config import PiiRedaction
from tasks.curate.refine.edits import Edit

COLUMNS: dict[Kind, str] = {
    "email": "refine_emails",
    "ip": "refine_ips",
    "phone": "refine_phones",
    "key": "refine_keys",
}


def redact(text: str, config: PiiRedaction) -> list[Edit]:
    """Return one edit per e-mail address, IP address, phone number or key."""
    return [
        Edit(span.start, span.end, new, COLUMNS[span.kind], 1)
        for span in find_pii(text, _kinds(config))
        if (new := _placeholder(text, span, config)) is not None
    ]


def _placeholder(text: str, span: Span, config: PiiRedaction) -> str | None:
    if span.kind == "ip":
        return config.ipv6 if ":" in text[span.start : span.end] else config.ipv4
    placeholders = {"email": config.email, "phone": config.phone, "key": config.key}
    return placeholders[span.kind]


def _kinds(config: PiiRedaction) -> frozenset[Kind]:
    wanted = {"email": config.email, "ip": config.ipv4 or config.ipv6, "phone": config.phone, "key": config.key}
    return frozenset(kind for kind in KINDS if wanted[kind] is not None)
