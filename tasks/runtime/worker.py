"""What a worker does with a unit: the same code as the driver's, the work itself, and the record under its key."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.distributed import GroupMember
from infra.folders import new_folder
from infra.live import MetricsFile
from infra.progress import StepsFile
from infra.stopping import StopSign, shown_by_signals
from infra.storage import Store
from tasks.core.code import ROOT, source_digest
from tasks.core.digest import digest_json
from tasks.core.errors import ForeignCodeError
from tasks.core.identity import reads_of
from tasks.core.results import Blocks, Here, NoBlocks, UnitResult, never
from tasks.runtime.costs import metered
from tasks.runtime.records import FolderBlocks, keep

if TYPE_CHECKING:
    from tasks.runtime.step import Step


@dataclass(frozen=True)
class Order:
    """A unit on its way to a worker: `identity` is what stands in its record, `source` the digest of its code's files.

    It is paid for by who wants the `output`, as is the share of `gpus`.
    """

    step: "Step"
    args: Any
    key: str
    identity: Mapping[str, Any]
    libraries: Mapping[str, str]
    roots: tuple[str, ...]
    modules: tuple[str, ...]
    source: str
    store: Store
    output: str = ""
    gpus: float = 0.0
    peak_flops: float | None = None
    sign: StopSign | None = None

    def metered(self, *others: "Order") -> AbstractContextManager[Callable[[str], None]]:
        """Measure what this process spends on this unit, and on others that it does together with it."""
        keys = [each.key for each in (self, *others)]
        return metered(self.store, self.step.name, keys, self.output, self.gpus)


def run_unit(order: Order) -> None:
    """Do one unit in a worker and keep it under its key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
    """
    _require_same_code(order)
    with order.metered(), ExitStack() as stack:
        held, tell = _held(order), _teller(order)
        # What is held was lent for longer.
        stack.enter_context(order.store.borrowed())
        blocks: Blocks = NoBlocks()
        if order.step.blocks:
            blocks = FolderBlocks(stack.enter_context(order.store.scratch(order.step.name, order.key)))
        _keep(order, lambda folder: order.step.work(order.args, Here(folder, blocks=blocks, held=held, progress=tell)))


def run_group(orders: Sequence[Order]) -> None:
    """Do several units in one call, and keep each under its own key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
        Exception: what ended a unit; the others are kept.
    """
    first, *others = orders
    _require_same_code(first)
    with first.metered(*others) as failed, first.store.borrowed(), ExitStack() as stack:
        scratches = [stack.enter_context(order.store.scratch(order.step.name, order.key)) for order in orders]
        whole = stack.enter_context(new_folder(scratches[0]))
        asked = stack.enter_context(_asked(first))
        places = [
            Here(whole / str(number), scratch, progress=_teller(order), asked_to_stop=asked)
            for number, (order, scratch) in enumerate(zip(orders, scratches, strict=True))
        ]
        for here in places:
            here.folder.mkdir()
        results = first.step.work([order.args for order in orders], places)
        for order, here, result in zip(orders, places, results, strict=True):
            if isinstance(result, Exception):
                failed(order.key)
            else:
                _keep(order, lambda folder, here=here, result=result: _moved(here.folder, result, folder))  # type: ignore[misc]
    for result in results:
        if isinstance(result, Exception):
            raise result


def run_distributed(order: Order, member: GroupMember) -> None:
    """Do one unit together with others, unless it is done: a restarted group is given all its units again.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
    """
    _require_same_code(order)
    store, name = order.store, order.step.name
    if store.find(name, order.key) is not None:
        return
    with order.metered(), store.borrowed(), ExitStack() as stack:
        asked = stack.enter_context(_asked(order))
        if member.rank == 0:
            scratch = stack.enter_context(store.scratch(name, order.key))
            here = functools.partial(
                Here,
                scratch=scratch,
                size=member.size,
                group=member.group,
                progress=_teller(order),
                measured=MetricsFile(measured_file(store, order.key), order.peak_flops, member.size),
                asked_to_stop=asked,
            )
            _keep(order, lambda folder: order.step.work(order.args, here(folder)))
        else:
            folder = stack.enter_context(new_folder(store.home / "others" / order.key))
            order.step.work(order.args, Here(folder, size=member.size, rank=member.rank, group=member.group))


@contextmanager
def _asked(order: Order) -> Iterator[Callable[[], bool]]:
    """Give what a unit asks whether it is to stop. Slurm signals every process of a job: here too it means the sign."""
    if order.sign is None:
        yield never
        return
    with shown_by_signals(order.sign):
        yield order.sign


def progress_folder(store: Store) -> Path:
    """Return where units tell how many of their steps are made."""
    return store.home / "progress"


def measured_file(store: Store, key: str) -> Path:
    """Return where a unit writes what it measures on its way: it stays over kills, until the unit is finished."""
    return store.home / "measured" / f"{key}.jsonl"


def _teller(order: Order) -> StepsFile:
    """Return what tells the driver how many steps of a unit are made."""
    return StepsFile(progress_folder(order.store) / order.key)


def _moved(made: Path, result: UnitResult, final: Path) -> UnitResult:
    """Put what a unit wrote into the folder of its attempt."""
    for path in made.iterdir():
        path.rename(final / path.name)
    return result


def _keep(order: Order, work: Callable[[Path], UnitResult]) -> None:
    keep(order.store, order.step.name, order.key, work, order.identity, order.libraries)


def _require_same_code(order: Order) -> None:
    if source_digest(order.modules) != order.source:
        raise ForeignCodeError(
            f"{order.step.name}: this worker imported `tasks` from {ROOT}, whose code differs from the driver's. Install "
            "the same version of Mixwright on every machine, and keep other packages of the names `tasks` and `infra` out "
            "of PYTHONPATH."
        )


_HELD: dict[str, tuple[str, Any]] = {}


def _held(order: Order) -> Any:
    """Return what this process holds for a step, loaded when it was first asked for."""
    hold = order.step.hold
    if hold is None:
        return None
    what = hold.of(order.args)
    name = digest_json(reads_of(what))
    if _HELD.get(order.step.name, ("", None))[0] != name:
        _HELD.pop(order.step.name, None)  # freed before the next is loaded
        _HELD[order.step.name] = (name, hold.load(what))
    return _HELD[order.step.name][1]
