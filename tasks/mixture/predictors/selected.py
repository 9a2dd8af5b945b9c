"""What cross-validation decided, as a value that outlives the process: a search decides anew only when runs have doubled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from tasks.mixture.predictors.calibration import Calibration
from tasks.mixture.predictors.predictor import Near
from tasks.mixture.predictors.zoo import PredictorParams


@dataclass(frozen=True)
class Member:
    """A member of the stack: which predictor, its share, and the hyper-parameters it was fitted with."""

    params: PredictorParams
    share: float
    hyper: tuple[float, ...] | None

    @property
    def near(self) -> Near:
        """Where to start the next fit."""
        return Near() if self.hyper is None else Near(np.array(self.hyper))


@dataclass(frozen=True)
class Selected:
    """What cross-validation decided, on how many runs: enough to fit the same predictor again without deciding anew."""

    members: tuple[Member, ...]
    calibration: Calibration
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Return the selection as a JSON value."""
        members = [
            {
                "params": member.params.model_dump(mode="json"),
                "share": member.share,
                "hyper": None if member.hyper is None else list(member.hyper),
            }
            for member in self.members
        ]
        return {"members": members, "calibration": dict(vars(self.calibration)), "runs": self.runs}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Selected":
        """Return the selection that `to_json` wrote."""
        adapter: TypeAdapter[PredictorParams] = TypeAdapter(PredictorParams)
        members = tuple(
            Member(
                adapter.validate_python(member["params"]),
                float(member["share"]),
                None if member["hyper"] is None else tuple(map(float, member["hyper"])),
            )
            for member in value["members"]
        )
        return cls(members, Calibration(**value["calibration"]), int(value["runs"]))
