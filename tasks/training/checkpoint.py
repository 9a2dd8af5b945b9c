"""Checkpoints of a run, or of a stack of them: safetensors and JSON, written whole or not at all, never unpickled.

A run that goes on does not wait for the disk: `CheckpointWriter` takes a copy of the tensors and writes it in a thread. The
bytes are those of `write`.
"""

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from tasks.core.digest import digest_file
from tasks.core.errors import DamagedError, DataError
from tasks.core.sealed import read_sealed, write_sealed
from tasks.training.config import TrainingConfig
from tasks.training.published_run import MILESTONES, RECORD_FILE, STATE_FILE, checkpoint_name
from tasks.training.tensor_file import read_tensors, write_tensors
from tasks.training.types import CheckpointError

KEEP = 2
_ATTEMPT = ".attempt-"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on behind a step: tensors by name, and a record of plain JSON values.

    `identity` says whose it is: all that decides the run's weights.
    """

    folder: Path
    identity: str
    step: int
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """Which checkpoints stay: the `last` so many, and those whose step is a multiple of `milestone_every`."""

    last: int = KEEP
    milestone_every: int | None = None


def kept_by(training: TrainingConfig) -> Kept:
    """Return which checkpoints a config keeps."""
    return Kept(training.keep_checkpoints or KEEP, training.milestone_every_steps)


def is_due(training: TrainingConfig, step: int, every: int | None) -> bool:
    """Return whether a checkpoint is due: every so many steps (None = never), at milestones, and at the end of the run.

    The last one, so that a kill while the finished model is measured or written costs nothing.
    """
    milestone = training.milestone_every_steps
    regular = every is not None and step % every == 0
    return regular or step == training.num_steps or (milestone is not None and step % milestone == 0)


def write(checkpoint: Checkpoint, kept: Kept) -> None:
    """Write a checkpoint, and remove those that need not be kept.

    A crash at any moment leaves the checkpoints before it: the new one gets its name when it is on the disk.

    Raises:
        CheckpointError: the disk refuses it; the checkpoints before it are kept.
    """
    folder, attempt = checkpoint.folder, checkpoint.folder / f"{_ATTEMPT}{uuid.uuid4().hex[:8]}"
    try:
        # One process writes here, one checkpoint at a time: other attempts are what killed ones left.
        for dead in folder.glob(f"{_ATTEMPT}*"):
            shutil.rmtree(dead, ignore_errors=True)
        attempt.mkdir(parents=True)
        state = write_tensors(attempt / STATE_FILE, checkpoint.tensors)
        own = {"identity": checkpoint.identity, "step": checkpoint.step, "state": state}
        write_sealed(attempt / RECORD_FILE, {**checkpoint.record, **own})
        for path in (attempt / RECORD_FILE, attempt):
            _flush(path)
        _take_place(attempt, _path(folder, checkpoint.step))
        _flush(folder)
    except OSError as error:
        shutil.rmtree(attempt, ignore_errors=True)
        raise _refused(checkpoint, error) from error
    # A newer one was passed over as damaged: it is made again, and counts for nothing here.
    found = [path for path in _newest_first(folder) if _step(path) <= checkpoint.step]
    for path in found[kept.last :]:
        if kept.milestone_every is None or _step(path) % kept.milestone_every:
            shutil.rmtree(path, ignore_errors=True)


class CheckpointWriter:
    """Writes checkpoints while the run goes on: it waits for the copy of its tensors, a thread writes that.

    At most one call of `save` is under way; what its thread met is raised by the next call, or at the end of the block,
    which waits for the disk.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None
        # Kept from one checkpoint to the next: new memory is slow.
        self._copies: list[dict[str, Tensor]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:
            self.wait()

    def save(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Begin to write checkpoints, when those of the last call are written.

        Raises:
            CheckpointError: the disk refused those of the last call.
        """
        self.wait()
        before = self._copies + [{}] * (len(checkpoints) - len(self._copies))
        self._copies = [_copied(one.tensors, room) for one, room in zip(checkpoints, before, strict=False)]
        if any(tensor.is_cuda for one in checkpoints for tensor in one.tensors.values()):
            torch.cuda.synchronize()
        copies = [
            replace(one, tensors=tensors, record={name: _fixed(value) for name, value in one.record.items()})
            for one, tensors in zip(checkpoints, self._copies, strict=True)
        ]
        self._writing = self._thread.submit(_write_all, copies, self._kept)

    def check(self) -> None:
        """Raise what the thread has met, if it is through.

        Raises:
            CheckpointError: the disk refused a checkpoint.
        """
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the checkpoints of the last call are written.

        Raises:
            CheckpointError: the disk refused one.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _write_all(checkpoints: Sequence[Checkpoint], kept: Kept) -> None:
    for checkpoint in checkpoints:
        write(checkpoint, kept)


def _copied(tensors: Mapping[str, Tensor], room: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies in the host's memory, in `room` where it fits; a GPU's arrive when the device is waited for."""
    copies = {}
    for name, tensor in tensors.items():
        copy = room.get(name)
        if copy is None or copy.shape != tensor.shape or copy.dtype != tensor.dtype:
            copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        copies[name] = copy.copy_(tensor.detach(), non_blocking=True)
    return copies


def _fixed(value: Any) -> Any:
    """Return a list as it is now: the run makes it longer while the thread writes."""
    return list(value) if isinstance(value, list) else value


def _refused(checkpoint: Checkpoint, error: OSError) -> CheckpointError:
    size = sum(tensor.numel() * tensor.element_size() for tensor in checkpoint.tensors.values())
    before = _newest_first(checkpoint.folder)
    last = f"that of step {_step(before[0])} is kept" if before else "there is none before it"
    what = (
        "Free some space or raise the limit"
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        else "Make the folder writable"
    )
    return CheckpointError(
        f"{checkpoint.folder}: the checkpoint of step {checkpoint.step} ({size / 1e6:,.1f} MB) cannot be written: "
        f"{error.strerror}. The run stops; {last}. {what}; the same command then goes on from there."
    )


def _take_place(attempt: Path, final: Path) -> None:
    """Rename an attempt; a checkpoint of this step that was passed over as damaged gives way."""
    try:
        attempt.rename(final)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise
        shutil.rmtree(final)
        attempt.rename(final)


def read(folder: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and record of an intact checkpoint: one that `steps` told."""
    path = _path(folder, step)
    return read_tensors(path / STATE_FILE), read_sealed(path / RECORD_FILE)


def steps(folder: Path, identity: str, most: int = KEEP) -> list[int]:
    """Return the steps of intact checkpoints, newest first, and at most so many: every one is read in full.

    A damaged checkpoint is passed over for the one before: the steps between are made again, to the same bits.

    Raises:
        DataError: the folder holds checkpoints of another run.
    """
    found: list[int] = []
    for path in _newest_first(folder):
        if len(found) == most:
            break
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


def publish_milestones(milestones: Mapping[int, Path], scratch: Path, target: Path) -> None:
    """Put milestones of a finished run into `target`, as they are: by step, the folder in `scratch` of its checkpoint.

    Raises:
        DamagedError: one is missing, or is not what was written.
    """
    for step, folder in milestones.items():
        path = _path(folder, step)
        try:
            _record(path)
        except DamagedError as error:
            raise DamagedError(
                f"{error} It was to be kept for good: remove {scratch}, and the run is made anew."
            ) from error
        (target / MILESTONES / path.name).mkdir(parents=True)
        for name in (STATE_FILE, RECORD_FILE):
            shutil.copyfile(path / name, target / MILESTONES / path.name / name)


def _record(path: Path) -> dict[str, Any]:
    """Return the record of a checkpoint whose files are whole."""
    record = read_sealed(path / RECORD_FILE)
    try:
        intact = digest_file(path / STATE_FILE) == record["state"] and _step(path) == record["step"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path}: it cannot be read: {error!r}.") from error
    if not intact:
        raise DamagedError(f"{path}: its state is not what was written.")
    return record


def _path(folder: Path, step: int) -> Path:
    return folder / checkpoint_name(step)


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
