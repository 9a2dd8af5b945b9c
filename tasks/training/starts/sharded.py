"""Weights in several safetensors files, with an index that says which tensor is in which, as `transformers` writes it."""

import json
from collections.abc import Mapping
from pathlib import Path

from tasks.core.errors import DataError
from tasks.training.published_run import WEIGHTS_FILE

INDEX_FILE = f"{WEIGHTS_FILE}.index.json"
_SHOWN = 3


def shards(index: Path) -> tuple[Path, ...]:
    """Return the files that an index names, in the order of their names.

    Raises:
        DataError: it is no index, a file is missing or cannot be read, or files hold other tensors than it says.
    """
    files = _files(index)
    places: dict[str, list[str]] = {}
    for name in sorted({*files.values()}):
        for tensor in _tensors(index.parent / name):
            places.setdefault(tensor, []).append(name)
    wrong = [
        f"{tensor} is in {' and '.join(places.get(tensor, ['none of them']))}, not in {files.get(tensor, 'the index')}"
        for tensor in sorted(files.keys() | places.keys())
        if places.get(tensor) != [files.get(tensor)]
    ]
    if wrong:
        shown = "; ".join(wrong[:_SHOWN])
        raise DataError(
            f"{index}: the files hold other tensors than it says, {len(wrong)} of {len(files.keys() | places.keys())} are "
            f"not where they should be; first: {shown}. Get index and files again, from one version of the model."
        )
    return tuple(index.parent / name for name in sorted({*files.values()}))


def _files(index: Path) -> Mapping[str, str]:
    """Return the name of the file that each tensor is in."""
    again = "Get the file again."
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(f"{index}: it is no index of weights: {error!r}. {again}") from error
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        raise DataError(f"{index}: its weight_map does not name a file for each tensor. {again}")
    if outside := sorted(name for name in {*files.values()} if Path(name).name != name or Path(name).suffix == ".bin"):
        raise DataError(
            f"{index}: it names {outside[0]!r}, and weights are read of safetensors files beside it. {again}"
        )
    names = sorted({*files.values()})
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise DataError(
            f"{index}: {len(missing)} of the {len(names)} files that it names are missing; first: {missing[0]}. Get them."
        )
    return files


def _tensors(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except SafetensorError as error:
        raise DataError(f"{path}: the weights cannot be read: {error}. Get the file again.") from error
