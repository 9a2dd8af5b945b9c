"""One kind of step: a function over units, where finished ones are taken from the store and missing ones are made.

    SIGN = Step("curate.sign", "curate: signatures", sign_shard)
    records = SIGN.map(workshop, [SignArgs(shard, shape) for shard in shards])

A unit's args are a frozen dataclass of handles, params and plain values; `work(args, here)` is a module-level function that
writes into `here.folder` and returns a `UnitResult`. The unit's key follows from its args, from the code that `work` and the
chosen methods can reach, from the libraries of that code and, where these compute on a device, from its kind. Kinds of work:

* with `blocks`, a long unit keeps blocks on its way (`here.blocks`): a crash costs one;
* `grouped` work takes a list of args and a list of places, and does units that are cheaper together; in place of a result
  it may return the exception that ended this unit alone, which is raised when the others are kept;
* `distributed` work is called by the workshop's `world_size` processes for every unit (`here.rank`, `here.size`);
* with `stops`, work asks `here.asked_to_stop()` on its way, and raises `StoppedError` when it has kept what it has;
* with `hold`, a worker loads something once (a model, an index) and has it for many units (`here.held`).

A unit that takes long calls `here.progress(done, total)`: people see the steps of all units together.

A learn pass is a step with one unit, whose files are a handle in the args of the next.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.distributed import GroupMember
from infra.errors import ServiceError
from infra.executors import Resources
from infra.live import MetricsFile, Row, curves_of, showing
from infra.progress import LiveReport, StepsFile, following
from infra.stopping import StopSign, shown_by_signals, stop_sign
from infra.storage import Store, new_folder
from tasks.core.code import ROOT, code_of, source_digest
from tasks.core.digest import digest_json
from tasks.core.errors import DataError, ForeignCodeError, StoppedError
from tasks.core.identity import Identity, kinds_of, reads_of
from tasks.core.results import Blocks, Here, NoBlocks, UnitResult, never
from tasks.runtime.context import Workshop, WouldWorkError
from tasks.runtime.costs import Amount, metered
from tasks.runtime.explain import nearest_difference, remember_code
from tasks.runtime.records import FolderBlocks, UnitRecord, finished, keep

OnFinished = Callable[[int, UnitRecord], None]
# Libraries whose numbers depend on the kind of device.
ON_DEVICES = frozenset({"torch", "sentence_transformers"})


@dataclass(frozen=True)
class Hold:
    """What a worker loads once: `load(of(args))`, kept until another unit asks for something else of the same step."""

    of: Callable[[Any], Any]
    load: Callable[[Any], Any]


@dataclass(frozen=True)
class Step:
    """A kind of unit. `name` is its area of the store and the first part of every key; `label` is for people.

    `tokens` says how many tokens a unit is paid for, from its args.
    """

    name: str
    label: str
    work: Callable[..., Any]
    blocks: bool = False
    grouped: bool = False
    distributed: bool = False
    stops: bool = False
    hold: Hold | None = None
    resources: Resources = Resources()  # noqa: RUF009 (frozen)
    tokens: Callable[[Any], int] | None = None

    def identity(self, args: Any, device: str) -> Identity:
        """Return what decides the result of a unit.

        Raises:
            TypeError: its args hold something that has no identity.
        """
        code = code_of(self.roots(args))
        libraries = code.libraries()
        return Identity(self.name, reads_of(args), code, libraries, device if ON_DEVICES & {*libraries} else None)

    def roots(self, args: Any) -> tuple[str, ...]:
        """Return the modules at which the code of a unit begins: that of its function, and those of its methods."""
        holding = () if self.hold is None else (self.hold.load.__module__,)
        return tuple(sorted({self.work.__module__, *holding, *kinds_of(args)}))

    def one(self, workshop: Workshop, args: Any) -> UnitRecord:
        """Return the record of the one unit of this step: a learn pass, a decision over everything."""
        return self.map(workshop, [args])[0]

    def map(
        self,
        workshop: Workshop,
        units: Sequence[Any],
        *,
        label: str | None = None,
        group_size: int = 1,
        resources: Resources | None = None,
        on_finished: OnFinished | None = None,
        names: Sequence[str] = (),
        smaller_worlds: Sequence[int] = (),
    ) -> list[UnitRecord]:
        """Return the records of units, given by their args, in their order; units of one key are one unit.

        `on_finished(index, record)` hears of each, those that were finished before first. At most `group_size` units of
        grouped work are done together, fewer where workers would be idle. With `names`, one for each, people see what units
        measure on their way (`here.measured`). Distributed work is done by one of the `smaller_worlds` (numbers of
        processes, the largest first) where there is no room for the workshop's `world_size`.

        Raises:
            ForeignCodeError: a worker would run other code than this process.
            DataError: finished work cannot be read back.
        """
        chosen = resources or self.resources
        device = workshop.device(chosen.gpus)
        orders = [_order(self, args, workshop, device, chosen.gpus) for args in units]
        places: dict[str, list[int]] = {}
        for index, order in enumerate(orders):
            places.setdefault(order.key, []).append(index)
        records: dict[str, UnitRecord] = {}

        def take(order: _Order) -> bool:
            record = finished(workshop.store, self.name, order.key, workshop.observer.say)
            if record is None:
                return False
            records[order.key] = record
            workshop.book.use(self.name, self.label, order.key, _amount(order, record))
            _measured(workshop.store, order.key).unlink(missing_ok=True)
            if on_finished is not None:
                for index in places[order.key]:
                    on_finished(index, record)
            return True

        shown, total = label or self.label, len(places)
        missing = [orders[indices[0]] for indices in places.values() if not take(orders[indices[0]])]
        if missing:
            _prepare(workshop, self, missing, shown, total)
        workshop.touched.setdefault(self.name, set()).update(places)
        if orders:
            workshop.observer.progress(shown, total - len(missing), total)
        tell = functools.partial(workshop.observer.progress, f"{shown}, steps")
        keys = [order.key for order in missing]
        named = [(names[places[key][0]], key) for key in keys] if names else []
        with (
            following(_progress(workshop.store), keys, tell),
            _showing(workshop, named) as show_measured,
            self._signed(workshop, missing) as signed,
        ):
            for position in self._spread(workshop, signed, group_size, chosen, smaller_worlds):
                show_measured()
                if not take(missing[position]):
                    raise DataError(
                        f"{self.name}: a unit finished but its files cannot be read back from {workshop.store.home}. Check "
                        "that every worker sees this folder, then start the same command again."
                    )
                workshop.observer.progress(shown, len(records), total)
        return [records[order.key] for order in orders]

    @contextmanager
    def _signed(self, workshop: Workshop, missing: list["_Order"]) -> Iterator[list["_Order"]]:
        """Give orders of work that stops with the sign it looks at."""
        if not (self.stops and missing):
            yield missing
            return
        with stop_sign(workshop.store.home, workshop.time_limit_s) as sign:
            try:
                yield [replace(order, sign=sign) for order in missing]
            except StoppedError as stopped:
                raise StoppedError(f"{sign.why()}: {stopped}") from stopped
            except ServiceError as error:
                if not sign():
                    raise
                # A signal for all processes of a job ends those that cannot heed it yet.
                raise StoppedError(
                    f"{sign.why()}: {self.label}: stopped while its workers began; what is finished is kept, and the same "
                    "command goes on from there."
                ) from error

    def _spread(
        self,
        workshop: Workshop,
        missing: Sequence["_Order"],
        group_size: int,
        resources: Resources,
        smaller_worlds: Sequence[int],
    ) -> Iterator[int]:
        """Yield the positions of units as they are finished."""
        executor = workshop.executor
        if self.distributed:
            folder = workshop.store.home / "groups"
            for position, _ in executor.map_distributed(
                run_distributed, missing, workshop.world_size, folder, resources, smaller_worlds
            ):
                yield position
        elif self.grouped:
            groups = grouped(len(missing), group_size, executor.workers)
            orders = [tuple(missing[position] for position in group) for group in groups]
            for number, _ in executor.map(run_group, orders, resources):
                yield from groups[number]
        else:
            for position, _ in executor.map(run_unit, missing, resources, warm=self.hold is not None):
                yield position


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


@dataclass(frozen=True)
class _Order:
    """A unit on its way to a worker: `identity` is what stands in its record, `source` the digest of its code's files.

    It is paid for by who wants the `output`, as is the share of `gpus`.
    """

    step: Step
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

    def metered(self, *others: "_Order") -> AbstractContextManager[Callable[[str], None]]:
        """Measure what this process spends on this unit, and on others that it does together with it."""
        keys = [each.key for each in (self, *others)]
        return metered(self.store, self.step.name, keys, self.output, self.gpus)


def _order(step: Step, args: Any, workshop: Workshop, device: str, gpus: float) -> _Order:
    identity, roots = step.identity(args, device), step.roots(args)
    modules = tuple(identity.code.modules)
    source = source_digest(modules)
    return _Order(
        step,
        args,
        identity.key,
        identity.to_json(),
        identity.libraries,
        roots,
        modules,
        source,
        workshop.store,
        workshop.book.output,
        gpus,
        workshop.peak_flops,
    )


def _amount(order: _Order, record: UnitRecord) -> Amount:
    """Return what a unit did, as far as it was counted."""
    step, told = order.step, record.summary.get("documents", 0)
    documents = record.account.taken.documents if record.account is not None else told
    return Amount(documents if isinstance(documents, int) else 0, 0 if step.tokens is None else step.tokens(order.args))


def _prepare(workshop: Workshop, step: Step, missing: Sequence[_Order], label: str, total: int) -> None:
    """Clear what killed workers left, remember the code, and say why something is done again.

    Raises:
        WouldWorkError: this is an explanation.
    """
    store, observer = workshop.store, workshop.observer
    for roots in {order.roots for order in missing}:
        remember_code(store, code_of(roots))
    touched = workshop.touched.get(step.name, set())
    before = nearest_difference(store, step.name, missing[0].identity, touched)
    if workshop.explaining is not None:
        why = before or "no unit of this step was finished before"
        raise WouldWorkError(f"{label}: {len(missing)} of {total} units ({step.name}) would be done: {why}")
    store.sweep(step.name)
    if before is not None:
        observer.say(f"{label}: {before}")
    if len(missing) < total:
        observer.say(f"{label}: {total - len(missing)} of {total} were finished before and are taken as they are")


def run_unit(order: _Order) -> None:
    """Do one unit in a worker and keep it under its key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
    """
    _require_same_code(order)
    with order.metered(), ExitStack() as stack:
        blocks: Blocks = NoBlocks()
        if order.step.blocks:
            blocks = FolderBlocks(stack.enter_context(order.store.scratch(order.step.name, order.key)))
        held, tell = _held(order), _teller(order)
        _keep(order, lambda folder: order.step.work(order.args, Here(folder, blocks=blocks, held=held, progress=tell)))


def run_group(orders: Sequence[_Order]) -> None:
    """Do several units in one call, and keep each under its own key.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
        Exception: what ended a unit; the others are kept.
    """
    first, *others = orders
    _require_same_code(first)
    with first.metered(*others) as failed, ExitStack() as stack:
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


def run_distributed(order: _Order, member: GroupMember) -> None:
    """Do one unit together with others, unless it is done: a restarted group is given all its units again.

    Raises:
        ForeignCodeError: this worker would run other code than its driver.
    """
    _require_same_code(order)
    store, name = order.store, order.step.name
    if store.find(name, order.key) is not None:
        return
    with order.metered(), ExitStack() as stack:
        asked = stack.enter_context(_asked(order))
        if member.rank == 0:
            scratch = stack.enter_context(store.scratch(name, order.key))
            here = functools.partial(
                Here,
                scratch=scratch,
                size=member.size,
                group=member.group,
                progress=_teller(order),
                measured=MetricsFile(_measured(store, order.key), order.peak_flops, member.size),
                asked_to_stop=asked,
            )
            _keep(order, lambda folder: order.step.work(order.args, here(folder)))
        else:
            folder = stack.enter_context(new_folder(store.home / "others" / order.key))
            order.step.work(order.args, Here(folder, size=member.size, rank=member.rank, group=member.group))


@contextmanager
def _asked(order: _Order) -> Iterator[Callable[[], bool]]:
    """Give what a unit asks whether it is to stop. Slurm signals every process of a job: here too it means the sign."""
    if order.sign is None:
        yield never
        return
    with shown_by_signals(order.sign):
        yield order.sign


def _progress(store: Store) -> Path:
    return store.home / "progress"


def _measured(store: Store, key: str) -> Path:
    """Return where a unit writes what it measures on its way: it stays over kills, until the unit is finished."""
    return store.home / "measured" / f"{key}.jsonl"


def _showing(workshop: Workshop, named: Sequence[tuple[str, str]]) -> AbstractContextManager[Callable[[], None]]:
    """Show what units, given by name and key, measure while the block runs, which is given what shows it at once."""

    def show(index: int, rows: list[Row]) -> None:
        workshop.observer.live(LiveReport(*named[index], curves_of(rows)))

    return showing([_measured(workshop.store, key) for _, key in named], show)


def _teller(order: _Order) -> StepsFile:
    """Return what tells the driver how many steps of a unit are made."""
    return StepsFile(_progress(order.store) / order.key)


def _moved(made: Path, result: UnitResult, final: Path) -> UnitResult:
    """Put what a unit wrote into the folder of its attempt."""
    for path in made.iterdir():
        path.rename(final / path.name)
    return result


def _keep(order: _Order, work: Callable[[Path], UnitResult]) -> None:
    keep(order.store, order.step.name, order.key, work, order.identity, order.libraries)


def _require_same_code(order: _Order) -> None:
    if source_digest(order.modules) != order.source:
        raise ForeignCodeError(
            f"{order.step.name}: this worker imported `tasks` from {ROOT}, whose code differs from the driver's. Install "
            "the same version of Mixwright on every machine, and keep other packages of the names `tasks` and `infra` out "
            "of PYTHONPATH."
        )


_HELD: dict[str, tuple[str, Any]] = {}


def _held(order: _Order) -> Any:
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
