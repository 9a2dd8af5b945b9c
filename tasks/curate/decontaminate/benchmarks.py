"""Benchmarks: the params that name them, which files there are, and the texts in them."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tasks.core.errors import ConfigError, DataError
from tasks.core.json_lines import read_lines
from tasks.curate.decontaminate.params import NgramParams


class Decontaminate(NgramParams):
    """A document that shares n consecutive words with a benchmark is contaminated.

    Attributes:
        benchmarks: JSONL files (.jsonl, .jsonl.gz), paths or globs; each is one benchmark, called as its file.
        fields: the fields of an item whose text counts; None: every string, also in lists and mappings.
        min_hits: n-grams of one benchmark that a document must hold.
    """

    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)]
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    min_hits: Annotated[int, Field(ge=1)] = 1


_SUFFIXES = (".gz", ".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class Benchmark:
    """The texts of every item of a benchmark."""

    name: str
    items: tuple[tuple[str, ...], ...]


def benchmark_files(config: Decontaminate) -> dict[str, Path]:
    """Return the file of every benchmark by name, in alphabetical order.

    Raises:
        ConfigError: a path does not exist, a glob matches nothing, or two files have the same name.
    """
    return named_files(config.benchmarks, "decontaminate.benchmarks")


def named_files(patterns: Sequence[str], setting: str) -> dict[str, Path]:
    """Return the JSONL files that a setting names by paths or globs, by their names, in alphabetical order.

    Raises:
        ConfigError: a path does not exist, a glob matches nothing, or two files have the same name.
    """
    files: dict[str, Path] = {}
    for pattern in patterns:
        for path in _matches(pattern, setting):
            name = _name(path)
            if files.setdefault(name, path).resolve() != path.resolve():
                raise ConfigError(
                    f"{setting}: {files[name]} and {path} would both be called {name}. Rename one of them."
                )
    return dict(sorted(files.items()))


def read_benchmark(name: str, path: Path, fields: tuple[str, ...] | None) -> Benchmark:
    """Return the texts of a benchmark, item by item: of the named fields, or every string there is.

    Raises:
        DataError: the file cannot be read, a line is no JSON object (says which), or there is no item.
        ConfigError: no item has text in these fields.
    """
    items = tuple(tuple(_texts(item, fields)) for _, item in read_lines([path]))
    if not items:
        raise DataError(f"{path}: there is no item in it. Name a JSONL file with one benchmark item per line.")
    if not any(items):
        missing = "a string" if fields is None else f"text in the field(s) {', '.join(fields)}"
        raise ConfigError(
            f"{path}: none of its {len(items):,} items has {missing}. Set `fields` to those that hold the text."
        )
    return Benchmark(name, items)


def _matches(pattern: str, setting: str) -> list[Path]:
    found = [Path(pattern)] if Path(pattern).is_file() else map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207  a pattern may be absolute
    if files := [path for path in found if path.is_file()]:
        return files
    kind = "the glob matches no file" if glob.has_magic(pattern) else "there is no such file"
    raise ConfigError(f"{setting}: {pattern}: {kind}. Name JSONL files, one record a line.")


def _name(path: Path) -> str:
    name = path.name
    while (suffix := Path(name).suffix.lower()) in _SUFFIXES:
        name = name[: -len(suffix)]
    return name


def _texts(item: dict[str, Any], fields: tuple[str, ...] | None) -> Iterator[str]:
    chosen = item if fields is None else {name: item[name] for name in fields if name in item}
    yield from strings(chosen)


def strings(value: Any) -> Iterator[str]:
    """Yield every string of a value, also in lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
