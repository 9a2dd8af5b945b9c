"""One run as one decoder over the devices of a world: what a model needs that is too large for a stack.

Data, schedules, optimizers, checkpoints and ledger are those of the stack. Process r of W takes the r-th part of every
step's samples, the same samples for any W; sums are made in another order for another W, so their number is recorded with
the run (`workers`) and belongs to no key: a run goes on with fewer processes from the checkpoint that more have left.

Axes: S samples of this process, X tokens given and tokens to predict, T places of a sample.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite, sqrt
from typing import Any

import torch
from torch import Tensor

from tasks.core.errors import StoppedError
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import Checkpoint, CheckpointWriter, is_due, kept_by, read, steps
from tasks.training.data import Batch, RunData, run_data
from tasks.training.distributed import from_first
from tasks.training.ewc.anchor import anchor_of
from tasks.training.experts.use import ExpertState, Floats, expert_state, experts_used
from tasks.training.held_out import evaluated
from tasks.training.interleave import Integers
from tasks.training.ledger import ConsumptionLog, also_counted
from tasks.training.loader import prefetched, workers_for
from tasks.training.masked import mask_of
from tasks.training.memory import require_memory, shortage_named
from tasks.training.model import Decoder, decoder, scoring_of, weight_shapes
from tasks.training.multi_token.method import of_model
from tasks.training.multi_token.predictor import Predictor, all_shapes
from tasks.training.numerics import deterministic, diverged
from tasks.training.optimizers.kinds import method
from tasks.training.optimizers.method import Sharding, split_name
from tasks.training.optimizers.template import step_template
from tasks.training.parallel.job import Job
from tasks.training.parallel.running import Run, follow_experts, routing_of, summed_over, weights_of_tokens
from tasks.training.parallel.spread import SpreadOut
from tasks.training.result import RunResult, accounted, first_weights, identity, steps_before
from tasks.training.schedules.rates import learning_rate
from tasks.training.segments import Segment, model_behind, segment_of, shares_of_steps
from tasks.training.spikes import is_spike, skipped_steps
from tasks.training.step_losses import loss_by_domain, require_targets
from tasks.training.teachers.loaded import teachers_of, teaching
from tasks.training.types import RunSpec, World
from tasks.training.worlds import require_segments_shared, require_shared

# Steps that are read before they are asked for, on a GPU: a guess.
STEPS_AHEAD = 8


def train_decoder(spec: RunSpec, pool: TokenPool, job: Job, spread_out: SpreadOut) -> RunResult:
    """Train a run on the devices of a world; the model that comes back has values on the first process alone.

    On the same number of processes a killed run goes on to the same bits, on another to the same samples.

    Raises:
        ConfigError: the spec does not fit the pool, or the processes cannot share a step's samples evenly; before the
            first step.
        DivergedError: the loss is not finite.
        StoppedError: it was asked to; a checkpoint of the step reached is kept.
    """
    require_shared(spec.training, job.world.size)
    data, own = run_data(spec, pool), identity(spec, pool)
    require_segments_shared(spec.segments, job.world.size)
    with deterministic() if job.device == "cpu" else shortage_named(spec.training):
        run = _start(spec, data, job, spread_out, own)
        _train(run, own)
        ledger = run.log.ledger(_consumed(run), run.step)
        result = accounted(spec, data, _model(run), run.losses, ledger)
        skipped = skipped_steps(spec.training.optimizer.skip_spikes, run.losses, run.norms)
        state, names = run.experts, data.pool.names
        experts = None if state is None else experts_used(state, _routed(run, state), names, run.step)
        told = replace(result, evaluations=tuple(run.evaluations), skipped=skipped, workers=tuple(run.workers))
        return replace(told, experts=experts)


def _train(run: Run, own: str) -> None:
    training, job = run.training, run.job
    ranges = shares_of_steps(run.data.segments, run.step, job.world.rank, 1, job.world.size)
    with (
        CheckpointWriter(kept_by(training)) as writer,
        prefetched(run.data.read, ranges, workers=workers_for(job.device), ahead=STEPS_AHEAD) as batches,
    ):
        if run.step == 0:
            _evaluate(run)
        while run.step < training.num_steps:
            if bool(_from_first(torch.tensor(job.asked_to_stop()), job)):
                if run.keeps and run.step:
                    _save(run, own, writer)
                raise _stopped(run)
            _advance(run, batches)
            _evaluate(run)
            job.on_step(run.step, run.numbers())
            writer.check()
            if run.keeps and is_due(training, run.step, training.checkpoint_every_steps):
                _save(run, own, writer)


def parts_of_step(segment: Segment, micro_batches: int, world: World) -> int:
    """Return in how many parts a process makes its share of a step; none is larger than a micro-batch of the config."""
    share, fewest = segment.sequences_per_step // world.size, -(-micro_batches // world.size)
    return next(parts for parts in range(fewest, share + 1) if share % parts == 0)


def _require_room(spec: RunSpec, vocab_size: int, world: World) -> None:
    """Check that this process's GPU has room for each segment of a run."""
    training, parallel = spec.training, spec.training.engine
    shards = world.size if parallel is not None and parallel.SHARDED else 1
    for one in spec.segments:
        as_there = training.model_copy(update={"model": one.model})
        sequences = one.sequences_per_step // world.size // parts_of_step(one, training.micro_batches, world)
        require_memory(as_there, vocab_size, shards=shards, sequences=sequences)


def _start(spec: RunSpec, data: RunData, job: Job, spread_out: SpreadOut, own: str) -> Run:
    """Return the run at its start, or where its last checkpoint is."""
    training, parallel, vocab_size = spec.training, spec.training.engine, data.pool.vocab_size
    assert parallel is not None, "this engine was chosen by it"
    model = Decoder(training.model, vocab_size)
    model.multi_token = None if training.multi_token is None else Predictor(training.multi_token, training.model)
    model.recompute = parallel.recompute_activations
    if parallel.compile:
        for layer in model.model.layers:
            # For each length of samples anew, so that a resumed run computes as one that was never killed.
            layer.compile(dynamic=False)
    if job.device == "cuda":
        _require_room(spec, vocab_size, job.world)
    spread = spread_out(model, job.world, job.device)
    shapes = {name: tuple(part.shape) for name, part in spread.weights.items()}
    chosen = method(training.optimizer.method)
    state = chosen.init(training.optimizer.method, shapes, job.device)
    sharding = Sharding(spread.whole, spread.own) if spread.sharded else None
    template = replace(step_template(training, shapes), sharding=sharding)
    kept = job.checkpoints is not None
    found = [] if job.checkpoints is None else steps(job.checkpoints, own, 1)
    keeps, step = _from_first(torch.tensor([kept, found[0] if found else 0]), job).tolist()
    also = also_counted(training.data, data.segments, objective=training.objective is not None)
    log = ConsumptionLog(data.segments, len(data.pool.names), also)
    teachers = teachers_of(spec, vocab_size, job.device)
    mask = mask_of(training.static_mask, weight_shapes(training.model, vocab_size), job.device, spread.own)
    run = Run(spec, data, job, model, spread, state, template, bool(keeps), log, teachers, mask)
    run.anchor = anchor_of(spec, job.device, spread.own)
    run.experts = expert_state(training, len(data.pool.names))
    if step:
        _restore(run, step)
    else:
        made = first_weights(spec, vocab_size, job.initial)
        begun = {**spread.weights, **({} if spec.optimizer_steps is None else state)}
        for name, part in begun.items():
            part.copy_(spread.own(_weight_of(name), made[name].to(job.device)))
        if chosen.begin is not None and spec.optimizer_steps is None:
            chosen.begin(training.optimizer.method, spread.weights, state)
    if run.mask is not None:
        run.mask.apply(spread.weights, step)
    if not run.workers or run.workers[-1][1] != job.world.size:
        run.workers.append((step, job.world.size))
    return run


def _restore(run: Run, step: int) -> None:
    """Take what the checkpoint of a step holds; the first process reads it, each keeps its own part of every tensor."""
    tensors: Mapping[str, Tensor] = {}
    told, device = torch.zeros(2, step, dtype=torch.float64), run.job.device
    if run.job.checkpoints is not None:
        tensors, record = read(run.job.checkpoints, step)
        told = torch.tensor([record["losses"], record["norms"]], dtype=torch.float64)
        run.workers = [(first, size) for first, size in record.get("workers", ())]
        run.log.restore(record["consumed"])
        run.evaluations = [(step, tuple(bits)) for step, bits in record["evaluations"]]
        if run.experts is not None:
            run.experts.restore(record["experts"], step)
    if run.experts is not None and run.experts.coefficients_L is not None:
        run.experts.coefficients_L = _from_first(run.experts.coefficients_L, run.job)
    shapes = all_shapes(run.training.multi_token, run.training.model, run.data.pool.vocab_size)
    for name, part in [*run.spread.weights.items(), *run.state.items()]:
        weight = _weight_of(name)
        shape = shapes[weight] if run.spread.sharded else part.shape
        whole = tensors[name].to(device) if tensors else torch.empty(shape, dtype=part.dtype, device=device)
        part.copy_(run.spread.own(weight, from_first(whole, run.job.world)))
    run.losses, run.norms = _from_first(told, run.job).tolist()


def _advance(run: Run, batches: Iterator[Batch]) -> None:
    """Make one step.

    Raises:
        DivergedError: loss or gradient are not finite; the weights are those of the step before.
    """
    training, spread, step, chosen = run.training, run.spread, run.step, run.training.optimizer.method
    batch, segment = next(batches), segment_of(run.data.segments, step)
    scoring = scoring_of(training, run.data.pool.document_end, segment.metadata, step)
    parts = parts_of_step(segment, training.micro_batches, run.job.world)
    run.model.read_as(segment.model)
    some_SXT = torch.from_numpy(batch.pairs).to(run.job.device).chunk(parts)
    routing = routing_of(run, some_SXT, scoring)
    weights_ST = weights_of_tokens(run, batch, some_SXT, scoring, routing)
    taught = teaching(run.teachers, step)
    nats, made = torch.zeros((), dtype=torch.float64, device=run.job.device), []
    for number, pairs_SXT in enumerate(some_SXT):
        some_ST = None if weights_ST is None else weights_ST.chunk(parts)[number]
        soft = None if taught is None else taught.labels(pairs_SXT[:, 0], scoring)
        with spread.part(number == parts - 1):
            given = (pairs_SXT[:, 0], training.product_precision, pairs_SXT[:, 1], scoring, some_ST, soft, routing)
            part, nats_ST = spread.call(*given)
            (part * (run.job.world.size / training.tokens_per_step)).backward()
        nats += part.detach()
        made.append(nats_ST.sum(dim=1))
    gradients = spread.gradients()
    if run.anchor is not None:
        run.anchor.pull(gradients, spread.weights)
    if run.mask is not None:
        run.mask.apply(gradients, step)
    total, squares = _agreed(run, nats, gradients)
    loss, norm, limit = total / training.tokens_per_step, sqrt(squares), training.optimizer.gradient_clip
    if not (isfinite(loss) and isfinite(norm)):
        raise diverged(training, step, loss, norm)
    if not (norm and loss):
        require_targets(training, run.data, step)
    run.losses.append(loss)
    run.norms.append(norm)
    if not _is_spike(run):
        if limit is not None and norm > limit:
            for gradient in gradients.values():
                gradient.mul_(limit / norm)
        now = run.template.at(run.spec.optimizer_step(step), learning_rate(training, step))
        method(chosen).update(chosen, spread.weights, gradients, run.state, now)
        if run.mask is not None:
            run.mask.apply(spread.weights, step)
    run.log.add(batch, weights_ST)
    follow_experts(run, routing, batch)
    run.loss_by_domain = loss_by_domain(run.data, [batch], torch.cat(made))


def _is_spike(run: Run) -> bool:
    """Return whether the step whose loss and norm came last is to be left out."""
    config = run.training.optimizer.skip_spikes
    return config is not None and is_spike(config, run.losses, run.norms)


def _agreed(run: Run, nats: Tensor, gradients: Mapping[str, Tensor]) -> tuple[float, float]:
    """Return the nats of the whole step and the sum of all squares of the gradient, on every process."""
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients.values()])
    squares = norms.double().square().sum()
    if not run.spread.sharded and run.job.world.rank:
        # Each process has all of them.
        squares = torch.zeros_like(squares)
    total, all_squares = summed_over(torch.stack([nats, squares]), run.job.world).tolist()
    return total, all_squares


def _consumed(run: Run) -> Integers:
    """Return what all processes of the world took."""
    state = summed_over(torch.from_numpy(run.log.state().copy()).to(run.job.device), run.job.world)
    consumed: Integers = state.cpu().numpy()
    return consumed


def _routed(run: Run, experts: ExpertState) -> Floats:
    """Return how the tokens of all processes were routed."""
    sums: Floats = summed_over(torch.from_numpy(experts.sums.copy()).to(run.job.device), run.job.world).cpu().numpy()
    return sums


def _save(run: Run, own: str, writer: CheckpointWriter) -> None:
    """Begin to save the whole of every tensor: any number of processes goes on from it."""
    tensors, consumed = {}, _consumed(run)
    routed = {} if run.experts is None else {"experts": run.experts.record(_routed(run, run.experts))}
    for name, part in [*run.spread.weights.items(), *run.state.items()]:
        whole = run.spread.whole(_weight_of(name), part)
        if run.job.world.rank == 0:
            tensors[name] = whole.cpu()
    if run.job.checkpoints is not None:
        told = {"consumed": consumed.tolist(), "evaluations": run.evaluations, "workers": run.workers}
        told |= routed
        record: dict[str, Any] = {"losses": run.losses, "norms": run.norms, **told, **steps_before(run.spec)}
        writer.save([Checkpoint(run.job.checkpoints, own, run.step, tensors, record)])


def _evaluate(run: Run) -> None:
    """Measure the model on held-out text, if it is time: the first process does, the others help it to the whole."""
    config = run.training.evaluations
    if config is None or not config.is_due(run.step):
        return
    model = _model(run)
    if run.job.world.rank == 0:
        run.evaluations.append((run.step, evaluated(model.to(run.job.device), run.data.pool, config)))


def _model(run: Run) -> Decoder:
    """Return the whole model on the first process, in the host's memory, and one without values on the others."""
    config, vocab_size = model_behind(run.data.segments, run.step), run.data.pool.vocab_size
    wholes = ((name, run.spread.whole(name, part)) for name, part in of_model(run.spread.weights).items())
    weights = {name: whole.cpu() for name, whole in wholes if run.job.world.rank == 0}
    return decoder(config, vocab_size, weights) if weights else Decoder(config, vocab_size)


def _stopped(run: Run) -> StoppedError:
    kept = "a checkpoint is kept, and the same command goes on from there" if run.keeps else "nothing is kept"
    return StoppedError(f"{run.spec.name}: stopped behind step {run.step} of {run.training.num_steps}; {kept}.")


def _weight_of(name: str) -> str:
    """Return the weight that a tensor of a checkpoint belongs to: itself, or the one whose state it is."""
    return split_name(name)[1] or name


def _from_first(tensor: Tensor, job: Job) -> Tensor:
    return from_first(tensor.to(job.device), job.world)
