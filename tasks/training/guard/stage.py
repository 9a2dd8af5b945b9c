"""The guard beside the runs of a stage: it hears their evaluations as they come, and says what it makes of them.

It reads what is recorded, from the beginning, so that it says of a run that was killed and goes on what it said before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from infra.progress import LiveReport, Observer, UnitReport
from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError
from tasks.training.guard.params import GuardParams
from tasks.training.guard.plan import RunGuard
from tasks.training.guard.published import Guard, GuardVerdict
from tasks.training.guard.verdicts import words
from tasks.training.published_run import EvaluationRow
from tasks.training.result import Evaluation

_BITS = "bits_per_byte/"


@dataclass
class _Heard:
    """What was heard of a run: the values of domains by step, up to which step verdicts were told, and the last one."""

    bits: dict[int, dict[str, float]] = field(default_factory=dict)
    told: int = 0
    state: str = "unknown"


class GuardObserver:
    """Passes on what a stage tells, with what the guards of its runs, by name, say of their evaluations."""

    def __init__(self, observer: Observer, guards: Mapping[str, RunGuard]) -> None:
        self._observer, self._guards = observer, guards
        self._heard = {name: _Heard() for name in guards}
        self._lock = Lock()

    def say(self, message: str) -> None:
        """Pass the sentence on."""
        self._observer.say(message)

    def progress(self, label: str, done: int, total: int) -> None:
        """Pass the progress on."""
        self._observer.progress(label, done, total)

    def live(self, report: LiveReport) -> None:
        """Pass the report on, then what a guard says of new evaluations in it."""
        self._observer.live(report)
        if report.name in self._guards:
            with self._lock:
                verdicts = self._new(report.name, report.curves)
            if verdicts:
                self._observer.live(LiveReport(report.name, report.key, curves(self._guards[report.name], verdicts)))

    def unit(self, report: UnitReport) -> None:
        """Pass the report of a finished run on with the curves of its guard."""
        if (guard := self._guards.get(report.name)) is None:
            self._observer.unit(report)
            return
        with self._lock:
            self._new(report.name, report.curves)
            found = guard.verdicts(self._evaluations(report.name))
        self._observer.unit(replace(report, curves={**report.curves, **curves(guard, found)}))

    def _evaluations(self, name: str) -> list[Evaluation]:
        """Return the evaluations of a run that have all domains, in order."""
        domains, rows = self._guards[name].domains, sorted(self._heard[name].bits.items())
        return [(step, tuple(bits[one] for one in domains)) for step, bits in rows if {*domains} <= {*bits}]

    def _new(self, name: str, heard: Mapping[str, Sequence[tuple[int, float]]]) -> tuple[GuardVerdict, ...]:
        """Take curves of a run; return what its guard says of evaluations that it had not, and say what is otherwise."""
        own, guard = self._heard[name], self._guards[name]
        for curve, values in heard.items():
            if curve.startswith(_BITS):
                for step, value in values:
                    own.bits.setdefault(step, {})[curve.removeprefix(_BITS)] = value
        evaluations = self._evaluations(name)
        verdicts, limits = guard.verdicts(evaluations, own.told), guard.limits(evaluations)
        for verdict in verdicts:
            own.told = verdict.step
            if verdict.state not in {own.state, "unknown"} and limits is not None:
                self._observer.say(f"guard: {words(name, guard.watched, limits, verdict)}")
            own.state = verdict.state
        return verdicts


def curves(guard: RunGuard, verdicts: Sequence[GuardVerdict]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Return what a guard says as curves by step: the loss on the earlier domains, its forecast, and the proposed ratio."""
    found: dict[str, list[tuple[int, float]]] = {}
    for one in verdicts:
        values = {"loss": one.loss, "predicted": one.predicted, "proposed_ratio": one.proposed_ratio}
        for name, value in values.items():
            if value is not None:
                found.setdefault(f"guard/{name}", []).append((one.step, value))
    return {name: tuple(rows) for name, rows in found.items()}


def earlier_guards(config: GuardParams | None) -> tuple[dict[str, str], tuple[Guard, ...]]:
    """Return what earlier stages said, and its digest, which is part of the stage's input.

    Raises:
        ConfigError: a folder has nothing that a guard has published.
    """
    if config is None or not config.earlier:
        return {}, ()
    for folder in config.earlier:
        if not (Path(folder) / Guard.FILE).is_file():
            raise ConfigError(
                f"train.guard: earlier: {folder} has no {Guard.FILE}. Name what a train stage with a guard has published."
            )
    digests = [digest_file(Path(folder) / Guard.FILE) for folder in config.earlier]
    return {"guard": "-".join(digests)}, tuple(Guard.read(Path(folder)) for folder in config.earlier)


def published(
    guards: Mapping[str, RunGuard], start: str | None, measured: Mapping[str, Sequence[EvaluationRow]]
) -> dict[str, Guard]:
    """Return what the stage publishes of its guards, by file; `measured` are the recorded evaluations by run."""
    runs = []
    for name, guard in guards.items():
        bits: dict[int, dict[str, float]] = {}
        for row in measured[name]:
            bits.setdefault(row.step, {})[row.domain] = row.bits_per_byte
        rows = [(step, tuple(own[one] for one in guard.domains)) for step, own in sorted(bits.items())]
        if (said := guard.published(rows)) is not None:
            runs.append(said)
    if not runs:
        return {}
    config = next(iter(guards.values())).config
    return {Guard.FILE: Guard(tolerance=config.tolerance, confidence=config.confidence, start=start, runs=tuple(runs))}
