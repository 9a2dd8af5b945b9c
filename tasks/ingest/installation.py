"""The files of a Python installation that hold text, by kind, in an order that spreads a sample over all packages."""

import hashlib
import os
import sysconfig
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

Kind = Literal["code", "data", "docstrings", "headers", "licences", "pydoc_topics", "readmes", "tests"]

_DATA = {
    *(".json", ".csv", ".tsv", ".txt", ".toml", ".yaml", ".yml", ".xml", ".html", ".css", ".cfg", ".ini", ".proto"),
    *(".rst", ".md", ".afm", ".dectest", ".graphql", ".sql"),
}
_HEADERS = {".h", ".hh", ".hpp", ".hxx", ".cuh", ".pxd"}
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "AUTHORS")
_TEST_FOLDERS = {"test", "tests", "testing", "idle_test"}
# An editable install holds absolute paths of this machine; Mixwright's own metadata change with its README.
_OWN = ("__editable__", "mixwright-")
_SKIPPED = {"__pycache__", "site-packages", "dist-packages", "node_modules", "lib-dynload"}


@dataclass(frozen=True)
class Installed:
    """One file: its name below a folder of the installation (the same on every machine), and where it lies here."""

    name: str
    path: Path


def installed_files() -> Mapping[Kind, Sequence[Installed]]:
    """Return the installation's text files by kind, each kind in sampling order.

    The order takes one file of every package, then a second one of every package, and so on; within a package it
    follows a hash of the name. So no package dominates, and which files there are elsewhere does not matter.
    """
    found: dict[Kind, list[Installed]] = {kind: [] for kind in get_args(Kind)}
    for label, root in sorted(_roots().items()):
        for name in _names(root):
            if (kind := _kind(label, PurePosixPath(name))) is not None:
                found[kind].append(Installed(f"{label}/{name}", root / name))
    return {kind: _spread(files) for kind, files in found.items()}


def _roots() -> dict[str, Path]:
    """Return the folders to look in; `purelib` and `platlib` are one folder on most machines."""
    roots = {"include": "include", "site-packages": "purelib", "stdlib": "stdlib"}
    return {label: Path(sysconfig.get_path(key)) for label, key in roots.items()}


def _names(root: Path) -> Iterator[str]:
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if name not in _SKIPPED and not name.startswith((".", *_OWN)))
        below = Path(folder).relative_to(root)
        yield from ((below / name).as_posix() for name in sorted(names) if not name.startswith(_OWN))


def _kind(label: str, name: PurePosixPath) -> Kind | None:
    """Return what a file counts as, by its name; None for what is not sampled."""
    folders, suffix = set(name.parts[:-1]), name.suffix.lower()
    about_package = any(folder.endswith((".dist-info", ".egg-info")) for folder in folders)
    if name.name.upper().startswith(_LICENCES) and suffix != ".py":
        return "licences"
    if about_package:
        return "readmes" if name.name == "METADATA" else None
    if suffix in _HEADERS or label == "include":
        return "headers" if suffix in _HEADERS else None
    if suffix == ".py":
        return _python_kind(label, name, folders)
    return "data" if suffix in _DATA else None


def _python_kind(label: str, name: PurePosixPath, folders: set[str]) -> Kind:
    if (label, name.as_posix()) == ("stdlib", "pydoc_data/topics.py"):
        return "pydoc_topics"
    if folders & _TEST_FOLDERS or name.name.startswith("test_") or name.name.endswith(("_test.py", "_tests.py")):
        return "tests"
    # A file gives its docstrings or its code, never both: the same text in two domains would leak between splits.
    return "docstrings" if _hash(name.as_posix())[0] % 2 else "code"


def _spread(files: Sequence[Installed]) -> list[Installed]:
    packages: dict[str, list[Installed]] = defaultdict(list)
    for file in files:
        packages["/".join(file.name.split("/")[:2])].append(file)
    ranked = [
        (rank, _hash(file.name), file)
        for package in packages.values()
        for rank, file in enumerate(sorted(package, key=lambda one: _hash(one.name)))
    ]
    return [file for _, _, file in sorted(ranked, key=lambda one: one[:2])]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
