"""A run whose plan is decided on the way: at the start of a stage a hook gives its mixture, and the plan keeps it.

The run stops at the boundary, with a checkpoint. What the hook decides is written into the plan before the run goes on from
that checkpoint, so that a run that is killed later asks no hook again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tasks.core.errors import DamagedError, StoppedError
from tasks.core.results import Here
from tasks.core.sealed import read_sealed, write_sealed
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import Checkpoint, kept_by, read, steps, write
from tasks.training.config import TrainingConfig
from tasks.training.data import run_data
from tasks.training.distributed import from_first
from tasks.training.hooks.boundary import Boundary, Weights, under_caps
from tasks.training.hooks.kinds import HookConfig, decide
from tasks.training.model import decoder, weight_shapes
from tasks.training.result import RunResult, identity
from tasks.training.run import train
from tasks.training.schedules.rates import learning_rate
from tasks.training.segments import flops_of, model_behind, samples_before
from tasks.training.types import Device, Phase, RunSpec, StepNumbers, World

# What stage hooks have decided on the way of a run: the weights of each hooked stage, in the order of the stages.
PLAN_FILE = "plan.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageHook:
    """The hook of a phase of a run, counted from 0; until it has decided, the phase has the recipe's weights."""

    phase: int
    config: HookConfig


def train_planned(
    spec: RunSpec,
    hooks: Sequence[StageHook],
    pool: TokenPool,
    here: Here,
    initial: Mapping[str, Tensor] | None,
    device: Device = "cpu",
) -> tuple[RunResult, RunSpec]:
    """Train a run from its last checkpoint on, deciding the mixtures of hooked phases on the way.

    Return it with its spec as it was decided.

    Raises:
        EvidenceError: no mixture can be made of what a hook wants.
        StoppedError: it was asked to; what was reached and decided is kept.
    """
    run = _Run(pool, here, initial, device)
    if not hooks:
        return run.train(spec, here.scratch), spec
    decided = run.shared(run.plan())
    for number, hook in enumerate(hooks):
        if number < len(decided):
            continue
        now, at = _next(spec, hooks, decided), _step(spec, hook.phase)
        own = run.scratch and _part(run.scratch, number)
        run.train_until(at, now, own)
        decided = (*decided, *run.shared(() if own is None else (_decided(now, hook, pool, own, at),)))
        if run.scratch is not None and own is not None:
            carry_over(at, _next(spec, hooks, decided), pool, own, _part(run.scratch, number + 1))
            write_sealed(run.scratch / PLAN_FILE, {"weights": decided})
    whole = _with(spec, hooks, decided)
    return run.train(whole, run.scratch and _part(run.scratch, len(hooks))), whole


def milestones(spec: RunSpec, hooks: Sequence[StageHook], scratch: Path) -> dict[int, Path]:
    """Return where the checkpoint of each of a run's own milestones lies, by step: a part ends where a hook decides."""
    every, first = spec.training.milestone_every_steps, 0 if spec.trunk is None else spec.trunk.step
    if every is None:
        return {}
    ends = [_step(spec, hook.phase) for hook in hooks]
    return {
        step: _part(scratch, sum(end < step for end in ends)) if hooks else scratch
        for step in range(first - first % every + every, spec.training.num_steps + 1, every)
    }


@dataclass(frozen=True)
class _Run:
    """One process of a run: what it reads, where it works, and what it starts from."""

    pool: TokenPool
    here: Here
    initial: Mapping[str, Tensor] | None
    device: Device

    @property
    def world(self) -> World:
        return World(self.here.size, self.here.rank, self.here.group)

    @property
    def first(self) -> bool:
        return self.here.rank == 0

    @property
    def scratch(self) -> Path | None:
        """Where the plan and the checkpoints are kept: the first worker alone has it."""
        if not self.first:
            return None
        assert self.here.scratch is not None, "a plan that is decided on the way is kept in the scratch folder"
        return self.here.scratch

    def plan(self) -> tuple[Weights, ...]:
        """Return what was decided before, as the first worker has it; a damaged plan is decided again, to the same."""
        if self.scratch is None or not (self.scratch / PLAN_FILE).is_file():
            return ()
        try:
            weights = read_sealed(self.scratch / PLAN_FILE)["weights"]
        except DamagedError as error:
            _log.warning("%s It is passed over; the hooks decide again.", error)
            return ()
        return tuple(tuple(row) for row in weights)

    def shared(self, rows: tuple[Weights, ...]) -> tuple[Weights, ...]:
        """Return the first worker's rows of weights, on every worker."""
        count, width = int(from_first(torch.tensor(len(rows)), self.world)), len(self.pool.names)
        own = torch.tensor(rows if self.first else [[0.0] * width] * count, dtype=torch.float64)
        return tuple(tuple(row) for row in from_first(own.reshape(count, width), self.world).tolist())

    def train(
        self, spec: RunSpec, checkpoints: Path | None, enough: Callable[[Sequence[int]], bool] = lambda _: False
    ) -> RunResult:
        """Train a spec; `enough` is asked before a step whether to stop behind those made here."""
        training, made = spec.training, list[int]()

        def hear(step: int, numbers: StepNumbers) -> None:
            made.append(step)
            self.here.progress(step, training.num_steps)
            for at, bits in numbers.evaluations:
                named = zip(self.pool.names, bits, strict=True)
                self.here.measured(at, {f"bits_per_byte/{name}": value for name, value in named})
            flops = flops_of(spec, self.pool.vocab_size, 0, step)
            done = {"tokens": step * training.tokens_per_step, "flops": flops}
            self.here.measured(step, {**told_of(training, step, numbers), **done})

        return train(
            spec,
            self.pool,
            checkpoints=checkpoints,
            initial=self.initial,
            world=self.world,
            device=self.device,
            on_step=hear,
            asked_to_stop=lambda: enough(made) or self.here.asked_to_stop(),
        )

    def train_until(self, at: int, spec: RunSpec, folder: Path | None) -> None:
        """Train up to the end of a step, and leave its checkpoint in the folder, which the first worker has."""

        def reached() -> bool:
            own = folder is not None and at in steps(folder, identity(spec, self.pool), 1)
            return bool(from_first(torch.tensor(own), self.world))

        if reached():
            return
        try:
            self.train(spec, folder, lambda made: at in made)
        except StoppedError:
            if not reached():
                raise


def _decided(spec: RunSpec, hook: StageHook, pool: TokenPool, folder: Path, at: int) -> Weights:
    """Return what a hook decides at the checkpoint of a step, under the epoch caps."""
    tensors, record = read(folder, at)
    # As it was trained, in what comes before the stage.
    model, config = model_behind(spec.segments, at), hook.config
    weights = {name: tensors[name] for name in weight_shapes(model, pool.vocab_size)}
    phase, losses = spec.phases[hook.phase], tuple(record["losses"])
    caps = (1.0,) * len(pool.names) if spec.max_epochs is None else _caps(spec, spec.max_epochs, phase, pool, at)
    last, made = spec.phases[hook.phase - 1], decoder(model, pool.vocab_size, weights)
    before = last.weights if last.end_weights is None else last.end_weights
    boundary = Boundary(phase.weights, caps, made, pool, losses, spec.seed, before, spec.teachers or ())
    return under_caps(decide(config, boundary), caps)


def _caps(spec: RunSpec, max_epochs: float, phase: Phase, pool: TokenPool, at: int) -> Weights:
    """Return the largest weights of a phase that epoch caps leave behind a step."""
    data, layout = run_data(spec, pool), phase.layout(spec.training.model)
    drawn = data.drawn_before(samples_before(data.segments, at))
    pairs = [
        (part.order.distinct or part.order.rows, own.tolist()) for part, own in zip(data.parts, drawn, strict=True)
    ]
    (here,) = (number for number, part in enumerate(data.parts) if part.layout == layout)
    rows, taken = pairs.pop(here)
    caps = []
    for domain, (there, own) in enumerate(zip(rows, taken, strict=True)):
        others = sum(drawn[domain] / distinct[domain] for distinct, drawn in pairs if drawn[domain])
        left = max(int((max_epochs - others) * there) - own, 0)
        caps.append(min(left / (phase.num_tokens // layout.length), 1.0))
    return tuple(caps)


def train_until(at: int, spec: RunSpec, pool: TokenPool, here: Here, folder: Path, device: Device) -> None:
    """Train a run up to the end of a step, and leave its checkpoint in the folder."""
    _Run(pool, here, None, device).train_until(at, _until(spec, at), folder)


def carry_over(at: int, after: RunSpec, pool: TokenPool, folder: Path, target: Path) -> None:
    """Make the checkpoint of a step one of another run that goes on from it, unless that has its own already."""
    own = identity(after, pool)
    if steps(target, own, 1):
        return
    tensors, record = read(folder, at)
    kept = {name: value for name, value in record.items() if name not in {"identity", "step", "state"}}
    write(Checkpoint(target, own, at, tensors, kept), kept_by(after.training))


def _part(scratch: Path, decided: int) -> Path:
    """Return where the checkpoints lie of what is trained when so many hooks have decided."""
    return scratch / f"decided-{decided}"


def _with(spec: RunSpec, hooks: Sequence[StageHook], decided: tuple[Weights, ...]) -> RunSpec:
    """Return a spec with what hooks have decided so far in its phases."""
    found = {hook.phase: weights for hook, weights in zip(hooks, decided, strict=False)}
    phases = [replace(phase, weights=found.get(index, phase.weights)) for index, phase in enumerate(spec.phases)]
    return replace(spec, phases=tuple(phases))


def _next(spec: RunSpec, hooks: Sequence[StageHook], decided: tuple[Weights, ...]) -> RunSpec:
    """Return what is trained next: up to the next hook, a milestone, which the host looks at on a GPU too; or all."""
    found = _with(spec, hooks, decided)
    # With milestones a hook decides at one of them.
    if len(decided) == len(hooks) or spec.training.milestone_every_steps is not None:
        return found
    at = _step(spec, hooks[len(decided)].phase)
    return _until(found, at)


def _until(spec: RunSpec, at: int) -> RunSpec:
    return replace(spec, training=spec.training.model_copy(update={"milestone_every_steps": at}))


def _step(spec: RunSpec, phase: int) -> int:
    """Return the steps that are made when a phase begins."""
    return sum(one.num_tokens for one in spec.phases[:phase]) // spec.training.tokens_per_step


def told_of(training: TrainingConfig, step: int, numbers: StepNumbers) -> dict[str, float]:
    """Return what people are told of the last of `step` steps."""
    rate = learning_rate(training, step - 1)
    by_domain = {f"loss/{name}": loss for name, loss in numbers.loss_by_domain.items()}
    return {"loss": numbers.loss, "learning_rate": rate, "gradient_norm": numbers.norm, **by_domain, **numbers.experts}
