"""The unit of the evaluate stage: a model measured on held-out text."""

from dataclasses import dataclass

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import Split
from tasks.training.export import load_model
from tasks.training.measure import bits_per_byte

# The split that no search and no training has looked at.
SPLIT: Split = "test"


@dataclass(frozen=True)
class MeasureArgs:
    """A model, what is read of the token pool (its index and the split), and how much of it; None = all.

    `others` are the config and weights of models that are measured with it as one; None = there are none.
    """

    config: Handle
    weights: Handle
    pool: Tree
    tokens_per_domain: int | None
    split: Split = SPLIT
    others: tuple[tuple[Handle, Handle], ...] | None = None


def measure(args: MeasureArgs, here: Here) -> UnitResult:
    """Measure bits per byte on every domain, of a model or of several as one; its parameters are those of all."""
    files, pool = ((args.config, args.weights), *(args.others or ())), read_pool(args.pool.local(), args.split)
    models = [load_model(config.local(), weights.local()) for config, weights in files]
    bpb = bits_per_byte(models, pool, args.split, args.tokens_per_domain)
    parameters = sum(weight.numel() for model in models for weight in model.weights.values())
    return UnitResult(summary={"bpb": bpb, "model_parameters": parameters})
