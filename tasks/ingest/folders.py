"""Folders of this machine: their files, each once, and what is passed over.

A link is followed when it leads to a place inside the folder that was named, or inside a root that was allowed; a
stranger's folder must not make a document of `~/.ssh`. Pipes, sockets and devices are refused: to open one may wait for
ever, and an input is read twice.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.errors import DataError

HIDDEN = "hidden"
_OUTSIDE = "link that leads outside"
_BROKEN = "link that leads nowhere"
_TWICE = "link to what is listed already"
_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass
class Walk:
    """What was found below a folder: files, and what was passed over, as (path, why)."""

    files: list[str] = field(default_factory=list)
    passed: list[tuple[str, str]] = field(default_factory=list)


def walk(paths: Iterable[str], root: str, link_roots: Sequence[str] = ()) -> Walk:
    """Return the files among `paths`, all below `root`, and in the folders among them.

    Files and folders come first and links last, so that a file that is both there and linked has its own name.

    Raises:
        DataError: one is a pipe, a socket or a device.
        OSError: a folder cannot be read.
    """
    return _Walker(root, link_roots).walk(paths)


def require_plain(path: str) -> None:
    """Check that a path leads to a file or a folder.

    Raises:
        DataError: it is a pipe, a socket or a device.
    """
    if kind := _SPECIAL.get(stat.S_IFMT(Path(path).stat().st_mode)):
        raise DataError(
            f"{path}: this is {kind}. An input is read twice, for its digest and for its records, and a {kind[2:]} can be "
            "read once or never ends. Write what comes out of it into a file, and name that."
        )


class _Walker:
    def __init__(self, root: str, link_roots: Sequence[str]) -> None:
        self._found = Walk()
        self._root, self._real_root = root, os.path.realpath(root)
        self._allowed = [self._real_root, *map(os.path.realpath, link_roots)]
        # Real paths of the files listed, and of the folders walked through.
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def walk(self, paths: Iterable[str]) -> Walk:
        links = []
        for path in sorted(paths):
            links += self._visit(path)
        while links:
            links += self._follow(links.pop(0))
        self._found.files.sort()
        return self._found

    def _visit(self, path: str) -> list[str]:
        """List a file, or what is in a folder; return the links that were met."""
        real = os.path.realpath(path)
        if real != self._expected(path):
            return [path]
        return self._list(path, real)

    def _expected(self, path: str) -> str:
        """Return the real path of a path below the root on which there is no link."""
        below = os.path.relpath(path, self._root)
        return self._real_root if below == "." else f"{self._real_root.rstrip('/')}/{below}"

    def _follow(self, link: str) -> list[str]:
        real = os.path.realpath(link)
        if not Path(link).exists():
            self._found.passed.append((link, _BROKEN))
        elif not any(os.path.commonpath((real, root)) == root for root in self._allowed):
            self._found.passed.append((link, _OUTSIDE))
        elif real in self._files or real in self._folders:
            self._found.passed.append((link, _TWICE))
        else:
            return self._list(link, real)
        return []

    def _list(self, path: str, real: str) -> list[str]:
        require_plain(path)
        if not Path(path).is_dir():
            self._files.add(real)
            self._found.files.append(path)
            return []
        links: list[str] = []
        self._folders.add(real)
        with os.scandir(path) as entries:
            inner = sorted(entries, key=lambda entry: entry.name)
        for entry in inner:
            if entry.name.startswith("."):
                self._found.passed.append((entry.path, HIDDEN))
            elif entry.is_symlink():
                links.append(entry.path)
            elif (there := f"{real}/{entry.name}") not in self._files and there not in self._folders:
                links += self._list(entry.path, there)
        return links
