"""What published runs were made of: their specifications, from `runs.json` and the params of the stage that trained them."""

from collections.abc import Sequence

from tasks.training.params import TrainParams
from tasks.training.published import TrainedRun
from tasks.training.types import Phase, RunSpec, Trunk


def rebuilt_specs(runs: Sequence[TrainedRun], params: TrainParams) -> dict[str, RunSpec]:
    """Return the specification of each run by name: with the pool it says which document the run saw, and when."""
    found: dict[str, RunSpec] = {}
    # A trunk stands before its branches.
    for trained in runs:
        phases = tuple(
            Phase(one.tokens, one.weights, one.end_weights, one.sequence_length, one.rope_base)
            for one in trained.phases
        )
        training = params.training.model_copy(update={"num_tokens": trained.tokens})
        trunk = None if trained.trunk is None else Trunk(found[trained.trunk.run], trained.trunk.step)
        found[trained.name] = RunSpec(trained.name, phases, trained.seed, training, trunk=trunk)
    return found
