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
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from infra.errors import ServiceError, SettingsError
from infra.executors import Resources
from infra.live import Row, curves_of, showing
from infra.progress import LiveReport, following
from infra.stopping import stop_sign
from tasks.core.code import code_of, source_digest
from tasks.core.errors import DataError, StoppedError
from tasks.core.identity import Identity, kinds_of, reads_of
from tasks.runtime.context import Workshop, WouldWorkError
from tasks.runtime.costs import Amount
from tasks.runtime.explain import nearest_difference, remember_code
from tasks.runtime.reach import Known, within_reach
from tasks.runtime.records import UnitRecord, finished
from tasks.runtime.worker import Order, measured_file, progress_folder, run_distributed, run_group, run_unit

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

        def take(order: Order) -> bool:
            record = finished(workshop.store, self.name, order.key, workshop.observer.say)
            if record is None:
                return False
            records[order.key] = record
            workshop.book.use(self.name, self.label, order.key, _amount(order, record))
            measured_file(workshop.store, order.key).unlink(missing_ok=True)
            if on_finished is not None:
                for index in places[order.key]:
                    on_finished(index, record)
            return True

        shown, total = label or self.label, len(places)
        missing = [orders[indices[0]] for indices in places.values() if not take(orders[indices[0]])]
        if missing:
            _prepare(workshop, self, missing, shown, total)
            known: Known = {}
            missing = [replace(order, args=within_reach(workshop.store, order.args, known)) for order in missing]
        workshop.touched.setdefault(self.name, set()).update(places)
        if orders:
            workshop.observer.progress(shown, total - len(missing), total)
        tell = functools.partial(workshop.observer.progress, f"{shown}, steps")
        keys = [order.key for order in missing]
        named = [(names[places[key][0]], key) for key in keys] if names else []
        with (
            following(progress_folder(workshop.store), keys, tell),
            _showing(workshop, named) as show_measured,
            self._signed(workshop, missing) as signed,
        ):
            for position in self._spread(workshop, signed, group_size, chosen, smaller_worlds):
                show_measured()
                if not take(missing[position]):
                    raise DataError(
                        f"{self.name}: a unit finished but its files cannot be read back from the store. Check that every "
                        f"worker sees the same store as this process ({workshop.store.home}, or the bucket of "
                        "MIXWRIGHT_STORE), then start the same command again."
                    )
                workshop.observer.progress(shown, len(records), total)
        return [records[order.key] for order in orders]

    @contextmanager
    def _signed(self, workshop: Workshop, missing: list[Order]) -> Iterator[list[Order]]:
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
        missing: Sequence["Order"],
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


def _order(step: Step, args: Any, workshop: Workshop, device: str, gpus: float) -> Order:
    identity, roots = step.identity(args, device), step.roots(args)
    modules = tuple(identity.code.modules)
    source = source_digest(modules)
    return Order(
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


def _amount(order: Order, record: UnitRecord) -> Amount:
    """Return what a unit did, as far as it was counted."""
    step, told = order.step, record.summary.get("documents", 0)
    documents = record.account.taken.documents if record.account is not None else told
    return Amount(documents if isinstance(documents, int) else 0, 0 if step.tokens is None else step.tokens(order.args))


def _prepare(workshop: Workshop, step: Step, missing: Sequence[Order], label: str, total: int) -> None:
    """Clear what killed workers left, remember the code, and say why something is done again.

    Raises:
        WouldWorkError: this is an explanation.
        SettingsError: this work needs a folder that all machines see, and there is none.
    """
    store, observer = workshop.store, workshop.observer
    if step.distributed and workshop.other_machines and not store.shared_folders:
        raise SettingsError(
            f"{label}: on a Ray of several machines the processes of one run keep checkpoints and meet in "
            "a folder that all of them see, and a store in a bucket has none. Train on one machine (without "
            "MIXWRIGHT_RAY_ADDRESS), or leave MIXWRIGHT_STORE out and put MIXWRIGHT_HOME on a shared folder."
        )
    for roots in {order.roots for order in missing}:
        remember_code(store, code_of(roots))
    touched = workshop.touched.get(step.name, set())
    before = nearest_difference(store, step.name, missing[0].identity, touched)
    if workshop.explaining is not None:
        why = "no unit of this step was finished before" if before is None else before.words
        raise WouldWorkError(f"{label}: {len(missing)} of {total} units ({step.name}) would be done: {why}")
    store.sweep(step.name)
    if before is not None and not before.new_input:
        observer.say(f"{label}: {before.words}")
    if len(missing) < total:
        observer.say(f"{label}: {total - len(missing)} of {total} were finished before and are taken as they are")


def _showing(workshop: Workshop, named: Sequence[tuple[str, str]]) -> AbstractContextManager[Callable[[], None]]:
    """Show what units, given by name and key, measure while the block runs, which is given what shows it at once."""

    def show(index: int, rows: list[Row]) -> None:
        workshop.observer.live(LiveReport(*named[index], curves_of(rows)))

    return showing([measured_file(workshop.store, key) for _, key in named], show)
