"""The unit that measures how flat a model's loss is around its weights, on windows of held-out text chosen by hash.

Axes: W windows, T positions.
"""

import heapq
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from tasks.core.errors import EvidenceError
from tasks.core.handles import Handle, Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.evaluation.config import FlatnessParams
from tasks.evaluation.unit import SPLIT
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.export import load_model
from tasks.training.flatness import flatness


@dataclass(frozen=True)
class FlatnessArgs:
    """A model, what is read of the token pool (its index and the test split), and how it is measured."""

    config: Handle
    weights: Handle
    pool: Tree
    params: FlatnessParams
    device: str = field(default="cpu", metadata=LABEL)


def measure_flatness(args: FlatnessArgs, here: Here) -> UnitResult:
    """Measure the loss in nats per token, v' H v of each probe, and the critical sharpness."""
    model = load_model(args.config.local(), args.weights.local()).float().to(args.device)
    windows_WT = windows(read_pool(args.pool.local(), SPLIT), model.config.sequence_length, args.params)
    return UnitResult(summary=asdict(flatness(model, windows_WT, args.params.num_probes, args.params.seed)))


def windows(pool: TokenPool, length: int, params: FlatnessParams) -> npt.NDArray[np.int64]:
    """Return windows of inputs with the token behind them, [W, T + 1]: those with the least hashes of all domains'.

    Raises:
        EvidenceError: there are fewer than asked for.
    """
    tokens = {domain.name: domain.splits[SPLIT].tokens for domain in pool.domains}
    places = [(name, row) for name, own in tokens.items() for row in range(max(own.size - 1, 0) // length)]
    if len(places) < params.windows:
        raise EvidenceError(
            f"the split {SPLIT!r} has {len(places)} windows of {length} tokens, evaluate.flatness.windows asks for "
            f"{params.windows}. Ask for fewer, or give the split a larger fraction of the documents."
        )
    chosen = heapq.nsmallest(params.windows, places, key=lambda place: seed_of(params.seed, "flatness", *place))
    return np.stack([tokens[name][row * length : (row + 1) * length + 1] for name, row in chosen]).astype(np.int64)
