"""What the runs of a stack have reached together: how they begin, what is kept of them, and what each gives.

Axes: N proxies still running, S samples of a step, X tokens given and tokens to predict, T places of a sample, W = weights
of a proxy, padded.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from tasks.core.errors import StoppedError
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import Checkpoint, CheckpointWriter, kept_by, read, steps
from tasks.training.config import TrainingConfig
from tasks.training.data import Batch, RunData, run_data
from tasks.training.distributed import from_first, parts_of, world_sum
from tasks.training.ewc.anchor import Anchor, anchor_of
from tasks.training.experts.use import ExpertState, Floats, expert_state, experts_used
from tasks.training.interleave import Integers
from tasks.training.ledger import ConsumptionLog, also_counted
from tasks.training.masked import Mask, mask_of
from tasks.training.model import decoder, torch_dtype
from tasks.training.multi_token.method import of_model
from tasks.training.result import Evaluation, RunResult, accounted, first_weights, identity, steps_before
from tasks.training.segments import Segment, Segments, model_behind, segment_of
from tasks.training.spikes import skipped_steps
from tasks.training.stacked_layout import Layout, layout_of
from tasks.training.stacked_optimizer import StackedOptimizer, begin, named_state, new_state, optimizer_of, read_state
from tasks.training.teachers.loaded import Teachers, teachers_of
from tasks.training.types import DivergedError, RunSpec, World


@dataclass
class StackedRun:
    """One run of a stack: its place among all, its data, what the host has looked at of its steps, and how it ended.

    `log` counts what this process took of the data for the run's steps, `experts` how its tokens were routed, `told` the
    evaluations that somebody was told of.
    `end` are the weights of a run that is through or was stopped, or the error that ended it. `found` are the steps of
    its checkpoints.
    """

    place: int
    spec: RunSpec
    layout: Layout
    data: RunData
    log: ConsumptionLog
    identity: str
    checkpoints: Path | None
    experts: ExpertState | None = None
    found: Sequence[int] = ()
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    loss_by_domain: Mapping[str, float] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    told: int = 0
    end: Tensor | DivergedError | None = None


@dataclass(frozen=True)
class MadeStep:
    """What a step gave that the host has not looked at yet; the nats are of the samples in `batches`, this process's."""

    losses_N: Tensor
    norms_N: Tensor
    nats_NS: Tensor
    batches: Mapping[int, Batch]


@dataclass
class Stack:
    """What some runs have reached together; those still running, in the order of the first axis of the tensors.

    `state` is the optimizer's, each tensor with a first axis of proxies. `low_NW` are the weights in the precision of the
    products, `sums` gradients with nats, [N, W], one for each level of the sum over micro-batches: both are kept, because
    new memory is slow (its pages were 20 % of a step). `pending` are steps that the host has not looked at
    yet. If any run `keeps` checkpoints, one is due every `save_every` steps: what the stack did since then is at
    most the work of one run. `parts` are the first micro-batch of a step that this process sums, and how many. `ahead` are
    the next steps: pairs [N, S, 2, T] on the device, and by place their batches. The `mask` holds weights at zero,
    the `anchor` near to the start's. All runs have the same `segments`.
    """

    runs: list[StackedRun]
    training: TrainingConfig
    layout: Layout
    save_every: int
    optimizer: StackedOptimizer
    weights_NW: Tensor
    state: dict[str, Tensor]
    low_NW: Tensor
    sums: list[Tensor]
    step: int
    world: World
    parts: tuple[int, int]
    keeps: bool
    segments: Segments
    teachers: Teachers | None
    mask: Mask | None = None
    anchor: Anchor | None = None
    ahead: deque[tuple[Tensor, Mapping[int, Batch]]] = field(default_factory=deque)
    pending: list[MadeStep] = field(default_factory=list)

    @property
    def part_size(self) -> int:
        """Samples of a micro-batch of the step that comes next."""
        return self.segment.sequences_per_step // self.training.micro_batches

    @property
    def optimizer_step(self) -> int:
        """The number of the step that comes next to the optimizer, the same of all runs."""
        return self.runs[0].spec.optimizer_step(self.step)

    @property
    def on_cpu(self) -> bool:
        """Whether the host sees every number at once."""
        return self.weights_NW.device.type == "cpu"

    @property
    def segment(self) -> Segment:
        """The segment of the step that comes next."""
        return segment_of(self.segments, self.step)

    @property
    def layout_there(self) -> Layout:
        """The layout with the model as it is in the step that comes next."""
        return replace(self.layout, config=self.segment.model)

    @property
    def looks_at_every_step(self) -> bool:
        """Whether the host takes the numbers of each step before the next: what to leave out follows from them."""
        return self.on_cpu or self.training.optimizer.skip_spikes is not None


def stacked_run(place: int, spec: RunSpec, pool: TokenPool, checkpoints: Path | None) -> StackedRun:
    """Return a run of a stack at its place, with the steps of its checkpoints."""
    data, own = run_data(spec, pool), identity(spec, pool)
    training = spec.training
    layout = layout_of(training.model, pool.vocab_size, training.multi_token)
    also = also_counted(training.data, spec.segments, objective=training.objective is not None)
    log = ConsumptionLog(spec.segments, len(pool.names), also)
    run = StackedRun(place, spec, layout, data, log, own, checkpoints, expert_state(training, len(pool.names)))
    if checkpoints is not None:
        run.found = steps(checkpoints, own, kept_by(spec.training).last)
    return run


def together(runs: Sequence[StackedRun], world: World) -> dict[int, list[StackedRun]]:
    """Return which runs begin at which step, as the first process of the world finds it.

    All begin together where all can; a run's checkpoints may also be those of another stack, that had got less far.
    """
    common = set(runs[0].found).intersection(*(run.found for run in runs))
    found = [max(common)] * len(runs) if common else [max(run.found, default=0) for run in runs]
    starts: list[int] = from_first(torch.tensor(found), world).tolist()
    return {step: [run for run, own in zip(runs, starts, strict=True) if own == step] for step in sorted(set(starts))}


def started(
    runs: list[StackedRun], step: int, device: torch.device, world: World, initial: Mapping[str, Tensor] | None
) -> Stack:
    """Return a stack of runs at a step: their checkpoints of it, or at 0 what they begin with."""
    layout, training = runs[0].layout, runs[0].spec.training
    optimizer = optimizer_of(training, layout, device)
    if step:
        rows, states = zip(*(_shared(run, step, optimizer, world) for run in runs), strict=True)
        weights_NW = torch.stack(rows).to(device)
        state = {name: torch.stack([own[name] for own in states]).to(device) for name in states[0]}
    else:
        specs = {run.spec.seed: run.spec for run in runs}
        first = {seed: layout.row(first_weights(spec, layout.vocab_size, initial)) for seed, spec in specs.items()}
        weights_NW = torch.stack([first[run.spec.seed] for run in runs]).to(device)
        state = new_state(optimizer, (len(runs),), device)
        if runs[0].spec.optimizer_steps is None:
            for row, weights_W in enumerate(weights_NW):
                begin(optimizer, weights_W, {name: rows[row] for name, rows in state.items()})
        else:
            assert initial is not None, "the optimizer's state of another run comes with its weights"
            for name, tensor in read_state(optimizer, initial).items():
                state[name].copy_(tensor.expand_as(state[name]))
    share = ceil(training.num_steps / len(runs))
    every = min(share, training.checkpoint_every_steps or share)
    low_NW = torch.empty_like(weights_NW, dtype=torch_dtype(training.product_precision))
    parts = parts_of(world, training.micro_batches)
    sums = [torch.empty_like(weights_NW) for _ in range(parts[1].bit_length())]
    keeps = bool(from_first(torch.tensor([run.checkpoints is not None for run in runs]).any(), world))
    own = (weights_NW, state, low_NW, sums)
    segments, teachers = runs[0].data.segments, teachers_of(runs[0].spec, layout.vocab_size, device)
    mask = mask_of(training.static_mask, of_model(layout.shapes), device)
    if mask is not None:
        mask.apply(layout.named(weights_NW), step)
    more = (segments, teachers, mask, anchor_of(runs[0].spec, device))
    return Stack(list(runs), training, layout, every, optimizer, *own, step, world, parts, keeps, *more)


def state_of(stack: Stack, place: int) -> dict[str, Tensor]:
    """Return the optimizer's state of one run, as views."""
    return {name: rows[place] for name, rows in stack.state.items()}


def drop_ended(stack: Stack) -> None:
    """Take the rows of ended runs out of the stack: the others go on in a smaller one, to the same bits."""
    left = [row for row, run in enumerate(stack.runs) if run.end is None]
    if len(left) < len(stack.runs):
        stack.runs = [stack.runs[row] for row in left]
        stack.weights_NW = stack.weights_NW[left]
        stack.state = {name: rows[left] for name, rows in stack.state.items()}
        stack.ahead = deque((pairs_NSXT[left], batches) for pairs_NSXT, batches in stack.ahead)
        stack.low_NW, stack.sums = stack.low_NW[: len(left)], [sum_NW[: len(left)] for sum_NW in stack.sums]


def _consumed(run: StackedRun, world: World) -> Integers:
    """Return what all processes of the world took for a run's steps."""
    state: Integers = world_sum(torch.from_numpy(run.log.state()), world).numpy()
    return state


def _routed(experts: ExpertState, world: World) -> Floats:
    """Return how the tokens of all processes of the world were routed."""
    sums: Floats = world_sum(torch.from_numpy(experts.sums), world).numpy()
    return sums


def save(stack: Stack, writer: CheckpointWriter) -> None:
    """Begin to save each run where it keeps its checkpoints."""
    if not stack.keeps:
        return
    due = []
    for place, (run, weights_W) in enumerate(zip(stack.runs, stack.weights_NW, strict=True)):
        consumed = _consumed(run, stack.world)
        routed = {} if run.experts is None else {"experts": run.experts.record(_routed(run.experts, stack.world))}
        if run.checkpoints is not None:
            tensors = stack.layout.named(weights_W) | named_state(stack.optimizer, state_of(stack, place))
            own = {"losses": run.losses, "norms": run.norms, "evaluations": run.evaluations}
            record = {**own, "consumed": consumed.tolist(), **routed, **steps_before(run.spec)}
            due.append(Checkpoint(run.checkpoints, run.identity, stack.step, tensors, record))
    if due and stack.step:
        writer.save(due)


def _shared(run: StackedRun, step: int, optimizer: StackedOptimizer, world: World) -> tuple[Tensor, dict[str, Tensor]]:
    """Return weights and the optimizer's state at a step on every process of the world; the first one reads them."""
    if world.rank == 0:
        weights_W, state = _restored(run, step, optimizer)
    else:
        weights_W, state = torch.empty(run.layout.width), new_state(optimizer, (), "cpu")
        run.losses, run.norms = [0.0] * step, [0.0] * step
    run.losses, run.norms = from_first(torch.tensor([run.losses, run.norms], dtype=torch.float64), world).tolist()
    if run.experts is not None and run.experts.coefficients_L is not None:
        run.experts.coefficients_L = from_first(run.experts.coefficients_L, world)
    return from_first(weights_W, world), {name: from_first(tensor, world) for name, tensor in state.items()}


def _restored(run: StackedRun, step: int, optimizer: StackedOptimizer) -> tuple[Tensor, dict[str, Tensor]]:
    """Return weights and the optimizer's state at a step, and take its losses and norms."""
    assert run.checkpoints is not None, "it was found there"
    tensors, record = read(run.checkpoints, step)
    run.losses, run.norms = list(record["losses"]), list(record["norms"])
    run.log.restore(record["consumed"])
    run.evaluations = [(step, tuple(bits)) for step, bits in record["evaluations"]]
    if run.experts is not None:
        run.experts.restore(record["experts"], step)
    return run.layout.row(tensors), read_state(optimizer, tensors)


def result_of(run: StackedRun, world: World) -> RunResult | DivergedError:
    """Return what a run that is through gives, its ledger checked against its recipe, or the error that ended it."""
    assert run.end is not None, "every run was trained to its end"
    if isinstance(run.end, DivergedError):
        return run.end
    weights = {name: weight.clone() for name, weight in of_model(run.layout.named(run.end.cpu())).items()}
    model = decoder(model_behind(run.data.segments, len(run.losses)), run.layout.vocab_size, weights)
    ledger, experts = run.log.ledger(_consumed(run, world), len(run.losses)), run.experts
    names = run.data.pool.names
    return replace(
        accounted(run.spec, run.data, model, run.losses, ledger),
        experts=None if experts is None else experts_used(experts, _routed(experts, world), names, len(run.losses)),
        evaluations=tuple(run.evaluations),
        skipped=skipped_steps(run.spec.training.optimizer.skip_spikes, run.losses, run.norms),
    )


def stopped(stack: Stack) -> StoppedError:
    """Return what to raise when time is up, its checkpoints on their way to the disk."""
    first, others = stack.runs[0], len(stack.runs) - 1
    kept = "checkpoints are kept, and the same command goes on from there" if first.checkpoints else "nothing is kept"
    return StoppedError(
        f"{first.spec.name}{f' and {others} more runs' if others else ''}: stopped behind step {stack.step} of "
        f"{stack.training.num_steps}; {kept}."
    )
