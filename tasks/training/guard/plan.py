"""Which runs a guard watches, from which step on, and what keeps it from that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tasks.core.errors import ConfigError
from tasks.training.guard.params import GuardParams
from tasks.training.guard.published import Guard, GuardedRun, GuardVerdict
from tasks.training.guard.verdicts import Limits, Point, Watched, judged
from tasks.training.params import TrainParams
from tasks.training.recipes import PlannedRun
from tasks.training.replay import Before, read_before
from tasks.training.result import Evaluation
from tasks.training.starts.kinds import trained_on
from tasks.training.starts.scratch import Scratch
from tasks.training.types import RunSpec

# Evaluations of a run before its end, so that the law has some to be refitted on while there is time.
_LEAST = 3


@dataclass(frozen=True)
class RunGuard:
    """The guard of one run of a pool with these domains; `earlier` are the points of runs before it."""

    planned: PlannedRun
    config: GuardParams
    domains: tuple[str, ...]
    watched: Watched
    earlier: tuple[Point, ...] = ()

    def limits(self, evaluations: Sequence[Evaluation]) -> Limits | None:
        """Return what the run may not pass; None while what was there before its first step is not known."""
        bits = dict(evaluations).get(self.watched.first_step)
        if bits is None:
            return None
        before = self.watched.loss(bits)
        reference = before if self.config.reference is None else self.config.reference
        return Limits(before, reference, self.config.tolerance, self.config.confidence)

    def verdicts(self, evaluations: Sequence[Evaluation], after: int = 0) -> tuple[GuardVerdict, ...]:
        """Return what is said behind each evaluation past a step."""
        limits = self.limits(evaluations)
        return () if limits is None else judged(self.watched, limits, evaluations, self.earlier, after)

    def published(self, evaluations: Sequence[Evaluation]) -> GuardedRun | None:
        """Return all that was said of a run."""
        limits, spec = self.limits(evaluations), self.planned.spec
        if limits is None:
            return None
        weights = {name: one for name, one in zip(self.domains, self.watched.weights, strict=True) if one}
        return GuardedRun(
            run=spec.name,
            mixture=self.planned.mixture,
            seed=spec.seed,
            domains=weights,
            before=limits.before,
            limit=limits.limit,
            verdicts=self.verdicts(evaluations),
        )


def run_guards(
    params: TrainParams, runs: Sequence[PlannedRun], domains: Sequence[str], start: str | None, earlier: Sequence[Guard]
) -> dict[str, RunGuard]:
    """Return the guards of a stage's runs by name: of those that go on from a start, whose digest is given, or a trunk.

    Raises:
        ConfigError: nobody knows what came before, evaluations do not serve it, or earlier runs are of another
            start or of other domains.
    """
    if (config := params.guard) is None:
        return {}
    new, started = isinstance(params.start, Scratch), partial(trained_on, params.start)
    hooked = {one.spec: [hook.phase for hook in one.hooks or ()] for one in runs}
    watched = [one for one in runs if one.spec.trunk is not None or not new]
    found = dict[str, RunGuard]()
    for one in watched:
        if wrong := [*_mistakes(one, config)]:
            raise ConfigError(f"train.guard: {one.spec.name}: {'; '.join(wrong)}.")
        weights = _weights(config, one.spec, domains, started, hooked)
        found[one.spec.name] = RunGuard(one, config, tuple(domains), _watched(one.spec, weights))
    points = _points(config, start, earlier, next(iter(found.values())))
    return {name: RunGuard(one.planned, config, one.domains, one.watched, points) for name, one in found.items()}


def _mistakes(run: PlannedRun, config: GuardParams) -> Iterator[str]:
    spec, evaluations = run.spec, run.spec.training.evaluations
    first = 0 if spec.trunk is None else spec.trunk.step
    if run.hooks:
        yield "hooks decide its mixture on the way, and the guard counts with its ratio. Leave one of them out"
    if evaluations is None:
        yield "it is not evaluated on its way; set training.evaluations"
        return
    before = evaluations if spec.trunk is None else spec.trunk.spec.training.evaluations
    if before is None or not before.is_due(first):
        there = (
            "evaluations.at_start" if spec.trunk is None else f"step {first}, where it leaves its trunk, in at_steps"
        )
        yield f"it is not evaluated before its first step, with which the guard compares; set {there}"
    due = [step for step in range(first + 1, spec.training.num_steps) if evaluations.is_due(step)]
    if len(due) < _LEAST:
        yield (
            f"it is evaluated {len(due)} times on its way, and a law is fitted from {_LEAST} on; lower "
            "evaluations.every_steps, or name more at_steps"
        )


def _weights(
    config: GuardParams,
    spec: RunSpec,
    domains: Sequence[str],
    started: Before,
    hooked: Mapping[RunSpec, Sequence[int]],
) -> tuple[float, ...]:
    """Return the weight of each domain of the pool in the loss; 0 = it is new."""
    known: Mapping[str, float] | None = config.domains
    if known is None:
        trunk = spec.trunk
        known = started() if trunk is None else read_before(trunk.spec, trunk.step, domains, started, hooked)
    if known is None:
        raise ConfigError(
            "train.guard: nobody knows what the model of train.start was trained on. Name guard.domains: the earlier "
            "domains of the pool, with weights."
        )
    there = {name: one for name, one in known.items() if one}
    if strangers := sorted({*there} - {*domains}):
        raise ConfigError(
            f"train.guard: {len(strangers)} of {len(there)} earlier domains are not in the pool; first: {strangers[0]}. "
            f"It has {', '.join(domains)}. Add their text, or name guard.domains."
        )
    total = sum(there.values())
    return tuple(there.get(name, 0.0) / total for name in domains)


def _watched(spec: RunSpec, weights: tuple[float, ...]) -> Watched:
    first = 0 if spec.trunk is None else spec.trunk.step
    return Watched(weights, spec.phases, first, spec.training.num_steps, spec.training.tokens_per_step)


def _points(config: GuardParams, start: str | None, earlier: Sequence[Guard], first: RunGuard) -> tuple[Point, ...]:
    """Return the points of earlier runs, which are of the same start and measured on the same domains."""
    own = {name: one for name, one in zip(first.domains, first.watched.weights, strict=True) if one}
    found = list[Point]()
    for folder, one in zip(config.earlier, earlier, strict=True):
        if one.start != start:
            raise ConfigError(f"train.guard: earlier: the runs in {folder} began with another start. Leave it out.")
        for run in one.runs:
            if {*run.domains} != {*own} or any(abs(run.domains[name] - share) > 1e-3 for name, share in own.items()):
                raise ConfigError(
                    f"train.guard: earlier: the loss of {run.run} in {folder} is of {', '.join(run.domains)} in other "
                    f"shares than here ({', '.join(own)}). Name guard.domains as there, or leave it out."
                )
            found += [Point(said.tokens, said.ratio, said.loss) for said in run.verdicts]
    return tuple(found)
