"""What published runs were made of: their specifications, from `runs.json` and the params of the stage that trained them."""

from collections.abc import Mapping, Sequence

from tasks.core.handles import Handle
from tasks.training.params import TrainParams
from tasks.training.published import TrainedPhase, TrainedRun
from tasks.training.types import Phase, RunSpec, Trunk


def rebuilt_specs(
    runs: Sequence[TrainedRun], params: TrainParams, planted: Mapping[str, Handle] | None = None
) -> dict[str, RunSpec]:
    """Return the specification of each run by name: with the pool it says which document the run saw, and when.

    With the plans of what was `planted` into each it says token by token what the run read.
    """
    found: dict[str, RunSpec] = {}
    # A trunk stands before its branches.
    for trained in runs:
        phases = tuple(map(_phase, trained.phases))
        training = params.training.model_copy(update={"num_tokens": trained.tokens})
        trunk = None if trained.trunk is None else Trunk(found[trained.trunk.run], trained.trunk.step)
        plan = (planted or {}).get(trained.name)
        found[trained.name] = RunSpec(trained.name, phases, trained.seed, training, trunk=trunk, planted=plan)
    return found


def trained_phase(phase: Phase, weights: tuple[float, ...]) -> TrainedPhase:
    """Return what is published of a phase that was trained with these weights."""
    return TrainedPhase(
        tokens=phase.num_tokens,
        weights=weights,
        end_weights=phase.end_weights,
        sequence_length=phase.sequence_length,
        rope_base=phase.rope_base,
        metadata=bool(phase.metadata),
        interleave=phase.interleave,
        documents=phase.documents,
    )


def _phase(one: TrainedPhase) -> Phase:
    return Phase(
        one.tokens,
        one.weights,
        one.end_weights,
        one.sequence_length,
        one.rope_base,
        one.metadata or None,
        one.interleave,
        one.documents,
    )
