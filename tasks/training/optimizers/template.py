"""What each weight has of learning rate and weight decay, the same in all steps of a run."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from tasks.training.mup import rate_factors
from tasks.training.optimizers.groups import Group, group_of
from tasks.training.optimizers.method import Step

if TYPE_CHECKING:
    from tasks.training.config import TrainingConfig


def step_template(training: "TrainingConfig", names: Collection[str]) -> Step:
    """Return what all steps of a run have in common; `Step.at` makes each of them.

    Decays are shares of the largest, so that one number is multiplied into the learning rate.
    """
    decays = _weight_decays(training)
    largest = max(decays.values())
    shares = {name: decays[group_of(name)] / largest if largest else 0.0 for name in names}
    rates = None if training.mup is None else rate_factors(training.mup, training.model, names)
    return Step(0, 0.0, largest, shares, rates)


def _weight_decays(training: "TrainingConfig") -> Mapping[Group, float]:
    optimizer = training.optimizer
    matrices, embedding, norms = optimizer.weight_decay, optimizer.embedding_weight_decay, optimizer.norm_weight_decay
    return {
        "matrices": matrices,
        "embedding": matrices if embedding is None else embedding,
        "norms": 0.0 if norms is None else norms,
    }
