"""Lines of a stream, none ever held beyond a limit: a longer one is skipped, and its place and length are told."""

import builtins
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Line(NamedTuple):
    """A line without its newline. `data` is None where it is longer than the limit."""

    offset: int
    bytes: int
    data: builtins.bytes | None


def lines(blocks: Iterable[bytes], max_bytes: int, offset: int = 0) -> Iterator[Line]:
    r"""Yield the lines of a stream, ended by `\n`; a last one without newline counts, an empty rest does not.

    `offset` is where the stream begins.

    >>> [(line.offset, line.bytes, line.data) for line in lines([b"a\nlo", b"ng\nc"], 3)]
    [(0, 1, b'a'), (2, 4, None), (7, 1, b'c')]
    """
    held: list[bytes] = []
    num_bytes = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        num_bytes += len(first)
        if num_bytes <= max_bytes:
            held.append(first)
        else:
            held.clear()
        if not others:
            continue
        yield Line(offset, num_bytes, b"".join(held) if num_bytes <= max_bytes else None)
        offset += num_bytes + 1
        last = others.pop()
        for piece in others:
            size = len(piece)
            yield Line(offset, size, piece if size <= max_bytes else None)
            offset += size + 1
        held, num_bytes = [last] if len(last) <= max_bytes else [], len(last)
    if num_bytes:
        yield Line(offset, num_bytes, b"".join(held) if num_bytes <= max_bytes else None)
