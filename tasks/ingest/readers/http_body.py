"""The body of an HTTP response with its encodings undone, as browsers do it, whatever the crawler has done to it before.

Crawlers join chunks or unpack a body and leave the headers as the server sent them, or cut a body off. So each encoding
is undone where the bytes show it, and found undone where they do not; what is cut off is used as far as it goes.
"""

import re
from collections.abc import Sequence

import zstandard
from isal import isal_zlib

from tasks.ingest.readers.stream import GZIP_ERROR

_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,4096})?\r?\n")
_GZIP = b"\x1f\x8b"
# Where a body is looked at to tell markup from compressed bytes.
_SEEN = 1024


class BodyError(Exception):
    """A body is encoded in a way that cannot be undone."""


def body_of(raw: bytes, transfer: str, content: str, limit: int) -> bytes | None:
    """Return a body decoded; None where that gives more than the limit: a bomb is never unpacked.

    `transfer` and `content` are the values of `Transfer-Encoding` and `Content-Encoding`.

    Raises:
        BodyError: it is encoded, and damaged or in an encoding that nobody here knows.
    """
    transfers, contents = _names(transfer), _names(content)
    body = _joined(raw) if "chunked" in transfers else raw
    for name in reversed([*contents, *(name for name in transfers if name != "chunked")]):
        body = _undone(name, body, limit)
        if len(body) > limit:
            return None
    return body if len(body) <= limit else None


def _names(value: str) -> Sequence[str]:
    return [name for part in value.lower().split(",") if (name := part.strip().removeprefix("x-"))]


def _joined(body: bytes) -> bytes:
    """Return the chunks of a body, joined, as far as it goes; a body that is not in chunks as it is."""
    pieces: list[bytes] = []
    place = 0
    while found := _CHUNK.match(body, place):
        begin, size = found.end(), int(found[1], 16)
        piece = body[begin : begin + size]
        after = body[begin + size : begin + size + 2]
        ended = after[:1] == b"\n" or after == b"\r\n"
        # A single \r is the end of a body that was cut off within the end of a line.
        if not pieces and not ended and after not in {b"", b"\r"}:
            return body
        if not size:
            break
        pieces.append(piece)
        if not ended:
            break
        place = begin + size + (1 if after[:1] == b"\n" else 2)
    return b"".join(pieces) if pieces or _CHUNK.match(body) else body


def _undone(name: str, body: bytes, limit: int) -> bytes:
    """Return a body without one encoding, cut right behind the limit; as it is where it does not have it."""
    match name:
        case "gzip":
            return _gunzipped(body, limit) if body.startswith(_GZIP) else _as_it_is(name, body)
        case "deflate":
            return _inflated(body, limit)
        case "br":
            return _unbrotli(body, limit)
        case "zstd":
            return _unzstd(body, limit)
        case "compress":
            return _as_it_is(name, body)
        case _:
            # Servers write all kinds of things here (`utf-8`, `none`); browsers ignore what they do not know.
            return body


def _gunzipped(body: bytes, limit: int) -> bytes:
    """Return the content of the gzip members that a body begins with; what follows them is nothing."""
    held, rest = bytearray(), body
    while rest.startswith(_GZIP) and len(held) <= limit:
        engine = isal_zlib.decompressobj(wbits=31)
        try:
            held += engine.decompress(rest, limit + 1 - len(held))
        except GZIP_ERROR as error:
            if not held:
                raise BodyError(f"a gzip body of {len(body):,} bytes is damaged") from error
            break
        rest = engine.unused_data if engine.eof else b""
    return bytes(held)


def _inflated(body: bytes, limit: int) -> bytes:
    """Return a deflated body, with the header that the standard asks for or, as many servers send it, without."""
    for wbits in (15, -15):
        try:
            if content := isal_zlib.decompressobj(wbits=wbits).decompress(body, limit + 1):
                return bytes(content)
        except GZIP_ERROR:
            pass  # not this one of the two, or not deflated any more
    return _as_it_is("deflate", body)


def _unbrotli(body: bytes, limit: int) -> bytes:
    import brotli

    engine, held = brotli.Decompressor(), bytearray()
    try:
        held += engine.process(body, output_buffer_limit=limit + 1)
        while not engine.is_finished() and len(held) <= limit and not engine.can_accept_more_data():
            held += engine.process(b"", output_buffer_limit=limit + 1 - len(held))
    except brotli.error:
        return _as_it_is("br", body)
    return bytes(held)


def _unzstd(body: bytes, limit: int) -> bytes:
    engine = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
    try:
        return engine.read(limit + 1)
    except zstandard.ZstdError:
        return _as_it_is("zstd", body)


def _as_it_is(name: str, body: bytes) -> bytes:
    """Return a body that a header wrongly calls encoded; compressed bytes never pass for text."""
    seen = body[:_SEEN]
    if b"\0" in seen or (b"<" not in seen and not body.isascii()):
        raise BodyError(f"a body of {len(body):,} bytes cannot be decoded as {name}")
    return body
