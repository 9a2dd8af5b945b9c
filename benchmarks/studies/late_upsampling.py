"""Late upsampling (2406.03476): all domains alike in the last steps of a natural mixture, and what each is worth there.

    python -m benchmarks.studies.late_upsampling FOLDER [--every 15] [--seeds 5]

`share`: the natural mixture against branches off it that have all domains alike in the last 5 to 30 % of the steps.
`when`: ten times as much of `qa` in the last fifth, against as many of its tokens spread over the whole run. `domains`: all
alike in the last fifth against the same without each domain there. Scores are bits per byte, the mean over all domains
alike; the sources are nearly alike by nature, 4 to 11 % each.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks.studies.staged import DOMAIN, main

NATURAL = {"name": "natural"}
# With 3.8 % of the natural mixture: 28 % of the last fifth, and 8.7 % of all tokens either way.
LATE: Mapping[str, Any] = {"name": "late", "trunk": "natural", "stages": [{"share": 0.2, "times": {DOMAIN: 10}}]}
THROUGHOUT: Mapping[str, Any] = {"name": "throughout", "stages": [{"share": 1.0, "times": {DOMAIN: 2.41}}]}


def questions(options: argparse.Namespace) -> Mapping[str, Mapping[str, Any]]:
    """Return the arms of each question."""
    return {
        "share": {"arms": [NATURAL, *(_late(share) for share in (0.05, 0.1, 0.2, 0.3))]},
        "when": {
            "arms": [NATURAL, THROUGHOUT, LATE],
            "baseline": "throughout",
            "primary": f"bits_per_byte.{DOMAIN}",
        },
        # Sixteen arms: fewer seeds.
        "domains": {
            "arms": [NATURAL, _late(0.2)],
            "baseline": "late_20",
            "leave_one_out": "last_stage",
            "num_seeds": min(3, options.seeds),
        },
    }


def _late(share: float) -> dict[str, Any]:
    return {"name": f"late_{share * 100:02.0f}", "trunk": "natural", "stages": [{"share": share, "weights": "uniform"}]}


if __name__ == "__main__":
    main("late_upsampling", __doc__ or "", questions)
