"""Many runs of one training config in one process: every weight has a leading axis of proxies.

What is small is done for all proxies at once (norms, rotation, attention, the layers' products), what is large one by
one (the output layer, the optimizer): N times the logits would leave the processor's cache. On a GPU the output layer
and the optimizer are batched too, and the device is waited for every `SYNC_STEPS` steps only. On a CPU each proxy gets
the bits that `train` gives it alone, whatever else is in the stack (tested).

Axes: N proxies still running, S sequences, X tokens given and tokens to predict, T places of a sample, P parameters,
W = P padded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.core.errors import ConfigError
from tasks.core.results import never
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import CheckpointWriter, is_due, kept_by
from tasks.training.data import Batch
from tasks.training.distributed import from_first, tree_sum, world_sum
from tasks.training.experts.balance import Routing
from tasks.training.held_out import evaluated
from tasks.training.loader import prefetched, workers_for
from tasks.training.memory import shortage_named
from tasks.training.model import decoder, scoring_of
from tasks.training.multi_token.method import of_model
from tasks.training.numerics import deterministic, diverged
from tasks.training.optimizers.clipping import clipped, clipped_rows
from tasks.training.result import RunResult
from tasks.training.schedules.rates import learning_rate
from tasks.training.segments import model_behind, shares_of_steps
from tasks.training.spikes import is_spike
from tasks.training.stacked_looks import follow_experts, routings_of, weights_of_tokens
from tasks.training.stacked_model import gradient_and_nats
from tasks.training.stacked_optimizer import change
from tasks.training.stacked_state import (
    MadeStep,
    Stack,
    StackedRun,
    drop_ended,
    result_of,
    save,
    stacked_run,
    started,
    state_of,
    stopped,
    together,
)
from tasks.training.step_losses import loss_by_domain, require_targets
from tasks.training.teachers.loaded import teaching
from tasks.training.types import DivergedError, RunSpec, StepNumbers, World
from tasks.training.worlds import require_shared

# A guess: the device is never idle for long, and a diverged proxy wastes little.
SYNC_STEPS = 16

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
    `initial` are the weights that all begin with, by name, and the optimizer's state where the specs have `optimizer_steps`;
    None = new ones, drawn from each run's seed.
    `on_step` hears (steps made, numbers of each run's last; None = not running), on a GPU at every synchronisation. `stop`
    is asked then which runs to end early (True); their losses and ledger are as long as they ran. Who is in a stack is
    placement, so it must judge each run by itself. `asked_to_stop` is asked before every step, of the first process, whether
    time is up.

    Raises:
        ConfigError: the specs have different training configs or one that is not for a stack, one does not fit the pool, or
            the processes cannot share the micro-batches evenly; before the first step.
        StoppedError: it was asked to; each run's checkpoint of the step reached is kept.
    """
    if len({(spec.training, spec.segments, spec.optimizer_steps, spec.teachers, spec.anchor) for spec in specs}) != 1:
        raise ConfigError(f"{len(specs)} runs with different training configs cannot be stacked. Group them by config.")
    if (parallel := specs[0].training.engine) is not None:
        raise ConfigError(f"a stack does not spread a model over devices. Set parallel ({parallel.kind}) to null.")
    require_shared(specs[0].training, world.size)
    folders: Sequence[Path | None] = [None] * len(specs) if checkpoints is None else checkpoints
    runs = [
        stacked_run(place, spec, pool, folder) for place, (spec, folder) in enumerate(zip(specs, folders, strict=True))
    ]
    listeners = _StepListeners(len(runs), on_step, stop, asked_to_stop)
    with deterministic() if device == "cpu" else shortage_named(specs[0].training), torch.no_grad():
        for step, some in together(runs, world).items():
            _train(started(some, step, torch.device(device), world, initial), listeners)
    return tuple(result_of(run, world) for run in runs)


@dataclass(frozen=True)
class _StepListeners:
    """Who hears of the steps of `size` runs."""

    size: int
    on_step: OnSteps | None
    stop: Stop | None
    asked_to_stop: Callable[[], bool]


def _train(stack: Stack, listeners: _StepListeners) -> None:
    with CheckpointWriter(kept_by(stack.training)) as writer, _steps(stack) as steps_ahead:
        if stack.step == 0:
            _evaluate(stack)
        while stack.runs and stack.step < stack.training.num_steps:
            if bool(from_first(torch.tensor(listeners.asked_to_stop()), stack.world)):
                _settle(stack)
                save(stack, writer)
                raise stopped(stack)
            _advance(stack, steps_ahead)
            if stack.looks_at_every_step or stack.step % SYNC_STEPS == 0 or _saves(stack) or _evaluates(stack):
                _settle(stack)
                _evaluate(stack)
                _report_losses(stack, listeners)
                writer.check()
                if _saves(stack):
                    save(stack, writer)
    for run, weights_W in zip(stack.runs, stack.weights_NW, strict=True):
        run.end = weights_W


def _steps(stack: Stack) -> AbstractContextManager[Iterator[dict[int, Batch]]]:
    """Give what this process reads for each step of each run, by the run's place."""
    runs, workers = tuple(stack.runs), workers_for("cpu" if stack.on_cpu else "cuda")
    ranges = shares_of_steps(stack.segments, stack.step, *stack.parts, stack.training.micro_batches)

    def read(start: int, stop: int) -> dict[int, Batch]:
        return {run.place: run.data.read(start, stop) for run in runs}

    return prefetched(read, ranges, workers=workers, ahead=SYNC_STEPS)


def _advance(stack: Stack, steps_ahead: Iterator[Mapping[int, Batch]]) -> None:
    """Make one step of every run that is left."""
    training, parameters = stack.training, stack.layout.parameters
    pairs_NSXT, batches = _pairs(stack, steps_ahead)
    nats_NS = stack.weights_NW.new_empty(pairs_NSXT.shape[:2])
    stack.low_NW.copy_(stack.weights_NW)
    routings = routings_of(stack, pairs_NSXT)
    weights_NST = weights_of_tokens(stack, pairs_NSXT, batches, routings)
    for row, run in enumerate(stack.runs):
        run.log.add(batches[run.place], None if weights_NST is None else weights_NST[row])
    total_NW = _summed(stack, pairs_NSXT, nats_NS, weights_NST, routings)
    follow_experts(stack, routings, batches)
    gradient_NP = total_NW[:, :parameters].mul_(1.0 / training.tokens_per_step)
    losses_N = total_NW[:, parameters].double() / training.tokens_per_step
    if stack.anchor is not None:
        for gradient_P, weights_W in zip(gradient_NP, stack.weights_NW, strict=True):
            stack.anchor.pull(stack.layout.named(gradient_P), stack.layout.named(weights_W))
    if stack.mask is not None:
        stack.mask.apply(stack.layout.named(gradient_NP), stack.step)
    if stack.on_cpu:
        norms_N = torch.stack([torch.linalg.vector_norm(gradient_P) for gradient_P in gradient_NP])
        _update_each(stack, gradient_NP, losses_N.tolist(), norms_N.tolist(), _spikes(stack, losses_N, norms_N))
    else:
        norms_N = torch.linalg.vector_norm(gradient_NP, dim=1)
        _update_all(stack, gradient_NP, losses_N, norms_N, _spikes(stack, losses_N, norms_N))
    if stack.mask is not None:
        stack.mask.apply(stack.layout.named(stack.weights_NW), stack.step)
    stack.pending.append(MadeStep(losses_N, norms_N, nats_NS, batches))
    stack.step += 1


def _summed(
    stack: Stack,
    pairs_NSXT: Tensor,
    nats_NS: Tensor,
    weights_NST: Tensor | None,
    routings: Sequence[Routing] | None,
) -> Tensor:
    """Return the sum over all micro-batches of the step; this process makes those of its own tokens, with their nats."""
    first, count = stack.parts
    scoring = scoring_of(stack.training, stack.runs[0].data.pool.document_end, stack.segment.metadata, stack.step)
    parts = [slice(start, start + stack.part_size) for start in range(0, pairs_NSXT.shape[1], stack.part_size)]
    taught = teaching(stack.teachers, stack.step)

    def write(part: int, sum_NW: Tensor) -> None:
        here = parts[part - first]
        own = (stack.weights_NW, stack.low_NW, pairs_NSXT[:, here], sum_NW, nats_NS[:, here])
        some_NST = None if weights_NST is None else weights_NST[:, here]
        # Run by run, so that each has the bits that it has alone.
        soft_N = None if taught is None else [taught.labels(some[:, 0], scoring) for some in pairs_NSXT[:, here]]
        gradient_and_nats(
            stack.layout_there,
            *own,
            at_once=not stack.on_cpu,
            scoring=scoring,
            weights_NST=some_NST,
            soft_N=soft_N,
            routings=routings,
        )

    tree_sum(write, first, count, stack.sums)
    return world_sum(stack.sums[0], stack.world)


def _pairs(stack: Stack, steps_ahead: Iterator[Mapping[int, Batch]]) -> tuple[Tensor, Mapping[int, Batch]]:
    """Return this process's samples of this step, [N, S, 2, T] int64; a GPU gets many steps at a time.

    The batches that they are of come by the places of the runs.
    """
    if not stack.ahead:
        # Not beyond the segment: behind it samples have another length.
        most = min(SYNC_STEPS - stack.step % SYNC_STEPS, stack.segment.stop_step - stack.step)
        steps = list(islice(steps_ahead, 1 if stack.on_cpu else most))
        pairs = np.stack([[step[run.place].pairs for run in stack.runs] for step in steps])
        pairs_KNSXT = torch.from_numpy(pairs).to(stack.weights_NW.device)
        stack.ahead.extend(zip(pairs_KNSXT, steps, strict=True))
    return stack.ahead.popleft()


def _spikes(stack: Stack, losses_N: Tensor, norms_N: Tensor) -> list[int]:
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
    stack: Stack, gradient_NP: Tensor, losses: Sequence[float], norms: Sequence[float], left_out: Sequence[int]
) -> None:
    """Change the weights one proxy after the other, which keeps each in the cache; a diverged one stays as it is."""
    limit, rate = stack.training.optimizer.gradient_clip, learning_rate(stack.training, stack.step)
    rows = zip(stack.weights_NW, gradient_NP, losses, norms, strict=True)
    for row, (weights_W, gradient_P, loss, norm) in enumerate(rows):
        if isfinite(loss) and isfinite(norm) and row not in left_out:
            short_P, state = clipped(gradient_P, norm, limit), state_of(stack, row)
            change(stack.optimizer, weights_W, short_P, state, rate=rate, step=stack.optimizer_step)


def _update_all(stack: Stack, gradient_NP: Tensor, losses_N: Tensor, norms_N: Tensor, left_out: Sequence[int]) -> None:
    """Change the weights of all proxies at once; a diverged one goes on with a gradient of zero until it is noticed."""
    sound_N = torch.isfinite(losses_N) & torch.isfinite(norms_N)
    short_NP = clipped_rows(gradient_NP, norms_N, stack.training.optimizer.gradient_clip)
    gradient_NP = torch.where(sound_N[:, None], short_NP, 0.0)
    rate = learning_rate(stack.training, stack.step)
    before = [(rows, rows[left_out]) for rows in (stack.weights_NW, *stack.state.values())] if left_out else []
    change(stack.optimizer, stack.weights_NW, gradient_NP, stack.state, rate=rate, step=stack.optimizer_step)
    for rows, kept in before:
        rows[left_out] = kept


def _evaluates(stack: Stack) -> bool:
    return stack.training.evaluations is not None and stack.training.evaluations.is_due(stack.step)


def _evaluate(stack: Stack) -> None:
    """Measure the runs on held-out text, if it is time: the first process does, for its files alone are kept."""
    config = stack.training.evaluations
    if config is None or not _evaluates(stack) or stack.world.rank:
        return
    described = model_behind(stack.segments, stack.step)
    for run, weights_W in zip(stack.runs, stack.weights_NW, strict=True):
        if run.evaluations and run.evaluations[-1][0] == stack.step:
            continue  # a run that was stopped before its first step
        model = decoder(described, stack.layout.vocab_size, of_model(stack.layout.named(weights_W)))
        try:
            run.evaluations.append((stack.step, evaluated(model, run.data.pool, config)))
        except DivergedError as error:
            run.end = error
    drop_ended(stack)


def _saves(stack: Stack) -> bool:
    """Return whether checkpoints are due, or the run is through."""
    return is_due(stack.training, stack.step, stack.save_every if stack.keeps else None)


def _settle(stack: Stack) -> None:
    """Take the numbers of the steps made to the host, and end the runs that diverged."""
    for row, run in enumerate(stack.runs):
        run.loss_by_domain = _loss_by_domain(run, row, stack.pending)
    for made in stack.pending:
        for run, loss, norm in zip(stack.runs, made.losses_N.tolist(), made.norms_N.tolist(), strict=True):
            if run.end is not None:
                continue
            if not (norm and loss):
                require_targets(stack.training, run.data, len(run.losses))
            if isfinite(loss) and isfinite(norm):
                run.losses.append(loss)
                run.norms.append(norm)
            else:
                run.end = diverged(stack.training, len(run.losses), loss, norm)
    stack.pending.clear()
    drop_ended(stack)


def _loss_by_domain(run: StackedRun, row: int, made: Sequence[MadeStep]) -> dict[str, float]:
    """Return nats per token of the samples that this process took in some steps, by domain."""
    if not made:
        return {}
    nats_S = torch.cat([step.nats_NS[row] for step in made])
    return loss_by_domain(run.data, [step.batches[run.place] for step in made], nats_S)


def _numbers(run: StackedRun) -> StepNumbers:
    """Return the numbers of a run's last step, with the evaluations that nobody was told of."""
    of_experts, new = run.experts.numbers if run.experts else {}, run.evaluations[run.told :]
    run.told = len(run.evaluations)
    return StepNumbers(run.losses[-1], run.norms[-1], run.loss_by_domain, of_experts, new)


def _report_losses(stack: Stack, listeners: _StepListeners) -> None:
    """Report the numbers of the last step, and end the runs that are to be stopped."""
    by_place = {run.place: _numbers(run) for run in stack.runs}
    numbers = tuple(by_place.get(place) for place in range(listeners.size))
    if listeners.on_step is not None:
        listeners.on_step(stack.step, numbers)
    if listeners.stop is not None:
        losses = tuple(None if one is None else one.loss for one in numbers)
        marks = listeners.stop(stack.step, losses)
        for run, weights_W in zip(stack.runs, stack.weights_NW, strict=True):
            if marks[run.place]:
                run.end = weights_W.clone()
        drop_ended(stack)
