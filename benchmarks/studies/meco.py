"""Metadata conditioning, MeCo (2501.01956): documents behind their source for nine tenths of the steps, then without.

    python -m benchmarks.studies.meco FOLDER [--every 15] [--seeds 5]

Against the natural mixture without metadata: `meco` with a cooldown on other documents, as the paper has it;
`same_documents` with one on the same; `no_cooldown` with metadata to the end. All are measured without metadata, as they
would be used. The check: within 0.5 % of the baseline's bits per byte behind the cooldown.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks.studies.staged import main

META, PLAIN = {"share": 0.9, "metadata": True}, {"share": 0.1}


def questions(options: argparse.Namespace) -> Mapping[str, Mapping[str, Any]]:
    """Return the arms of the question."""
    first, last = {"documents": {"high": 0.9}}, {"documents": {"low": 0.9}}
    arms = [
        {"name": "natural"},
        {"name": "meco", "stages": [META | first, PLAIN | last]},
        {"name": "same_documents", "stages": [META, PLAIN]},
        {"name": "no_cooldown", "stages": [META | {"share": 1.0}]},
    ]
    return {"cooldown": {"arms": arms}}


if __name__ == "__main__":
    main("meco", __doc__ or "", questions)
