"""Many runs of one training config in one process: every weight has a leading axis of proxies.

What is small is done for all proxies at once (norms, rotation, attention, the layers' products), what is large one by
one (the output layer, the optimizer): N times the logits would leave the processor's cache. On a GPU the output layer
and the optimizer are batched too, and the device is waited for every `SYNC_STEPS` steps only. On a CPU each proxy gets
the bits that `train` gives it alone, whatever else is in the stack (tested).

Axes: N proxies still running, S sequences, U tokens of a sample, P parameters, W = P padded.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil, isfinite
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.core.errors import ConfigError, StoppedError
from tasks.core.results import never
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import Checkpoint, CheckpointWriter, is_due, kept_by, read, steps
from tasks.training.config import TrainingConfig
from tasks.training.data import Batch, RunData, run_data, step_ranges
from tasks.training.distributed import from_first, parts_of, tree_sum, world_sum
from tasks.training.held_out import evaluated
from tasks.training.interleave import Integers
from tasks.training.ledger import ConsumptionLog
from tasks.training.loader import prefetched
from tasks.training.model import decoder, documents_of, torch_dtype
from tasks.training.numerics import deterministic, diverged
from tasks.training.optimizers.clipping import clipped, clipped_rows
from tasks.training.result import Evaluation, RunResult, accounted, identity, new_weights
from tasks.training.schedules.rates import learning_rate
from tasks.training.spikes import is_spike, skipped_steps
from tasks.training.stacked_model import Layout, gradient_and_nats, layout_of
from tasks.training.stacked_optimizer import StackedOptimizer, change, named_state, new_state, optimizer_of, read_state
from tasks.training.types import DivergedError, RunSpec, StepNumbers, World

# A guess: the device is never idle for long, and a diverged proxy wastes little.
SYNC_STEPS = 16
# Threads that read the next steps of a GPU; a CPU's one thread reads each step itself.
LOADER_WORKERS = 2

Losses = tuple[float | None, ...]
Heard = tuple[StepNumbers | None, ...]
OnSteps = Callable[[int, Heard], None]
Stop = Callable[[int, Losses], Sequence[bool]]


def train_stacked(
    specs: Sequence[RunSpec],
    pool: TokenPool,
    *,
    checkpoints: Sequence[Path] | None = None,
    initial: Mapping[str, Tensor] | None = None,
    device: str = "cpu",
    world: World = World(),  # noqa: B008 (frozen)
    on_step: OnSteps | None = None,
    stop: Stop | None = None,
    asked_to_stop: Callable[[], bool] = never,
) -> tuple[RunResult | DivergedError, ...]:
    """Train runs of one config together; each gives what it gives alone, or the error that ended it alone.

    With a folder of `checkpoints` for each run a killed stack goes on from its last ones when called again, in this
    stack or in others: it loses less work than one run is. Of several processes of a `world` only the first needs them.
    `initial` are the weights that all begin with, by name; None = new ones, drawn from each run's seed.
    `on_step` hears (steps made, numbers of each run's last; None = not running), on a GPU at every synchronisation. `stop`
    is asked then which runs to end early (True); their losses and ledger are as long as they ran. Who is in a stack is
    placement, so it must judge each run by itself. `asked_to_stop` is asked before every step, of the first process, whether
    time is up.

    Raises:
        ConfigError: the specs have different training configs or one that is not for a stack, one does not fit the pool, or
            the processes cannot share the micro-batches evenly; before the first step.
        StoppedError: it was asked to; each run's checkpoint of the step reached is kept.
    """
    if len({spec.training for spec in specs}) != 1:
        raise ConfigError(f"{len(specs)} runs with different training configs cannot be stacked. Group them by config.")
    if (parallel := specs[0].training.parallel) is not None:
        raise ConfigError(f"a stack does not spread a model over devices. Set parallel ({parallel.kind}) to null.")
    parts_of(world, specs[0].training.micro_batches)
    folders: Sequence[Path | None] = [None] * len(specs) if checkpoints is None else checkpoints
    runs = [_run(place, spec, pool, folder) for place, (spec, folder) in enumerate(zip(specs, folders, strict=True))]
    listeners = _StepListeners(len(runs), on_step, stop, asked_to_stop)
    with deterministic() if device == "cpu" else nullcontext(), torch.no_grad():
        for step, some in _together(runs, world).items():
            _train(_start(some, step, torch.device(device), world, initial), listeners)
    return tuple(_result(run, world) for run in runs)


@dataclass
class _Run:
    """One run of a stack: its place among all, its data, what the host has looked at of its steps, and how it ended.

    `log` counts what this process took of the data for the run's steps.
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
    found: Sequence[int] = ()
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    loss_by_domain: Mapping[str, float] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    end: Tensor | DivergedError | None = None


@dataclass(frozen=True)
class _Made:
    """What a step gave that the host has not looked at yet; the nats are of the samples in `batches`, this process's."""

    losses_N: Tensor
    norms_N: Tensor
    nats_NS: Tensor
    batches: Mapping[int, Batch]


@dataclass
class _Stack:
    """What some runs have reached together; those still running, in the order of the first axis of the tensors.

    `state` is the optimizer's, each tensor with a first axis of proxies. `low_NW` are the weights in the precision of the
    products, `sums` gradients with nats, [N, W], one for each level of the sum over micro-batches: both are kept, because
    new memory is slow (its pages were 20 % of a step). `pending` are steps that the host has not looked at
    yet. If any run `keeps` checkpoints, one is due every `save_every` steps: what the stack did since then is at
    most the work of one run. `parts` are the first micro-batch of a step that this process sums, and how many. `ahead` are
    the next steps: tokens [N, S, U] on the device, and by place the batches they are of.
    """

    runs: list[_Run]
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
    ahead: deque[tuple[Tensor, Mapping[int, Batch]]] = field(default_factory=deque)
    pending: list[_Made] = field(default_factory=list)

    @property
    def on_cpu(self) -> bool:
        """Whether the host sees every number at once."""
        return self.weights_NW.device.type == "cpu"

    @property
    def looks_at_every_step(self) -> bool:
        """Whether the host takes the numbers of each step before the next: what to leave out follows from them."""
        return self.on_cpu or self.training.optimizer.skip_spikes is not None


@dataclass(frozen=True)
class _StepListeners:
    """Who hears of the steps of `size` runs."""

    size: int
    on_step: OnSteps | None
    stop: Stop | None
    asked_to_stop: Callable[[], bool]


def _run(place: int, spec: RunSpec, pool: TokenPool, checkpoints: Path | None) -> _Run:
    data, own = run_data(spec, pool), identity(spec, pool)
    layout = layout_of(spec.training.model, pool.vocab_size)
    log = ConsumptionLog(spec.training, len(pool.names))
    run = _Run(place, spec, layout, data, log, own, checkpoints)
    if checkpoints is not None:
        run.found = steps(checkpoints, own, kept_by(spec.training).last)
    return run


def _together(runs: Sequence[_Run], world: World) -> dict[int, list[_Run]]:
    """Return which runs begin at which step, as the first process of the world finds it.

    All begin together where all can; a run's checkpoints may also be those of another stack, that had got less far.
    """
    common = set(runs[0].found).intersection(*(run.found for run in runs))
    found = [max(common)] * len(runs) if common else [max(run.found, default=0) for run in runs]
    starts: list[int] = from_first(torch.tensor(found), world).tolist()
    return {step: [run for run, own in zip(runs, starts, strict=True) if own == step] for step in sorted(set(starts))}


def _start(
    runs: list[_Run], step: int, device: torch.device, world: World, initial: Mapping[str, Tensor] | None
) -> _Stack:
    layout, training = runs[0].layout, runs[0].spec.training
    optimizer = optimizer_of(training, layout, device)
    if step:
        rows, states = zip(*(_shared(run, step, optimizer, world) for run in runs), strict=True)
        weights_NW = torch.stack(rows).to(device)
        state = {name: torch.stack([own[name] for own in states]).to(device) for name in states[0]}
    else:
        first = {seed: _initial_row(layout, training, seed, initial) for seed in {run.spec.seed for run in runs}}
        weights_NW = torch.stack([first[run.spec.seed] for run in runs]).to(device)
        state = new_state(optimizer, (len(runs),), device)
    share = ceil(training.num_steps / len(runs))
    every = min(share, training.checkpoint_every_steps or share)
    low_NW = torch.empty_like(weights_NW, dtype=torch_dtype(training.product_precision))
    parts = parts_of(world, training.micro_batches)
    sums = [torch.empty_like(weights_NW) for _ in range(parts[1].bit_length())]
    keeps = bool(from_first(torch.tensor([run.checkpoints is not None for run in runs]).any(), world))
    own = (weights_NW, state, low_NW, sums)
    return _Stack(list(runs), training, layout, every, optimizer, *own, step, world, parts, keeps)


def _initial_row(layout: Layout, training: TrainingConfig, seed: int, initial: Mapping[str, Tensor] | None) -> Tensor:
    return layout.row(new_weights(training, layout.vocab_size, seed) if initial is None else initial)


def _train(stack: _Stack, listeners: _StepListeners) -> None:
    with CheckpointWriter(kept_by(stack.training)) as writer, _steps(stack) as steps_ahead:
        while stack.runs and stack.step < stack.training.num_steps:
            if bool(from_first(torch.tensor(listeners.asked_to_stop()), stack.world)):
                _settle(stack)
                _save(stack, writer)
                raise _stopped(stack)
            _advance(stack, steps_ahead)
            if stack.looks_at_every_step or stack.step % SYNC_STEPS == 0 or _saves(stack) or _evaluates(stack):
                _settle(stack)
                _evaluate(stack)
                _report_losses(stack, listeners)
                writer.check()
                if _saves(stack):
                    _save(stack, writer)
    for run, weights_W in zip(stack.runs, stack.weights_NW, strict=True):
        run.end = weights_W


def _steps(stack: _Stack) -> AbstractContextManager[Iterator[dict[int, Batch]]]:
    """Give what this process reads for each step of each run, by the run's place."""
    runs, workers = tuple(stack.runs), 0 if stack.on_cpu else LOADER_WORKERS
    ranges = step_ranges(stack.training, stack.step, stack.parts)

    def read(start: int, stop: int) -> dict[int, Batch]:
        return {run.place: run.data.read(start, stop) for run in runs}

    return prefetched(read, ranges, workers=workers, ahead=SYNC_STEPS)


def _advance(stack: _Stack, steps_ahead: Iterator[Mapping[int, Batch]]) -> None:
    """Make one step of every run that is left."""
    training, parameters = stack.training, stack.layout.parameters
    tokens_NSU, batches = _tokens(stack, steps_ahead)
    nats_NS = stack.weights_NW.new_empty(tokens_NSU.shape[:2])
    stack.low_NW.copy_(stack.weights_NW)
    total_NW = _summed(stack, tokens_NSU, nats_NS)
    gradient_NP = total_NW[:, :parameters].mul_(1.0 / training.tokens_per_step)
    losses_N = total_NW[:, parameters].double() / training.tokens_per_step
    if stack.on_cpu:
        norms_N = torch.stack([torch.linalg.vector_norm(gradient_P) for gradient_P in gradient_NP])
        _update_each(stack, gradient_NP, losses_N.tolist(), norms_N.tolist(), _spikes(stack, losses_N, norms_N))
    else:
        norms_N = torch.linalg.vector_norm(gradient_NP, dim=1)
        _update_all(stack, gradient_NP, losses_N, norms_N, _spikes(stack, losses_N, norms_N))
    stack.pending.append(_Made(losses_N, norms_N, nats_NS, batches))
    stack.step += 1


def _summed(stack: _Stack, tokens_NSU: Tensor, nats_NS: Tensor) -> Tensor:
    """Return the sum over all micro-batches of the step; this process makes those of its own tokens, with their nats."""
    (first, count), at_once = stack.parts, not stack.on_cpu
    size = tokens_NSU.shape[1] // count
    documents = documents_of(stack.training.data, stack.runs[0].data.pool.document_end)

    def write(part: int, sum_NW: Tensor) -> None:
        here = slice((part - first) * size, (part - first + 1) * size)
        own = (stack.weights_NW, stack.low_NW, tokens_NSU[:, here], sum_NW, nats_NS[:, here])
        gradient_and_nats(stack.layout, *own, at_once=at_once, documents=documents)

    tree_sum(write, first, count, stack.sums)
    return world_sum(stack.sums[0], stack.world)


def _tokens(stack: _Stack, steps_ahead: Iterator[Mapping[int, Batch]]) -> tuple[Tensor, Mapping[int, Batch]]:
    """Return this process's samples of this step, [N, S, U] int64, and count them; a GPU gets many steps at a time.

    The batches that they are of come by the places of the runs.
    """
    if not stack.ahead:
        steps = list(islice(steps_ahead, 1 if stack.on_cpu else SYNC_STEPS - stack.step % SYNC_STEPS))
        tokens = np.stack([[step[run.place].tokens for run in stack.runs] for step in steps])
        tokens_KNSU = torch.from_numpy(tokens).to(stack.weights_NW.device)
        stack.ahead.extend(zip(tokens_KNSU, steps, strict=True))
    tokens_NSU, batches = stack.ahead.popleft()
    for run in stack.runs:
        run.log.add(batches[run.place])
    return tokens_NSU, batches


def _spikes(stack: _Stack, losses_N: Tensor, norms_N: Tensor) -> list[int]:
    """Return the rows whose step is to be left out, by what was recorded of the steps before it."""
    config = stack.training.optimizer.skip_spikes
    if config is None:
        return []
    seen = [(run.losses[-config.window_steps :], run.norms[-config.window_steps :]) for run in stack.runs]
    made = zip(seen, losses_N.tolist(), norms_N.tolist(), strict=True)
    return [
        row
        for row, ((losses, norms), loss, norm) in enumerate(made)
        if is_spike(config, [*losses, loss], [*norms, norm])
    ]


def _update_each(
    stack: _Stack, gradient_NP: Tensor, losses: Sequence[float], norms: Sequence[float], left_out: Sequence[int]
) -> None:
    """Change the weights one proxy after the other, which keeps each in the cache; a diverged one stays as it is."""
    limit, rate = stack.training.optimizer.gradient_clip, learning_rate(stack.training, stack.step)
    rows = zip(stack.weights_NW, gradient_NP, losses, norms, strict=True)
    for row, (weights_W, gradient_P, loss, norm) in enumerate(rows):
        if isfinite(loss) and isfinite(norm) and row not in left_out:
            short_P, state = clipped(gradient_P, norm, limit), _state_of(stack, row)
            change(stack.optimizer, weights_W, short_P, state, rate=rate, step=stack.step)


def _update_all(stack: _Stack, gradient_NP: Tensor, losses_N: Tensor, norms_N: Tensor, left_out: Sequence[int]) -> None:
    """Change the weights of all proxies at once; a diverged one goes on with a gradient of zero until it is noticed."""
    sound_N = torch.isfinite(losses_N) & torch.isfinite(norms_N)
    short_NP = clipped_rows(gradient_NP, norms_N, stack.training.optimizer.gradient_clip)
    gradient_NP = torch.where(sound_N[:, None], short_NP, 0.0)
    rate = learning_rate(stack.training, stack.step)
    before = [(rows, rows[left_out]) for rows in (stack.weights_NW, *stack.state.values())] if left_out else []
    change(stack.optimizer, stack.weights_NW, gradient_NP, stack.state, rate=rate, step=stack.step)
    for rows, kept in before:
        rows[left_out] = kept


def _state_of(stack: _Stack, place: int) -> dict[str, Tensor]:
    """Return the optimizer's state of one run, as views."""
    return {name: rows[place] for name, rows in stack.state.items()}


def _evaluates(stack: _Stack) -> bool:
    return stack.training.evaluations is not None and stack.training.evaluations.is_due(stack.step)


def _evaluate(stack: _Stack) -> None:
    """Measure the runs on held-out text, if it is time: the first process does, for its files alone are kept."""
    config = stack.training.evaluations
    if config is None or not _evaluates(stack) or stack.world.rank:
        return
    for run, weights_W in zip(stack.runs, stack.weights_NW, strict=True):
        model = decoder(stack.layout.config, stack.layout.vocab_size, stack.layout.named(weights_W))
        try:
            run.evaluations.append((stack.step, evaluated(model, run.data.pool, config)))
        except DivergedError as error:
            run.end = error
    _drop_ended(stack)


def _saves(stack: _Stack) -> bool:
    """Return whether checkpoints are due, or the run is through."""
    return is_due(stack.training, stack.step, stack.save_every if stack.keeps else None)


def _stopped(stack: _Stack) -> StoppedError:
    """Return what to raise when time is up, its checkpoints on their way to the disk."""
    first, others = stack.runs[0], len(stack.runs) - 1
    kept = "checkpoints are kept, and the same command goes on from there" if first.checkpoints else "nothing is kept"
    return StoppedError(
        f"{first.spec.name}{f' and {others} more runs' if others else ''}: stopped as asked behind step {stack.step} of "
        f"{stack.training.num_steps}; {kept}."
    )


def _settle(stack: _Stack) -> None:
    """Take the numbers of the steps made to the host, and end the runs that diverged."""
    for row, run in enumerate(stack.runs):
        run.loss_by_domain = _loss_by_domain(run, row, stack.pending)
    for made in stack.pending:
        for run, loss, norm in zip(stack.runs, made.losses_N.tolist(), made.norms_N.tolist(), strict=True):
            if run.end is not None:
                continue
            if isfinite(loss) and isfinite(norm):
                run.losses.append(loss)
                run.norms.append(norm)
            else:
                run.end = diverged(stack.training, len(run.losses), loss, norm)
    stack.pending.clear()
    _drop_ended(stack)


def _loss_by_domain(run: _Run, row: int, made: Sequence[_Made]) -> dict[str, float]:
    """Return nats per token of the samples that this process took in some steps, by domain."""
    if not made:
        return {}
    domains = np.concatenate([step.batches[run.place].samples.domains for step in made])
    nats = torch.cat([step.nats_NS[row] for step in made]).double().cpu().numpy()
    taken, sums = np.bincount(domains), np.bincount(domains, nats)
    length, names = run.spec.training.model.sequence_length, run.data.pool.names
    return {names[domain]: float(sums[domain] / (taken[domain] * length)) for domain in np.flatnonzero(taken)}


def _report_losses(stack: _Stack, listeners: _StepListeners) -> None:
    """Report the numbers of the last step, and end the runs that are to be stopped."""
    by_place = {run.place: StepNumbers(run.losses[-1], run.norms[-1], run.loss_by_domain) for run in stack.runs}
    numbers = tuple(by_place.get(place) for place in range(listeners.size))
    if listeners.on_step is not None:
        listeners.on_step(stack.step, numbers)
    if listeners.stop is not None:
        losses = tuple(None if one is None else one.loss for one in numbers)
        marks = listeners.stop(stack.step, losses)
        for run, weights_W in zip(stack.runs, stack.weights_NW, strict=True):
            if marks[run.place]:
                run.end = weights_W.clone()
        _drop_ended(stack)


def _drop_ended(stack: _Stack) -> None:
    """Take the rows of ended runs out of the stack: the others go on in a smaller one, to the same bits."""
    left = [row for row, run in enumerate(stack.runs) if run.end is None]
    if len(left) < len(stack.runs):
        stack.runs = [stack.runs[row] for row in left]
        stack.weights_NW = stack.weights_NW[left]
        stack.state = {name: rows[left] for name, rows in stack.state.items()}
        stack.ahead = deque((tokens_NSU[left], batches) for tokens_NSU, batches in stack.ahead)
        stack.low_NW, stack.sums = stack.low_NW[: len(left)], [sum_NW[: len(left)] for sum_NW in stack.sums]


def _result(run: _Run, world: World) -> RunResult | DivergedError:
    assert run.end is not None, "every run was trained to its end"
    if isinstance(run.end, DivergedError):
        return run.end
    weights = {name: weight.clone() for name, weight in run.layout.named(run.end.cpu()).items()}
    model = decoder(run.layout.config, run.layout.vocab_size, weights)
    ledger = run.log.ledger(_consumed(run, world), len(run.losses))
    return replace(
        accounted(run.spec, run.data, model, run.losses, ledger),
        evaluations=tuple(run.evaluations),
        skipped=skipped_steps(run.spec.training.optimizer.skip_spikes, run.losses, run.norms),
    )


def _consumed(run: _Run, world: World) -> Integers:
    """Return what all processes of the world took for a run's steps."""
    state: Integers = world_sum(torch.from_numpy(run.log.state()), world).numpy()
    return state


def _save(stack: _Stack, writer: CheckpointWriter) -> None:
    """Begin to save each run where it keeps its checkpoints."""
    if not stack.keeps:
        return
    due = []
    for place, (run, weights_W) in enumerate(zip(stack.runs, stack.weights_NW, strict=True)):
        consumed = _consumed(run, stack.world)
        if run.checkpoints is not None:
            tensors = stack.layout.named(weights_W) | named_state(stack.optimizer, _state_of(stack, place))
            own = {"losses": run.losses, "norms": run.norms, "evaluations": run.evaluations}
            record = {**own, "consumed": consumed.tolist()}
            due.append(Checkpoint(run.checkpoints, run.identity, stack.step, tensors, record))
    if due and stack.step:
        writer.save(due)


def _shared(run: _Run, step: int, optimizer: StackedOptimizer, world: World) -> tuple[Tensor, dict[str, Tensor]]:
    """Return weights and the optimizer's state at a step on every process of the world; the first one reads them."""
    if world.rank == 0:
        weights_W, state = _restored(run, step, optimizer)
    else:
        weights_W, state = torch.empty(run.layout.width), new_state(optimizer, (), "cpu")
        run.losses, run.norms = [0.0] * step, [0.0] * step
    run.losses, run.norms = from_first(torch.tensor([run.losses, run.norms], dtype=torch.float64), world).tolist()
    return from_first(weights_W, world), {name: from_first(tensor, world) for name, tensor in state.items()}


def _restored(run: _Run, step: int, optimizer: StackedOptimizer) -> tuple[Tensor, dict[str, Tensor]]:
    """Return weights and the optimizer's state at a step, and take its losses and norms."""
    assert run.checkpoints is not None, "it was found there"
    tensors, record = read(run.checkpoints, step)
    run.losses, run.norms = list(record["losses"]), list(record["norms"])
    run.log.restore(record["consumed"])
    run.evaluations = [(step, tuple(bits)) for step, bits in record["evaluations"]]
    return run.layout.row(tensors), read_state(optimizer, tensors)
