"""Archives (.tar, .zip): every file in one is read as if it lay beside it. Nothing is ever unpacked to a disk.

A member whose name leaves the archive (absolute, with `..`), or that is no plain file (a link, a device), is refused.
"""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from tasks.ingest.damage import damaged
from tasks.ingest.records import Refusal

_BLOCK = 1 << 20
# Names and attributes of a member beyond it are no names: tarfile would hold them whole.
_MAX_HEADER_BYTES = 1 << 20


class Member(NamedTuple):
    """A file in an archive: its name, where it begins (tar: in the unpacked stream), its size, and how to read it."""

    name: str
    offset: int
    bytes: int
    open: Callable[[], Any]


def read_tar(blocks: Iterator[bytes], location: str) -> Iterator[Member | Refusal]:
    """Yield the files of a tar stream in order; each must be read before the next is asked for.

    Raises:
        DataError: the archive is damaged.
    """
    place = 0
    try:
        stream = _Stream(blocks)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header, encoding="utf-8", errors="replace") as archive:
            while (info := archive.next()) is not None:
                # The archive would remember every member it has seen.
                archive.members.clear()  # type: ignore[attr-defined]
                place = info.offset
                if info.isdir():
                    continue
                kind = "" if info.isreg() else _kind(info)
                if (refusal := _unsafe(info.name, kind, place, info.size)) is not None:
                    yield refusal
                else:
                    yield Member(info.name, place, info.size, partial(archive.extractfile, info))
    except tarfile.TarError as error:
        raise damaged(location, f"the tar archive is damaged ({type(error).__name__})", place) from error


def read_zip(stream: Any, location: str, max_expansion: float | None, floor: int) -> Iterator[Member | Refusal]:
    """Yield the files of a zip archive in the order of its directory.

    Raises:
        DataError: the archive is damaged.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                place, size = info.header_offset, info.file_size
                link = (info.external_attr >> 16) & 0o170000 == 0o120000
                if (refusal := _unsafe(info.filename, "a link" if link else "", place, size)) is not None:
                    yield refusal
                elif info.flag_bits & 1:
                    yield Refusal(place, size, "encrypted", ascii(info.filename))
                elif max_expansion is not None and size > max(floor, max_expansion * info.compress_size):
                    detail = f"{info.filename!a}: {size:,} bytes in {info.compress_size:,} (ingest.max_expansion)"
                    yield Refusal(place, size, "member_bomb", detail)
                else:
                    yield Member(info.filename, place, size, partial(archive.open, info))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise damaged(location, f"the zip archive is damaged ({type(error).__name__})", 0) from error


def content(member: Member, name: str) -> Iterator[bytes]:
    """Yield the bytes of a member in blocks; `name` is what it is called in a message.

    Raises:
        DataError: the member is damaged.
    """
    try:
        with member.open() as stream:
            while block := stream.read(_BLOCK):
                yield block
    except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise damaged(name, f"its bytes in the archive are damaged ({type(error).__name__})", 0) from error


def held(blocks: Iterable[bytes]) -> io.BytesIO:
    """Return a member in memory, for a format that is not read from the first byte to the last."""
    return io.BytesIO(b"".join(blocks))


def _unsafe(name: str, kind: str, place: int, num_bytes: int) -> Refusal | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    leaves = ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":" or "\0" in name
    if not (leaves or kind):
        return None
    what = kind or "a name that leaves the archive"
    return Refusal(place, num_bytes, "unsafe_archive_path", f"{name[:100]!a}: {what}")


def _kind(info: tarfile.TarInfo) -> str:
    return "a link" if info.issym() or info.islnk() else "no plain file (a device, a pipe, ...)"


class _Header(tarfile.TarInfo):
    """A member's header that does not read long names and attributes without limit."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not self.isreg() and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header of a member is too long")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


class _Stream(io.RawIOBase):
    """Blocks as a stream that can only be read on, which is all tarfile asks for."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks, self._rest = blocks, b""

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        assert size >= 0, "tarfile reads piece by piece"
        pieces = []
        while size > 0:
            self._rest = self._rest or next(self._blocks, b"")
            if not self._rest:
                break
            piece, self._rest = self._rest[:size], self._rest[size:]
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
