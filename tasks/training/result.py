"""What a run is to every engine: its checked data order, what its checkpoints must agree on, and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tasks.core.digest import digest_json
from tasks.core.errors import DamagedError
from tasks.tokenize.pool import TokenPool
from tasks.training.data import RunData
from tasks.training.ledger import Ledger, check_planned
from tasks.training.model import Decoder, initial_weights
from tasks.training.multi_token.predictor import first_further_weights
from tasks.training.mup import scaled
from tasks.training.published_experts import ExpertsUsed
from tasks.training.published_run import OPTIMIZER_STEPS
from tasks.training.types import Phase, RunSpec

# A step, and bits per byte of each domain behind it.
Evaluation = tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class RunResult:
    """What a run gives: the model, the loss of every step in nats per token, what was consumed, and its evaluations.

    `skipped` are the steps, from 0, whose loss or gradient stood out and that were left out.
    `workers`: from which step on how many processes made it, where that changes the order of sums. `experts`: how it used
    them, where it has some.
    """

    model: Decoder
    losses: tuple[float, ...]
    ledger: Ledger
    evaluations: tuple[Evaluation, ...] = ()
    skipped: tuple[int, ...] = ()
    workers: tuple[tuple[int, int], ...] = ()
    experts: ExpertsUsed | None = None


def identity(spec: RunSpec, pool: TokenPool) -> str:
    """Return what a checkpoint must agree on to be continued: all that decides the weights."""
    value: dict[str, Any] = {
        "phases": [_plain(phase) for phase in spec.phases],
        "seed": spec.seed,
        "training": spec.training.model_dump(mode="json"),
        "domains": list(pool.names),
        "tokens": pool.tokens("train").tolist(),
        "vocab_size": pool.vocab_size,
    }
    value |= {} if spec.row_share is None else {"row_share": spec.row_share}
    value |= {} if spec.planted is None else {"planted": spec.planted.digest}
    value |= {} if spec.teachers is None else {"teachers": [one.digest for one in spec.teachers]}
    value |= {} if spec.anchor is None else {"anchor": spec.anchor.digest}
    value |= steps_before(spec)
    value |= {} if spec.trunk is None else {"trunk": [identity(spec.trunk.spec, pool), spec.trunk.step]}
    return digest_json(value)


def _plain(phase: Phase) -> list[Any]:
    """Return a phase as JSON; what it has of a model of its own stands there if it has one."""
    model = (phase.sequence_length, phase.rope_base)
    own = [phase.num_tokens, phase.weights, phase.end_weights, *(() if model == (None, None) else model)]
    own += ["metadata"] if phase.metadata else []
    return [*own, *(one.model_dump() for one in (phase.interleave, phase.documents) if one is not None)]


def first_weights(spec: RunSpec, vocab_size: int, given: Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
    """Return the weights by name that a run without a checkpoint begins with: those given, or new ones from its seed.

    What predicts further tokens is new: no start has it.

    Raises:
        DamagedError: it is a branch, whose first checkpoint is a milestone of its trunk.
    """
    if spec.trunk is not None:
        raise DamagedError(
            f"{spec.name}: it goes on behind step {spec.trunk.step} of {spec.trunk.spec.name}, and no checkpoint of that "
            "step or of a later one can be read. Start the same command again; the disk may lose what is written to it."
        )
    further = first_further_weights(spec.training.multi_token, spec.training.model, spec.seed)
    if given is not None:
        return {**given, **further}
    weights, mup = initial_weights(spec.training.model, vocab_size, spec.seed), spec.training.mup
    return (weights if mup is None else scaled(mup, spec.training.model, weights)) | further


def steps_before(spec: RunSpec) -> dict[str, int]:
    """Return what a run's checkpoints say of its optimizer besides its state: the steps made before the run, if any."""
    return {} if spec.optimizer_steps is None else {OPTIMIZER_STEPS: spec.optimizer_steps}


def accounted(spec: RunSpec, data: RunData, model: Decoder, losses: Sequence[float], ledger: Ledger) -> RunResult:
    """Return the result of a run whose ledger must be what its recipe promised.

    A run that was stopped early is held to the steps that it made.
    """
    check_planned(data, ledger, spec.name)
    return RunResult(model, tuple(losses), ledger)
