"""Checkpoints of a run, or of a stack of them: safetensors and JSON, written whole or not at all, never unpickled."""

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.core.digest import digest_file
from tasks.core.errors import DamagedError, DataError
from tasks.core.sealed import read_sealed, write_sealed
from tasks.training.loop import TrainingState

KEEP = 2
_STATE, _RECORD, _PREFIX = "state.safetensors", "checkpoint.json", "step-"
_log = logging.getLogger(__name__)


def save(progress: TrainingState, folder: Path, identity: str) -> None:
    """Write a checkpoint of the step reached, and keep the last two."""
    record = {"losses": progress.losses, "counts": [list(step) for step in progress.counts]}
    write(folder, identity, progress.step, _tensors(progress), record)


def write(folder: Path, identity: str, step: int, tensors: dict[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors and a JSON record as the checkpoint of `step`, and keep the last two.

    A crash at any moment leaves the checkpoints before it: the new one gets its name when it is on the disk.
    """
    from safetensors.torch import save_file

    final = folder / f"{_PREFIX}{step:09d}"
    attempt = folder / f".attempt-{uuid.uuid4().hex[:8]}"
    attempt.mkdir(parents=True)
    save_file(tensors, attempt / _STATE)
    write_sealed(
        attempt / _RECORD, {"identity": identity, "step": step, **record, "state": digest_file(attempt / _STATE)}
    )
    for path in (attempt / _STATE, attempt / _RECORD, attempt):
        _flush(path)
    _take_place(attempt, final)
    _flush(folder)
    for path in _newest_first(folder)[KEEP:]:
        shutil.rmtree(path, ignore_errors=True)


def _take_place(attempt: Path, final: Path) -> None:
    """Rename an attempt; a checkpoint of this step that was passed over as damaged gives way."""
    try:
        attempt.rename(final)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise
        shutil.rmtree(final)
        attempt.rename(final)


def restore(progress: TrainingState, folder: Path, identity: str) -> bool:
    """Put the newest intact checkpoint into `progress`; return False when there is none.

    Raises:
        DataError: the folder holds checkpoints of another run.
    """
    found = steps(folder, identity)
    if not found:
        return False
    tensors, record = read(folder, found[0])
    _put(progress, tensors)
    progress.losses = list(record["losses"])
    progress.counts = [tuple(step) for step in record["counts"]]
    return True


def read(folder: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and record of an intact checkpoint: one that `steps` told."""
    from safetensors.torch import load_file

    path = folder / f"{_PREFIX}{step:09d}"
    return load_file(path / _STATE), read_sealed(path / _RECORD)


def steps(folder: Path, identity: str) -> list[int]:
    """Return the steps of the intact checkpoints, newest first.

    A damaged checkpoint is passed over for the one before: the steps between are made again, to the same bits.

    Raises:
        DataError: the folder holds checkpoints of another run.
    """
    found = []
    for path in _newest_first(folder):
        try:
            record = _record(path)
        except DamagedError as error:
            _log.warning("%s It is passed over; the steps behind the one before it are made again.", error)
            continue
        if record["identity"] != identity:
            raise DataError(
                f"{path}: a checkpoint of another run (other recipe, seed, config or tokens). Give each run a folder "
                "of its own, or remove this one."
            )
        found.append(int(record["step"]))
    return found


def _tensors(progress: TrainingState) -> dict[str, Tensor]:
    weights = {name: weight.detach().contiguous() for name, weight in progress.model.weights.items()}
    return {**weights, "adam.mean": progress.adam.mean, "adam.square": progress.adam.square}


@torch.no_grad()
def _put(progress: TrainingState, tensors: dict[str, Tensor]) -> None:
    for name, weight in progress.model.weights.items():
        weight.copy_(tensors[name])
    progress.adam.mean.copy_(tensors["adam.mean"])
    progress.adam.square.copy_(tensors["adam.square"])


def _record(path: Path) -> dict[str, Any]:
    """Return the record of a checkpoint whose files are whole."""
    record = read_sealed(path / _RECORD)
    try:
        intact = digest_file(path / _STATE) == record["state"] and path.name == f"{_PREFIX}{record['step']:09d}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path}: it cannot be read: {error!r}.") from error
    if not intact:
        raise DamagedError(f"{path}: its state is not what was written.")
    return record


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"), reverse=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
