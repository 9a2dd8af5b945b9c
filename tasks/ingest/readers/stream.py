"""A file as a stream of blocks: its digest verified on the way, decompressed in bounded memory."""

import bz2
import hashlib
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, assert_never, cast

from isal import isal_zlib

from tasks.core.errors import DataError
from tasks.ingest.damage import DamagedFileError, damaged
from tasks.ingest.formats import Compression
from tasks.ingest.places import opened, printable
from tasks.ingest.readers.zstd import unzstd

# Typed as a value in the library's stubs.
GZIP_ERROR = cast(type[Exception], isal_zlib.error)
_BLOCK = 1 << 20
# Below it nothing is called a bomb: a short stream of zeros is harmless.
EXPANSION_FLOOR = 64_000_000
# The largest window that zstd can have: `--long=31`, as dumps of forums are packed.
MAX_ZSTD_WINDOW = 1 << 31
# What xz may take: its highest preset needs 65 MiB.
_XZ_MEMORY = 512 << 20


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
            f"{printable(location)}: its content changed since it was listed (SHA-256 {state.hexdigest()[:12]}, "
            f"not {digest[:12]}). List the input again, or get the listed file back."
        )


def decompressed(
    blocks: Iterator[bytes],
    compression: Compression | None,
    location: str,
    max_expansion: float | None = None,
    max_window: int = MAX_ZSTD_WINDOW,
) -> Iterator[bytes]:
    """Yield the content of a compressed stream in blocks; several members or frames are read one after another.

    Raises:
        DataError: the stream is damaged, ends before its end marker, or is a bomb; says how far it could be read.
    """
    match compression:
        case None:
            yield from blocks
            return
        case "gzip":
            content = _gunzipped(blocks, progress := _Progress("gzip", location))
        case "zstd":
            content = unzstd(blocks, progress := _Progress("zstd", location), max_window)
        case "bzip2":
            content = _unpacked(blocks, progress := _Progress("bzip2", location), bz2.BZ2Decompressor, OSError)
        case "xz":
            engine = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _XZ_MEMORY)
            content = _unpacked(blocks, progress := _Progress("xz", location), engine, lzma.LZMAError)
        case _:
            assert_never(compression)
    for block in content:
        progress.given += len(block)
        if max_expansion is not None and progress.given > max(EXPANSION_FLOOR, max_expansion * progress.read):
            limit = f"the limit (ingest.max_expansion) is {max_expansion:g} times"
            raise progress.damaged(f"is a decompression bomb, {limit}")
        yield block


def skipped(blocks: Iterator[bytes], num_bytes: int) -> Iterator[bytes]:
    """Yield a stream without its first `num_bytes`."""
    for block in blocks:
        if num_bytes >= len(block):
            num_bytes -= len(block)
            continue
        yield block[num_bytes:]
        num_bytes = 0


class _Progress:
    """How far a stream was read: compressed bytes in, content out."""

    def __init__(self, name: str, location: str) -> None:
        self.read = self.given = 0
        self._name, self.location = name, location

    def damaged(self, what: str) -> DamagedFileError:
        """Return the error that says what is wrong and how far the stream could be read."""
        far = f"after {self.read:,} compressed bytes, which gave {self.given:,} bytes of content"
        return damaged(self.location, f"the {self._name} stream {what}, {far}", self.read)


def _gunzipped(blocks: Iterator[bytes], progress: _Progress) -> Iterator[bytes]:
    engine: Any = isal_zlib.decompressobj(wbits=31)
    for block in blocks:
        progress.read += len(block)
        rest = block
        while rest:
            if engine.eof:
                # gzip allows zero bytes after a member, as padding; anything else begins the next one.
                rest = rest.lstrip(b"\0")
                engine = isal_zlib.decompressobj(wbits=31) if rest else engine
                continue
            try:
                content = engine.decompress(rest, _BLOCK)
            except GZIP_ERROR as error:
                raise progress.damaged(f"is damaged ({error})") from error
            rest = engine.unused_data if engine.eof else engine.unconsumed_tail
            if content:
                yield content
    if not engine.eof:
        raise progress.damaged("ends before its end marker: it is truncated")


def _unpacked(
    blocks: Iterator[bytes], progress: _Progress, new: Callable[[], Any], errors: type[Exception]
) -> Iterator[bytes]:
    """Yield the content of a bzip2 or xz stream; zero bytes may stand between its members and behind the last."""
    engine = new()
    for block in blocks:
        progress.read += len(block)
        rest = block
        while rest or not (engine.eof or engine.needs_input):
            if engine.eof:
                rest = rest.lstrip(b"\0")
                engine = new() if rest else engine
                continue
            try:
                content = engine.decompress(rest, _BLOCK)
            except errors as error:
                raise progress.damaged(f"is damaged ({error})") from error
            rest = engine.unused_data if engine.eof else b""
            if content:
                yield content
    if not engine.eof:
        raise progress.damaged("ends before its end marker: it is truncated")
