"""Trunks and the branches that leave them: which comes first, and what a branch goes on from when its trunk is made."""

from collections.abc import Mapping
from dataclasses import replace

from tasks.runtime.records import UnitRecord
from tasks.training.branches import Milestone
from tasks.training.published_run import RECORD_FILE, STATE_FILE, milestone_folder
from tasks.training.types import RunSpec, Trunk


def num_trunks(spec: RunSpec) -> int:
    """Return how many trunks lie before a run."""
    return 0 if spec.trunk is None else 1 + num_trunks(spec.trunk.spec)


def as_decided(spec: RunSpec, made: Mapping[RunSpec, UnitRecord]) -> RunSpec:
    """Return a run with the mixtures that hooks have decided in its trunks, by the records of these."""
    if spec.trunk is None:
        return spec
    trunk = as_decided(spec.trunk.spec, made)
    if (weights := made[spec.trunk.spec].summary.get("weights")) is not None:
        phases = [replace(phase, weights=tuple(own)) for phase, own in zip(trunk.phases, weights, strict=True)]
        trunk = replace(trunk, phases=tuple(phases))
    return replace(spec, trunk=Trunk(trunk, spec.trunk.step))


def milestone_of(trunk: Trunk | None, made: Mapping[RunSpec, UnitRecord]) -> Milestone | None:
    """Return the milestone that a branch goes on from, of its trunk's record; None = it is no branch."""
    if trunk is None:
        return None
    folder, record = milestone_folder(trunk.step), made[trunk.spec]
    return Milestone(record.file(f"{folder}/{STATE_FILE}"), record.file(f"{folder}/{RECORD_FILE}"))
