"""One training run from start to end: proxies and full runs alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core.digest import digest_json
from tasks.tokenize.pool import TokenPool
from tasks.training.ledger import Ledger, check_equal, consumed_ledger, planned_ledger
from tasks.training.loop import TrainingState, advance, deterministic, new_progress, share
from tasks.training.model import Model, initial_model
from tasks.training.order import DataOrder, check_caps, data_order
from tasks.training.types import Phase, RunSpec, World

__all__ = ["Phase", "RunResult", "RunSpec", "World", "order_of", "train"]

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class RunResult:
    """What a run gives: the model, the loss of every step in nats per token, and what was consumed."""

    model: Model
    losses: tuple[float, ...]
    ledger: Ledger


def train(
    spec: RunSpec,
    pool: TokenPool,
    *,
    checkpoints: Path | None = None,
    world: World = World(),  # noqa: B008 (frozen)
    on_step: OnStep | None = None,
) -> RunResult:
    """Train a model as the spec says, on the pool's `train` split; the same spec and pool give the same weights.

    With a folder for `checkpoints` a killed run goes on from its last one when called again, to the same bits.
    Of several workers only the first needs it: it tells the others. `on_step` hears (steps made, loss in nats per token).

    Raises:
        ConfigError: the spec does not fit the pool: weights, caps, whole samples; before the first step.
        DivergedError: the loss is not finite.
    """
    order = order_of(spec, pool)
    with deterministic():
        progress = _start(spec, pool, checkpoints)
        share(progress, world, len(pool.names))
        while progress.step < spec.training.num_steps:
            advance(progress, spec.training, pool, order, world)
            if on_step is not None:
                on_step(progress.step, progress.losses[-1])
            _keep(progress, spec, pool, checkpoints, world)
    consumed = consumed_ledger(order, spec.training.model.sequence_length, progress.counts)
    planned = planned_ledger(order, spec.training.sequences_per_step, spec.training.model.sequence_length)
    check_equal(planned, consumed, spec.name)
    weights = {name: weight.detach() for name, weight in progress.model.weights.items()}
    return RunResult(replace(progress.model, weights=weights), tuple(progress.losses), consumed)


def order_of(spec: RunSpec, pool: TokenPool) -> DataOrder:
    """Return the data order of a run, checked.

    Raises:
        ConfigError: weights for another number of domains, a domain without samples, or one repeated too often.
    """
    length = spec.training.model.sequence_length
    rows = pool.rows("train", length).tolist()
    order = data_order(spec.phases, pool.names, rows, length, spec.seed, spec.row_share)
    if spec.max_epochs is not None:
        check_caps(order, spec.max_epochs, spec.name)
    return order


def _start(spec: RunSpec, pool: TokenPool, checkpoints: Path | None) -> TrainingState:
    model = initial_model(spec.training.model, pool.vocab_size, spec.seed)
    progress = new_progress(model)
    if checkpoints is not None:
        from tasks.training.checkpoint import restore

        restore(progress, checkpoints, identity(spec, pool))
    return progress


def _keep(progress: TrainingState, spec: RunSpec, pool: TokenPool, checkpoints: Path | None, world: World) -> None:
    every = spec.training.checkpoint_every_steps
    if checkpoints is None or every is None or world.rank or progress.step % every:
        return
    from tasks.training.checkpoint import save

    save(progress, checkpoints, identity(spec, pool))


def identity(spec: RunSpec, pool: TokenPool) -> str:
    """Return what a checkpoint must agree on to be continued: all that decides the weights."""
    value = {
        "phases": [[phase.num_tokens, phase.weights, phase.end_weights] for phase in spec.phases],
        "seed": spec.seed,
        "training": spec.training.model_dump(mode="json"),
        "domains": list(pool.names),
        "tokens": pool.tokens("train").tolist(),
        "vocab_size": pool.vocab_size,
    }
    return digest_json(value if spec.row_share is None else {**value, "row_share": spec.row_share})
