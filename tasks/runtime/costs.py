"""What work cost: seconds of CPUs, workers and GPUs, of every attempt at a unit and so of what a stage published.

Costs are of executions and not of results. They stand beside the work of the store (`costs/`), in no key, record or
published file: the same work has the same bytes, whatever it cost. An attempt has a file of its own, written when it begins,
every few seconds and when it ends, so that of one that was killed it is known what it had cost until then. A unit that is
found again costs nothing, and what it cost when it was made stays known.
"""

import hashlib
import json
import os
import resource
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from infra.endpoint.kept import Answer
from infra.progress import repeated
from infra.settings import PriceSettings
from infra.storage import Store
from tasks.core.errors import DamagedError, StoppedError
from tasks.core.sealed import parse_sealed, sealed_text
from tasks.runtime.asked import Asked, asked_of, note_paid, paid_for

AREA = "costs"
# The step of a stage's own process, which reads, checks and publishes.
DRIVER = "driver"
_OUTPUTS = "outputs"
_WRITTEN_EVERY_S = 5.0

State = Literal["under way", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class Cost:
    """Seconds of CPUs (of child processes too), seconds that workers were busy, and seconds of GPUs (share x busy)."""

    cpu_s: float = 0.0
    busy_s: float = 0.0
    gpu_s: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu_s + other.cpu_s, self.busy_s + other.busy_s, self.gpu_s + other.gpu_s)


@dataclass(frozen=True)
class Attempt:
    """What one process spent on a unit, for the `output` that somebody wanted; processes of one unit have a file each.

    An attempt `under way` is one that was killed, if nobody works on it any more.
    """

    key: str
    output: str
    state: State
    cost: Cost


@contextmanager
def metered(store: Store, step: str, keys: Sequence[str], output: str, gpus: float) -> Iterator[Callable[[str], None]]:
    """Measure what this process spends on units in the block, each an even share; give what is told that a unit failed."""
    files = {key: _file(store, step, key, output, uuid.uuid4().hex[:8]) for key in keys}
    began, failed = _clock(), set[str]()

    def note(state: State) -> None:
        cpu, busy = (now - then for now, then in zip(_clock(), began, strict=True))
        share = Cost(cpu / len(keys), busy / len(keys), gpus * busy / len(keys))
        for key, path in files.items():
            _write(path, Attempt(key, output, "failed" if key in failed else state, share))

    note("under way")
    try:
        with repeated(partial(note, "under way"), _WRITTEN_EVERY_S):
            yield failed.add
    except BaseException as error:
        note("stopped" if isinstance(error, StoppedError) or not isinstance(error, Exception) else "failed")
        raise
    note("finished")


def _clock() -> tuple[float, float]:
    """Return CPU seconds of this process and of its children that ended, and a clock's."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime, time.monotonic()


def _file(store: Store, step: str, key: str, output: str, attempt: str) -> Path:
    return store.home / AREA / step / key[:2] / f"{key}.{_place(output)}.{attempt}.json"


def _place(output: str) -> str:
    return hashlib.sha256(output.encode()).hexdigest()[:12]


def _write(path: Path, attempt: Attempt) -> None:
    # For people alone: where nothing can be written, the work itself will say so by name.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(asdict(attempt)), encoding="utf-8")
        draft.replace(path)


def _read(paths: Iterable[Path]) -> list[Attempt]:
    found = []
    for path in sorted(paths):
        # One that a kill or a full disk tore tells nothing.
        with suppress(OSError, ValueError, KeyError, TypeError):
            value = json.loads(path.read_bytes())
            found.append(Attempt(value["key"], value["output"], value["state"], Cost(**value["cost"])))
    return found


def attempts_at(store: Store, step: str, key: str) -> list[Attempt]:
    """Return all attempts at a unit, whoever wanted it."""
    return _read((store.home / AREA / step / key[:2]).glob(f"{key}.*.json"))


def attempts_for(store: Store, output: str) -> dict[str, list[Attempt]]:
    """Return all attempts that were made for an output, by step, those at units included that nobody reads any more."""
    found: dict[str, list[Path]] = {}
    for path in (store.home / AREA).glob(f"*/*/*.{_place(output)}.*.json"):
        found.setdefault(path.parts[-3], []).append(path)
    return {step: _read(paths) for step, paths in sorted(found.items())}


def asked_for(store: Store, output: str) -> dict[str, Asked]:
    """Return what was paid to endpoints for an output, by the label of the questions."""
    return paid_for(store, AREA, _place(output))


def note_output(store: Store, stage: str, output: str) -> None:
    """Keep which stage works for an output, for people who ask before it has published anything."""
    # As with attempts: where nothing can be written, the work itself will say so by name.
    with suppress(OSError):
        path = store.home / AREA / _OUTPUTS / f"{_place(output)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stage, encoding="utf-8")


def stage_of(store: Store, output: str) -> str | None:
    """Return the stage that last worked for an output; None where none did, or an earlier version."""
    with suppress(OSError, ValueError):
        return (store.home / AREA / _OUTPUTS / f"{_place(output)}.txt").read_text(encoding="utf-8") or None
    return None


def total(attempts: Iterable[Attempt]) -> Cost:
    """Return what attempts cost together."""
    return sum((one.cost for one in attempts), Cost())


def unit_metrics(store: Store, step: str, key: str) -> dict[str, float]:
    """Return what a unit cost, over all attempts at it, as metrics; none where nobody measured it."""
    attempts = attempts_at(store, step, key)
    return {f"cost/{name}": value for name, value in _seconds(total(attempts)).items()} if attempts else {}


def _seconds(cost: Cost) -> dict[str, float]:
    """Return what a cost is told as; of GPUs only where there were some."""
    return {name: value for name, value in asdict(cost).items() if name != "gpu_s" or value}


@dataclass(frozen=True)
class Amount:
    """What a unit did: documents it took, and tokens it trained on or encoded; 0 where it counts none."""

    documents: int = 0
    tokens: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.documents + other.documents, self.tokens + other.tokens)


@dataclass(frozen=True)
class StepCosts:
    """What the units of a step cost that a stage's output is made of, over all attempts at them.

    Of the cost, `lost` is that of `lost_attempts`, which did not finish. `unknown` units were made by a version that
    measured nothing, or elsewhere; `keys` are all of them. `asked` is what an endpoint was, where the step is questions.
    """

    step: str
    label: str
    keys: tuple[str, ...]
    amount: Amount
    cost: Cost
    lost: Cost = Cost()
    lost_attempts: int = 0
    unknown: int = 0
    asked: Asked = Asked()  # noqa: RUF009 (frozen)


@dataclass
class Book:
    """What a driver's steps have used since a stage began, by step, and for which output: the only thing that changes."""

    output: str = ""
    began: float = field(default_factory=time.process_time)
    labels: dict[str, str] = field(default_factory=dict)
    used: dict[str, dict[str, Amount]] = field(default_factory=dict)
    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)

    def begin(self, output: str) -> None:
        """Work for an output from now on."""
        self.output, self.began = output, time.process_time()

    def use(self, step: str, label: str, key: str, amount: Amount) -> None:
        """Take note of a finished unit."""
        self.labels[step] = label
        self.used.setdefault(step, {})[key] = amount

    def use_answers(self, store: Store, label: str, answers: Mapping[str, Answer], paid: Iterable[str]) -> None:
        """Take note of answers by their keys, whatever becomes of the stage; `paid` were given now, for this output."""
        before = {key for known in self.answers.values() for key in known}
        self.answers.setdefault(label, {}).update({key: one for key, one in answers.items() if key not in before})
        if (now := asked_of(answers[key] for key in paid)).requests:
            note_paid(store, AREA, _place(self.output), label, now)

    def close(self, store: Store, stage: str, stage_key: str) -> None:
        """Note what the output that was published now cost, and begin anew."""
        # While workers are busy it waits for them; those that ended are its children, and their units have their time.
        cost = Cost(time.process_time() - self.began)
        own, name = Attempt(stage_key, self.output, "finished", cost), f"{stage}.{DRIVER}"
        _write(_file(store, name, stage_key, self.output, DRIVER), own)
        self.use(name, f"{stage}: own process", stage_key, Amount())
        rows = [_step_costs(store, step, self.labels[step], units) for step, units in self.used.items()]
        rows += [
            StepCosts(f"{stage}.asked", label, (), Amount(), Cost(), asked=asked_of(own.values()))
            for label, own in self.answers.items()
            if own
        ]
        store.note(AREA, _note(stage, stage_key), sealed_text({"steps": [asdict(row) for row in rows]}))
        self.used.clear()
        self.answers.clear()
        self.began = time.process_time()


def _step_costs(store: Store, step: str, label: str, units: Mapping[str, Amount]) -> StepCosts:
    attempts = {key: attempts_at(store, step, key) for key in units}
    every = [one for found in attempts.values() for one in found]
    lost = [one for one in every if one.state != "finished"]
    unknown = sum(all(one.state != "finished" for one in found) for found in attempts.values())
    amount = sum(units.values(), Amount())
    return StepCosts(step, label, tuple(units), amount, total(every), total(lost), len(lost), unknown)


def _note(stage: str, stage_key: str) -> str:
    return f"{stage}-{stage_key}.json"


def stage_costs(store: Store, stage: str, stage_key: str) -> tuple[StepCosts, ...] | None:
    """Return what a stage's output cost when it was made, by step; None where nobody noted it here."""
    try:
        value = parse_sealed(store.noted(AREA, _note(stage, stage_key)) or "", stage)
        return tuple(map(_from_json, value["steps"]))
    except (DamagedError, KeyError, TypeError):
        return None


def cost_metrics(found: Iterable[StepCosts], prices: PriceSettings) -> dict[str, float]:
    """Return what steps cost together when their units were made, as metrics; in money too, where that is priced."""
    cost = sum((row.cost for row in found), Cost())
    money = prices.money(cost.cpu_s, cost.gpu_s)
    return _seconds(cost) | ({} if money is None else {prices.currency: money})


def cost_rows(stage: str, found: Iterable[StepCosts], prices: PriceSettings) -> list[dict[str, Any]]:
    """Return what the steps of a stage cost when their units were made, as rows of a table."""
    return [
        {
            "stage": stage,
            "step": row.label.removeprefix(f"{stage}: "),
            "units": len(row.keys),
            **{name: round(value, 6) for name, value in cost_metrics([row], prices).items()},
            "documents": row.amount.documents or "",
            "tokens": row.amount.tokens or "",
            "requests": row.asked.requests or "",
            "input_tokens": row.asked.input_tokens or "",
            "output_tokens": row.asked.output_tokens or "",
            "lost_cpu_s": round(row.lost.cpu_s, 6) or "",
            "not_measured": row.unknown or "",
        }
        for row in found
    ]


def _from_json(value: Mapping[str, Any]) -> StepCosts:
    asked = Asked(**value.get("asked", {}))
    parts = {"keys": tuple(value["keys"]), "amount": Amount(**value["amount"]), "asked": asked}
    return StepCosts(**{**value, **parts, "cost": Cost(**value["cost"]), "lost": Cost(**value["lost"])})
