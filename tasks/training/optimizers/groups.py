"""Groups of weights that are treated alike, and what each has of learning rate and weight decay."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from tasks.training.optimizers.method import Step

if TYPE_CHECKING:
    from tasks.training.config import TrainingConfig

Group = Literal["matrices", "embedding", "norms"]
_EMBEDDING = ("embed_tokens.weight", "lm_head.weight")


def group_of(name: str) -> Group:
    """Return the group of a weight: matrices of the blocks, embedding and output layer, or norms."""
    if name.endswith(_EMBEDDING):
        return "embedding"
    return "norms" if name.endswith("norm.weight") else "matrices"


def step_template(training: "TrainingConfig", names: Iterable[str]) -> Step:
    """Return what all steps of a run have in common; `Step.at` makes each of them.

    Decays are shares of the largest, so that one number is multiplied into the learning rate.
    """
    decays = _weight_decays(training)
    largest = max(decays.values())
    shares = {name: decays[group_of(name)] / largest if largest else 0.0 for name in names}
    return Step(0, 0.0, largest, shares)


def _weight_decays(training: "TrainingConfig") -> Mapping[Group, float]:
    optimizer = training.optimizer
    matrices, embedding, norms = optimizer.weight_decay, optimizer.embedding_weight_decay, optimizer.norm_weight_decay
    return {
        "matrices": matrices,
        "embedding": matrices if embedding is None else embedding,
        "norms": 0.0 if norms is None else norms,
    }
