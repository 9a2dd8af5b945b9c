"""WARC records and pages made for tests."""

import gzip

PROSE = (
    "The quick brown fox jumps over the lazy dog while the evening sun sets slowly behind the old stone mill, and "
    "nobody in the village remembers when the wheel last turned or who it was that kept the sluice gate open."
)


def page(name: str, paragraphs: int = 6, head: str = "") -> bytes:
    """A page with a navigation, an article of some paragraphs and a footer."""
    links = "".join(f'<li><a href="/{n}">Section {n}</a></li>' for n in range(8))
    body = "".join(f"<p>Paragraph {n} of {name}. {PROSE}</p>" for n in range(paragraphs))
    return (
        f'<!DOCTYPE html><html lang="en-GB"><head><title>About {name}</title>{head}</head><body>'
        f"<nav><ul>{links}</ul></nav><article><h1>About {name}</h1>{body}</article>"
        "<footer>Imprint, privacy, cookies</footer></body></html>"
    ).encode()


def response(
    name: str,
    body: bytes | None = None,
    *,
    headers: str = "Content-Type: text/html\r\n",
    status: str = "200 OK",
    length: int | None = None,
) -> bytes:
    """A response record; `length` overrides what the header says of its length."""
    block = f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + (page(name) if body is None else body)
    return record("response", name, block, "application/http; msgtype=response", length=length)


def record(kind: str, name: str, block: bytes, content_type: str, *, length: int | None = None) -> bytes:
    """A WARC record of any kind."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{name}>\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"
        f"WARC-Target-URI: https://example.org/{name}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def packed(*records: bytes) -> bytes:
    """Records as gzip members, one after another."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)
