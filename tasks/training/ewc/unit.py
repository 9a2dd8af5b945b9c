"""The unit that estimates how much each weight of a start matters to what it was trained on."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.core.handles import Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.tokenize.pool import read_pool
from tasks.training.branches import Milestone
from tasks.training.config import ModelConfig
from tasks.training.ewc.anchor import ANCHOR_FILE, anchor_tensors
from tasks.training.ewc.fisher import fisher, samples_of
from tasks.training.ewc.params import Ewc
from tasks.training.model import decoder, weight_shapes
from tasks.training.numerics import deterministic
from tasks.training.rows import SPLIT
from tasks.training.starts.start import Start
from tasks.training.starts.weights import started_weights
from tasks.training.tensor_file import write_tensors
from tasks.training.types import Device

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AnchorArgs:
    """A model as it begins, by its start or by a trunk's milestone, and the text that it was trained on.

    The strength of `config` is 0 here: runs with any share an estimate.
    """

    config: Ewc
    model: ModelConfig
    pool: Tree
    start: Start | None = None
    milestone: Milestone | None = None
    device: Device = field(default="cpu", metadata=LABEL)


def anchor(args: AnchorArgs, here: Here) -> UnitResult:
    """Write the weights that a run begins with and their Fisher information."""
    pool = read_pool(args.pool.local(), SPLIT)
    weights = _weights(args, pool.vocab_size)
    model = decoder(args.model, pool.vocab_size, weights).to(args.device)
    samples = (pairs.to(args.device) for pairs in samples_of(args.config, args.model, pool))
    with deterministic() if args.device == "cpu" else nullcontext():
        found = {name: one.cpu() for name, one in fisher(model, samples).items()}
    write_tensors(here.folder / ANCHOR_FILE, anchor_tensors(weights, found))
    return UnitResult()


def _weights(args: AnchorArgs, vocab_size: int) -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    if args.start is not None:
        held = started_weights(args.start, args.model, vocab_size)
    else:
        assert args.milestone is not None, "it begins with one of both"
        held = load_file(args.milestone.state.local())
    return {name: held[name] for name in weight_shapes(args.model, vocab_size)}
