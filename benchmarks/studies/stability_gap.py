"""The stability gap (2406.14833): three ways to go on with a model on a domain that it has not seen.

    python -m benchmarks.studies.stability_gap FOLDER [--every 15] [--seeds 5]

A model is trained for 70 steps on all domains but `qa` (medical questions) and then for 30 on it: 42 % of its tokens, none
twice (`all_once`), against (1) four epochs over a tenth of it, (2) the tenth nearest to abstracts of PubMed first, both, (3)
about half of the tokens from the mixture before, and all three. The claim is about `qa`; what the others lose is beside it.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks.studies.staged import DOMAIN, SCORE, main

SHARE = 0.3
TENTH: Mapping[str, Any] = {"high": 0.1, "domains": [DOMAIN]}
BEST: Mapping[str, Any] = {"by": SCORE, "low": 0.9, "domains": [DOMAIN]}


def questions(options: argparse.Namespace) -> Mapping[str, Mapping[str, Any]]:
    """Return the arms of the question."""
    own = {"weights": {DOMAIN: 1}}
    mixed = {"times": {DOMAIN: 20}}
    arms = [
        {"name": "before", "stages": [{"share": 1.0, "without": [DOMAIN]}]},
        _on("all_once", {"share": SHARE, **own}),
        _on("few_often", {"share": SHARE, "documents": TENTH, **own}),
        _on("best_first", {"share": 0.1, "documents": BEST, **own}, {"share": 0.2, **own}),
        _on("best_often", {"share": SHARE, "documents": BEST, **own}),
        _on("mixed", {"share": SHARE, **mixed}),
        _on("mixed_best_often", {"share": SHARE, "documents": BEST, **mixed}),
    ]
    return {"strategies": {"arms": arms, "baseline": "all_once", "primary": f"bits_per_byte.{DOMAIN}"}}


def _on(name: str, *stages: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "trunk": "before", "stages": stages}


if __name__ == "__main__":
    main("stability_gap", __doc__ or "", questions)
