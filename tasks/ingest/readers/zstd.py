"""zstd streams: several frames, long windows, and a dictionary of its own at the beginning (as in `.warc.zst`)."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol

import zstandard

from tasks.ingest.damage import DamagedFileError, unusable

_FRAME = b"\x28\xb5\x2f\xfd"
# The frame, skipped by those who do not know it, that holds the dictionary of all others (specification of WARC.zst).
_DICTIONARY = b"\x5d\x2a\x4d\x18"
# What is fetched of one before it is believed; dictionaries in use have about 1 MB.
_MAX_DICTIONARY = 16 << 20
# A block of 4 bytes can give 128 KiB, so 512 bytes can give 16 MiB: what comes out of one piece bounds the memory.
_PIECE = 512
# The header of a frame has at most so many bytes.
_HEADER = 18


class Progress(Protocol):
    """How far a stream was read."""

    location: str
    read: int

    def damaged(self, what: str) -> DamagedFileError:
        """Return the error that says what is wrong, and how far the stream could be read."""


def unzstd(blocks: Iterator[bytes], progress: Progress, max_window: int) -> Iterator[bytes]:
    """Yield the content of a zstd stream; a window (the memory a frame asks for) has at most `max_window` bytes.

    Raises:
        DataError: the stream is damaged or truncated, or needs a longer window or a dictionary that is not there.
    """
    dictionary, blocks = _dictionary(blocks, progress)
    engine, head = _engine(dictionary, max_window), b""
    for block in blocks:
        for start in range(0, len(block), _PIECE):
            rest = block[start : start + _PIECE]
            progress.read += len(rest)
            while rest:
                if engine.eof:
                    engine, head = _engine(dictionary, max_window), b""
                head += rest[: _HEADER - len(head)]
                try:
                    content = engine.decompress(rest)
                except zstandard.ZstdError as error:
                    raise _explained(error, head, dictionary, progress, max_window) from error
                rest = engine.unused_data if engine.eof else b""
                if content:
                    yield content
    if not engine.eof:
        raise progress.damaged("ends before its end marker: it is truncated")


def _engine(dictionary: zstandard.ZstdCompressionDict | None, max_window: int) -> Any:
    return zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=max_window).decompressobj()


def _dictionary(
    blocks: Iterator[bytes], progress: Progress
) -> tuple[zstandard.ZstdCompressionDict | None, Iterator[bytes]]:
    """Return the dictionary that a stream begins with, if it does, and the stream behind it."""
    held = _at_least(blocks, 8)
    if held[:4] != _DICTIONARY:
        return None, chain([held], blocks)
    size = int.from_bytes(held[4:8], "little")
    if size > _MAX_DICTIONARY:
        raise progress.damaged(f"begins with a dictionary of {size:,} bytes, which is none")
    held += _at_least(blocks, 8 + size - len(held))
    progress.read += 8 + size
    data = held[8 : 8 + size]
    try:
        if data[:4] == _FRAME:
            data = zstandard.ZstdDecompressor().stream_reader(data).read(_MAX_DICTIONARY)
        return zstandard.ZstdCompressionDict(data), chain([held[8 + size :]], blocks)
    except zstandard.ZstdError as error:
        raise progress.damaged(f"begins with a dictionary that is damaged ({error})") from error


def _at_least(blocks: Iterator[bytes], num_bytes: int) -> bytes:
    held = bytearray()
    while len(held) < num_bytes and (block := next(blocks, b"")):
        held += block
    return bytes(held)


def _explained(
    error: Exception,
    head: bytes,
    dictionary: zstandard.ZstdCompressionDict | None,
    progress: Progress,
    max_window: int,
) -> DamagedFileError:
    """Tell a frame that asks for more than it is given from one that is damaged."""
    try:
        asked = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError:
        return progress.damaged(f"is damaged ({error})")
    if asked.window_size > max_window:
        what = f"the zstd stream needs a window of {asked.window_size:,} bytes, the limit is {max_window:,}"
        return unusable(progress.location, "unreadable_file", what, "Raise ingest.max_zstd_window_bytes")
    if asked.dict_id and (dictionary is None or dictionary.dict_id() != asked.dict_id):
        what = f"the zstd stream was written with dictionary {asked.dict_id}, which is not in the file"
        return unusable(progress.location, "unreadable_file", what, "Unpack it with that dictionary")
    return progress.damaged(f"is damaged ({error})")
