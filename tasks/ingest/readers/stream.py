"""A file as a stream of blocks: its digest verified on the way, decompressed in bounded memory."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import zstandard

from tasks.core.errors import DataError
from tasks.ingest.formats import Compression
from tasks.ingest.places import opened

_BLOCK = 1 << 20


class _Engine(Protocol):
    """What zlib's and zstandard's decompression objects share."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class _Codec:
    """A compression. `piece_bytes` are fed at a time: what comes out of one piece bounds the memory."""

    name: str
    start: Callable[[], Any]
    piece_bytes: int
    error: type[Exception]


# Deflate gives at most 1,032 bytes per byte; a zstd block of 4 bytes can give 128 KiB, so 512 can give 16 MiB.
_GZIP = _Codec("gzip", lambda: zlib.decompressobj(wbits=31), 8192, zlib.error)
_ZSTD = _Codec("zstd", lambda: zstandard.ZstdDecompressor().decompressobj(), 512, zstandard.ZstdError)


def verified_blocks(location: str, digest: str) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of at most 1 MiB.

    Raises:
        DataError: it cannot be read, or, after the last block, it is not the file that was listed.
    """
    state = hashlib.sha256()
    with opened(location) as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
            yield block
    if state.hexdigest() != digest:
        raise DataError(
            f"{location}: its content changed since it was listed (SHA-256 {state.hexdigest()[:12]}, "
            f"not {digest[:12]}). List the input again, or get the listed file back."
        )


def decompressed(blocks: Iterator[bytes], compression: Compression | None, location: str) -> Iterator[bytes]:
    """Yield the content of a compressed stream in blocks; several members or frames are read one after another.

    Raises:
        DataError: the stream is damaged, or ends before its end marker; says how far it could be read.
    """
    match compression:
        case None:
            yield from blocks
        case "gzip":
            yield from _expanded(blocks, _GZIP, location)
        case "zstd":
            yield from _expanded(blocks, _ZSTD, location)
        case _:
            assert_never(compression)


def _expanded(blocks: Iterator[bytes], codec: _Codec, location: str) -> Iterator[bytes]:
    engine: _Engine = codec.start()
    read = given = 0
    for piece in _pieces(blocks, codec.piece_bytes):
        read += len(piece)
        rest = piece
        while rest:
            if engine.eof:
                # gzip allows zero bytes after a member, as padding; anything else begins the next one.
                rest = rest.lstrip(b"\0") if codec is _GZIP else rest
                engine = codec.start() if rest else engine
                continue
            try:
                content = engine.decompress(rest)
            except codec.error as error:
                raise DataError(_damage(location, codec, f"is damaged ({error})", read, given)) from error
            rest = engine.unused_data if engine.eof else b""
            given += len(content)
            yield content
    if not engine.eof:
        raise DataError(_damage(location, codec, "ends before its end marker: it is truncated", read, given))


def _damage(location: str, codec: _Codec, what: str, read: int, given: int) -> str:
    return (
        f"{location}: the {codec.name} stream {what}, after {read:,} compressed bytes, which gave {given:,} bytes of "
        "content. Nothing of this file was used. Get the file again, or leave it out of the input."
    )


def _pieces(blocks: Iterator[bytes], piece_bytes: int) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), piece_bytes):
            yield block[start : start + piece_bytes]
