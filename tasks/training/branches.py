"""Branches off a trunk: a run goes on behind a step of another, with its weights, optimizer state and data order.

The trunk's milestone becomes the branch's first checkpoint, so that a branch begins as a killed run goes on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.core.handles import Handle
from tasks.core.sealed import read_sealed
from tasks.training.checkpoint import Checkpoint, kept_by, steps, write
from tasks.training.data import RunData
from tasks.training.interleave import Integers
from tasks.training.ledger import ConsumptionLog, also_counted, block_steps, consumption
from tasks.training.result import identity
from tasks.training.types import RunSpec, Trunk

# What belongs to the trunk's checkpoint alone.
_OWN = ("identity", "step", "state", "consumed")


@dataclass(frozen=True)
class Milestone:
    """A published checkpoint of a run: its tensors, and its record."""

    state: Handle
    record: Handle


def begin(milestone: Milestone, spec: RunSpec, data: RunData, checkpoints: Path) -> None:
    """Write the milestone of a branch's trunk as the branch's first checkpoint, unless it has one of its own already."""
    from safetensors.torch import load_file

    assert spec.trunk is not None, "only a branch begins with a milestone"
    own = identity(spec, data.pool)
    if steps(checkpoints, own, 1):
        return
    record = read_sealed(milestone.record.local())
    kept: dict[str, Any] = {name: value for name, value in record.items() if name not in _OWN}
    kept["consumed"] = _consumed(record["consumed"], spec.trunk, spec, data).tolist()
    tensors = load_file(milestone.state.local())
    write(Checkpoint(checkpoints, own, spec.trunk.step, tensors, kept), kept_by(spec.training))


def _consumed(state: npt.ArrayLike, trunk: Trunk, spec: RunSpec, data: RunData) -> Integers:
    """Return what the trunk took up to the branch, in the blocks of the branch's ledger.

    Raises:
        ConfigError: what an objective made tokens count is known for the trunk's blocks alone.
    """
    objective = spec.training.objective is not None
    mine, own = block_steps(trunk.spec.training.num_steps), block_steps(spec.training.num_steps)
    if mine != own and objective:
        raise ConfigError(
            f"{spec.name}: its ledger has blocks of {own} steps and its trunk's blocks of {mine}, and what an objective "
            "made tokens count is known by these alone. Give both at most 2,000 steps, or the same number."
        )
    if mine != own:
        return consumption(data, trunk.step).state()
    names = [also_counted(one.training.data, one.segments, objective=objective) for one in (trunk.spec, spec)]
    own_KBN = ConsumptionLog(data.segments, len(data.pool.names), names[1]).state()
    before_KBN = np.array(state, dtype=np.int64)
    blocks = min(own_KBN.shape[1], before_KBN.shape[1])
    own_KBN[:4, :blocks] = before_KBN[:4, :blocks]
    for place, name in enumerate(names[1], start=4):
        # What the trunk has not counted it had none of: samples that its metadata masks.
        if name in names[0]:
            own_KBN[place, :blocks] = before_KBN[4 + names[0].index(name), :blocks]
    return own_KBN
