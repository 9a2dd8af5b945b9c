"""Late upsampling (2406.03476): all domains alike in the last steps of a natural mixture, and what each is worth there.

    python -m benchmarks.studies.late_upsampling FOLDER [--every 15] [--seeds 5]

`share`: the natural mixture against branches off it that have all domains alike in the last 5 to 30 % of the steps.
`domains`: the branch of a fifth against the same without each domain there. Scores are bits per byte, the mean over all
domains alike, so that raising small domains is what the score asks for.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks.studies.staged import main

NATURAL = {"name": "natural"}


def questions(options: argparse.Namespace) -> Mapping[str, Mapping[str, Any]]:
    """Return the arms of each question."""
    return {
        "share": {"arms": [NATURAL, *(_late(share) for share in (0.05, 0.1, 0.2, 0.3))]},
        "domains": {"arms": [NATURAL, _late(0.2)], "baseline": "late_20", "leave_one_out": "last_stage"},
    }


def _late(share: float) -> dict[str, Any]:
    return {"name": f"late_{share * 100:02.0f}", "trunk": "natural", "stages": [{"share": share, "weights": "uniform"}]}


if __name__ == "__main__":
    main("late_upsampling", __doc__ or "", questions)
