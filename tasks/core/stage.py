"""The stage driver: units of work over an executor, kept by key, published with one manifest.

A driver (`tasks/<stage>/stage.py`) lists its units, maps them with `map_units`, and calls `publish`. Whoever calls it
(a Prefect task, `dvc repro`, a test) gives it a `Workshop`: where work runs, where it is kept, and who watches.
"""

import functools
import itertools
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.distributed import Seat
from infra.executors import Executor
from infra.progress import Observer, SilentObserver
from infra.storage import AttemptStore, Blocks, new_folder, place, replace_folder
from tasks.core.account import Account
from tasks.core.digest import digest_code, digest_file
from tasks.core.errors import ConfigError, DataError, ForeignCodeError
from tasks.core.manifest import MANIFEST, FileRecord, Manifest, stage_key

if TYPE_CHECKING:
    from infra.settings import Settings

_RECORD = "record.json"


@dataclass(frozen=True)
class Workshop:
    """Placement, not science: nothing in here may change a result.

    `world_size` counts data-parallel trainers of a run; `proxies_per_process` are trained together, on
    `gpus_per_process` of a GPU (0 = on the processor).
    """

    executor: Executor
    store: AttemptStore
    observer: Observer = field(default_factory=SilentObserver)
    world_size: int = 1
    proxies_per_process: int = 1
    gpus_per_process: float = 0.0


def workshop_of(settings: "Settings", executor: Executor, observer: Observer) -> Workshop:
    """Return the workshop of one machine's or cluster's settings."""
    return Workshop(
        executor,
        AttemptStore(settings.home / "store"),
        observer,
        settings.world_size,
        settings.proxies_per_process,
        settings.gpus_per_process,
    )


@dataclass(frozen=True)
class UnitResult:
    """What a unit's function returns besides the files it wrote: its account and a small JSON summary."""

    account: Account | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UnitRecord:
    """A finished unit in the store: its folder, its files, its account and summary."""

    folder: Path
    files: tuple[FileRecord, ...]
    account: Account | None
    summary: Mapping[str, Any]

    def file(self, path: str) -> "Placement":
        """Return one of the unit's files, to be published."""
        return next(Placement(self.folder / record.path, record) for record in self.files if record.path == path)


@dataclass(frozen=True)
class Placement:
    """A file with its record, ready to be published under another name."""

    source: Path
    record: FileRecord


UnitWork = Callable[[Any, Path], UnitResult]
BlockWork = Callable[[Any, Path, Blocks], UnitResult]
SharedWork = Callable[[Any, Path | None, Seat], UnitResult]
GroupWork = Callable[[Sequence[Any], Sequence[Path], Sequence[Path]], Sequence[UnitResult | Exception]]


@dataclass(frozen=True)
class _Order:
    work: Any
    args: Any
    root: Path
    stage: str
    key: str
    packages: tuple[str, ...]
    code: str
    blocks: bool = False


def map_units(
    workshop: Workshop,
    *,
    stage: str,
    label: str,
    work: UnitWork,
    units: Sequence[tuple[str, Any]],
    packages: tuple[str, ...],
    on_finished: Callable[[int, UnitRecord], None] | None = None,
) -> list[UnitRecord]:
    """Return the records of all units, in the order of `units`; work already in the store is not done again.

    `units` are (key, args) pairs; `work(args, folder)` is a module-level function that writes files into `folder`.
    `packages` are those whose code the unit runs: the worker refuses to run if its own copy differs.
    """
    return _mapped(
        workshop,
        stage=stage,
        label=label,
        orders=_orders(workshop, stage, work, units, packages),
        spread=lambda missing: workshop.executor.map(run_unit, missing),
        on_finished=on_finished,
    )


def map_block_units(
    workshop: Workshop,
    *,
    stage: str,
    label: str,
    work: BlockWork,
    units: Sequence[tuple[str, Any]],
    packages: tuple[str, ...],
    on_finished: Callable[[int, UnitRecord], None] | None = None,
) -> list[UnitRecord]:
    """Do as `map_units`, for units so long that they keep blocks on their way: `work(args, folder, blocks)`.

    After a crash the work is called again with the blocks that were kept; what it gives must not depend on them.
    """
    return _mapped(
        workshop,
        stage=stage,
        label=label,
        orders=[replace(order, blocks=True) for order in _orders(workshop, stage, work, units, packages)],
        spread=lambda missing: workshop.executor.map(run_unit, missing),
        on_finished=on_finished,
    )


def map_shared_units(
    workshop: Workshop,
    *,
    stage: str,
    label: str,
    work: SharedWork,
    units: Sequence[tuple[str, Any]],
    packages: tuple[str, ...],
    on_finished: Callable[[int, UnitRecord], None] | None = None,
) -> list[UnitRecord]:
    """Do as `map_units`, with the workshop's `world_size` processes on each unit: all call `work(args, folder, seat)`.

    Only the first of them is given a folder and keeps its result; the others get None.
    """
    groups, size = workshop.store.root / "groups", workshop.world_size
    return _mapped(
        workshop,
        stage=stage,
        label=label,
        orders=_orders(workshop, stage, work, units, packages),
        spread=lambda missing: workshop.executor.map_distributed(run_shared_unit, missing, size, groups),
        on_finished=on_finished,
    )


def map_grouped_units(
    workshop: Workshop,
    *,
    stage: str,
    label: str,
    work: GroupWork,
    units: Sequence[tuple[str, Any]],
    group_size: int,
    packages: tuple[str, ...],
    on_finished: Callable[[int, UnitRecord], None] | None = None,
    gpus: float = 0.0,
) -> list[UnitRecord]:
    """Do as `map_units`, for units that are cheaper together: `work(args, folders, checkpoints)` does a group of them.

    It writes each unit's files into its folder and returns their results in order; in place of a result the exception
    that ended this unit alone, which is raised when the others are kept. What it keeps under `checkpoints`, one path per
    unit, is there when it is called again after a crash, in this group or another. At most `group_size` units are done
    together, fewer where workers would be idle: placement, which must not change a result. `gpus` is the share of a GPU
    that a group asks of the executor.
    """
    return _mapped(
        workshop,
        stage=stage,
        label=label,
        orders=_orders(workshop, stage, work, units, packages),
        spread=lambda missing: _spread_groups(workshop, missing, group_size, gpus),
        on_finished=on_finished,
    )


def grouped(num_units: int, group_size: int, workers: int) -> list[range]:
    """Return groups of neighbours of at most `group_size`, as even as can be, that keep all workers busy.

    >>> grouped(20, 8, 2)
    [range(0, 5), range(5, 10), range(10, 15), range(15, 20)]
    """
    if not num_units:
        return []
    rounds = -(-num_units // (group_size * workers))
    count = min(rounds * workers, num_units)
    edges = [num_units * number // count for number in range(count + 1)]
    return [range(first, last) for first, last in itertools.pairwise(edges)]


def _spread_groups(
    workshop: Workshop, missing: Sequence[_Order], group_size: int, gpus: float
) -> Iterator[tuple[int, Any]]:
    executor = workshop.executor
    places = grouped(len(missing), group_size, executor.workers)
    groups = [tuple(missing[place] for place in group) for group in places]
    done = executor.map(run_group, groups, gpus) if gpus else executor.map(run_group, groups)
    for number, result in done:
        yield from ((place, result) for place in places[number])


def _orders(
    workshop: Workshop, stage: str, work: Any, units: Sequence[tuple[str, Any]], packages: tuple[str, ...]
) -> list[_Order]:
    code = digest_code(packages)
    return [_Order(work, args, workshop.store.root, stage, key, packages, code) for key, args in units]


def _mapped(
    workshop: Workshop,
    *,
    stage: str,
    label: str,
    orders: Sequence[_Order],
    spread: Callable[[Sequence[_Order]], Iterator[tuple[int, Any]]],
    on_finished: Callable[[int, UnitRecord], None] | None,
) -> list[UnitRecord]:
    records: dict[int, UnitRecord] = {}
    for index, order in enumerate(orders):
        if (record := _finished(workshop.store, stage, order.key)) is not None:
            records[index] = record
            if on_finished is not None:
                on_finished(index, record)
    missing = [index for index in range(len(orders)) if index not in records]
    if records and missing:
        workshop.observer.say(
            f"{label}: {len(records)} of {len(orders)} were finished before and are taken as they are"
        )
    if orders:
        workshop.observer.progress(label, len(records), len(orders))
    for position, _ in spread([orders[index] for index in missing]):
        index = missing[position]
        found = _finished(workshop.store, stage, orders[index].key)
        if found is None:
            raise DataError(
                f"{stage}: unit {index} finished but its files cannot be read back from {workshop.store.root}. Check "
                "that every worker sees this folder, then start the same command again."
            )
        records[index] = found
        workshop.observer.progress(label, len(records), len(orders))
        if on_finished is not None:
            on_finished(index, records[index])
    return [records[index] for index in range(len(orders))]


def run_unit(order: _Order) -> None:
    """Do one unit in a worker and keep it under its key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
    """
    _check_code(order)
    if not order.blocks:
        _keep(order, lambda folder: order.work(order.args, folder))
        return
    blocks = AttemptStore(order.root).blocks(order.stage, order.key)
    _keep(order, lambda folder: order.work(order.args, folder, blocks))


def run_group(orders: Sequence[_Order]) -> None:
    """Do several units in one call, and keep each under its own key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
        Exception: what ended a unit; the others are kept.
    """
    first, store = orders[0], AttemptStore(orders[0].root)
    _check_code(first)
    checkpoints = [store.scratch(order.stage, order.key) for order in orders]
    with new_folder(checkpoints[0]) as whole:
        folders = [whole / str(number) for number in range(len(orders))]
        for folder in folders:
            folder.mkdir()
        results = first.work([order.args for order in orders], folders, checkpoints)
        for order, folder, result in zip(orders, folders, results, strict=True):
            if not isinstance(result, Exception):
                _keep(order, functools.partial(_moved, folder, result))
    for result in results:
        if isinstance(result, Exception):
            raise result


def _moved(made: Path, result: UnitResult, final: Path) -> UnitResult:
    """Put what a unit wrote into the folder of its attempt."""
    for path in made.iterdir():
        path.rename(final / path.name)
    return result


def run_shared_unit(order: _Order, seat: Seat) -> None:
    """Do one unit together with others, unless it is done: a restarted group is given all its units again.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
    """
    _check_code(order)
    if AttemptStore(order.root).find(order.stage, order.key) is not None:
        return
    if seat.rank == 0:
        _keep(order, lambda folder: order.work(order.args, folder, seat))
    else:
        order.work(order.args, None, seat)


def _check_code(order: _Order) -> None:
    if digest_code(order.packages) != order.code:
        raise ForeignCodeError(
            f"{order.stage}: this worker imported `tasks` from {Path(__file__).parents[1]}, whose code differs from the "
            "driver's. Install the same version of Mixwright on every machine, and keep other packages called `tasks`, "
            "`flows` or `infra` out of PYTHONPATH."
        )


def _keep(order: _Order, work: Callable[[Path], UnitResult]) -> None:
    with AttemptStore(order.root).attempt(order.stage, order.key) as folder:
        result = work(folder)
        value = {
            "files": [asdict(record) for record in _records(folder)],
            "account": result.account.to_json() if result.account else None,
            "summary": dict(result.summary),
        }
        (folder / _RECORD).write_text(json.dumps(value, sort_keys=True, allow_nan=False), encoding="utf-8")


def unchanged(
    output: Path, *, stage: str, inputs: Mapping[str, str], params: Mapping[str, Any], code: str
) -> Manifest | None:
    """Return the manifest in `output` if this very work was published there and its files are all in place.

    Raises:
        ConfigError: `output` holds something that no stage has published, and would be replaced.
    """
    _require_replaceable(output)
    try:
        manifest = Manifest.read(output)
        if manifest.key != stage_key(stage, inputs, params, code):
            return None
        manifest.verify(output)
    except DataError:
        return None
    return manifest


def _require_replaceable(output: Path) -> None:
    """Refuse, before any work is done, to publish where that would remove what is not ours."""
    if output.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise ConfigError(f"{output}: the output is the folder this runs in, which it would replace. Name a new one.")
    if output.is_dir() and any(output.iterdir()) and not (output / MANIFEST).is_file():
        raise ConfigError(
            f"{output}: this folder holds {len(list(output.iterdir()))} files or folders but no {MANIFEST}: no stage "
            "has made it, and publishing would replace it. Name a new folder, or empty this one."
        )
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: this is a file, and what is published is a folder. Name another.")


def publish(
    output: Path, files: Mapping[str, Placement], manifest: Callable[[tuple[FileRecord, ...]], Manifest]
) -> Manifest:
    """Put files under their names with one manifest, all at once; return the manifest.

    `files` maps the published path to what is put there; `manifest` makes the manifest from the final file records.
    """
    with replace_folder(output) as folder:
        records = []
        for path in sorted(files):
            place(files[path].source, folder / path)
            records.append(FileRecord(path, files[path].record.digest, files[path].record.bytes))
        made = manifest(tuple(records))
        if made.account is not None:
            made.account.closed(made.stage)
        made.write(folder)
    return made


def float_environment() -> dict[str, str]:
    """Return what the last bits of float results depend on: instruction set, threads and library versions."""
    import numpy

    versions = {"numpy": numpy.__version__, "threads_per_worker": "1", "machine": platform.machine()}
    try:
        import torch
    except ImportError:
        return versions
    return versions | {
        "torch": torch.__version__,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "compiled": "false",
    }


def _finished(store: AttemptStore, stage: str, key: str) -> UnitRecord | None:
    folder = store.find(stage, key)
    if folder is None:
        return None
    try:
        value = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        files = tuple(FileRecord(**record) for record in value["files"])
        intact = all(digest_file(folder / record.path) == record.digest for record in files)
    except (OSError, ValueError):
        intact = False
    if not intact:
        # A damaged attempt is as good as none: it is made again from its inputs.
        store.discard(stage, key)
        return None
    account = Account.from_json(value["account"]) if value["account"] else None
    return UnitRecord(folder, files, account, value["summary"])


def _records(folder: Path) -> list[FileRecord]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [FileRecord(path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size) for path in paths]
