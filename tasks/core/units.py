"""Units of work over an executor: finished ones are taken from the store, missing ones are made and kept by key."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.distributed import Seat
from infra.executors import Resources
from infra.storage import FolderStore, new_folder
from tasks.core.digest import digest_code
from tasks.core.errors import DataError, ForeignCodeError
from tasks.core.store import Blocks, UnitRecord, UnitResult, finished, write_record
from tasks.runtime.context import Workshop

if TYPE_CHECKING:
    pass


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
    groups, size = workshop.store.home / "groups", workshop.world_size
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
    done = executor.map(run_group, groups, Resources(gpus=gpus))
    for number, result in done:
        yield from ((place, result) for place in places[number])


def _orders(
    workshop: Workshop, stage: str, work: Any, units: Sequence[tuple[str, Any]], packages: tuple[str, ...]
) -> list[_Order]:
    code = digest_code(packages)
    return [_Order(work, args, workshop.store.home, stage, key, packages, code) for key, args in units]


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
        if (record := finished(workshop.store, stage, order.key, workshop.observer.say)) is not None:
            records[index] = record
            if on_finished is not None:
                on_finished(index, record)
    missing = [index for index in range(len(orders)) if index not in records]
    if missing:
        workshop.store.sweep(stage)
    if records and missing:
        workshop.observer.say(
            f"{label}: {len(records)} of {len(orders)} were finished before and are taken as they are"
        )
    if orders:
        workshop.observer.progress(label, len(records), len(orders))
    for position, _ in spread([orders[index] for index in missing]):
        index = missing[position]
        found = finished(workshop.store, stage, orders[index].key, workshop.observer.say)
        if found is None:
            raise DataError(
                f"{stage}: unit {index} finished but its files cannot be read back from {workshop.store.home}. Check "
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
    with FolderStore(order.root).scratch(order.stage, order.key) as scratch:
        _keep(order, lambda folder: order.work(order.args, folder, Blocks(scratch)))


def run_group(orders: Sequence[_Order]) -> None:
    """Do several units in one call, and keep each under its own key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
        Exception: what ended a unit; the others are kept.
    """
    first, store = orders[0], FolderStore(orders[0].root)
    _check_code(first)
    with ExitStack() as stack:
        checkpoints = [stack.enter_context(store.scratch(order.stage, order.key)) for order in orders]
        whole = stack.enter_context(new_folder(checkpoints[0]))
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
    if FolderStore(order.root).find(order.stage, order.key) is not None:
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
    with FolderStore(order.root).attempt(order.stage, order.key) as folder:
        write_record(folder, work(folder))
