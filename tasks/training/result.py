"""What a run is to every engine: its checked data order, what its checkpoints must agree on, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.core.digest import digest_json
from tasks.tokenize.pool import TokenPool
from tasks.training.ledger import Ledger, check_equal, consumed_ledger, planned_ledger
from tasks.training.model import Decoder
from tasks.training.order import DataOrder, check_caps, data_order
from tasks.training.types import RunSpec


@dataclass(frozen=True)
class RunResult:
    """What a run gives: the model, the loss of every step in nats per token, and what was consumed."""

    model: Decoder
    losses: tuple[float, ...]
    ledger: Ledger


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


def accounted(
    spec: RunSpec, order: DataOrder, model: Decoder, losses: Sequence[float], counts: Sequence[Sequence[int]]
) -> RunResult:
    """Return the result of a run that consumed `counts` samples per step and domain, which must be those of its recipe.

    A run that was stopped early is held to the steps that it made.
    """
    length = spec.training.model.sequence_length
    consumed, planned = (
        consumed_ledger(order, length, counts),
        planned_ledger(order, spec.training.sequences_per_step, length),
    )
    check_equal(replace(planned, counts=planned.counts[: len(losses)]), consumed, spec.name)
    return RunResult(model, tuple(losses), consumed)
