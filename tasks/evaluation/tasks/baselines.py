"""Random baselines by which accuracies are centred, as published, each table by its version: a constant is part of a score.

Source: `Random baseline` in eval_meta_data_v1.csv and eval_meta_data.csv of github.com/mlfoundations/dclm (361714b) for
the 22 low-variance tasks that are its CORE (arXiv 2406.11794). Version 2 (September 2025) mends three of them; what was told
before is of version 1.
"""

from collections.abc import Mapping
from typing import Literal

from tasks.core.errors import ConfigError

Baselines = Literal["dclm_core_v1", "dclm_core_v2"]

_V1 = {
    "agi_eval_lsat_ar": 0.2,
    "arc_challenge": 0.25,
    "arc_easy": 0.25,
    "bigbench_cs_algorithms": 0.0,
    "bigbench_dyck_languages": 0.0,
    "bigbench_language_identification": 0.091,
    "bigbench_operators": 0.0,
    "bigbench_qa_wikidata": 0.0,
    "bigbench_repeat_copy_logic": 0.0,
    "boolq": 0.62,
    "commonsense_qa": 0.2,
    "copa": 0.5,
    "coqa": 0.0,
    "hellaswag": 0.25,
    "hellaswag_zeroshot": 0.25,
    "jeopardy": 0.0,
    "lambada_openai": 0.0,
    "openbook_qa": 0.25,
    "piqa": 0.5,
    "squad": 0.0,
    "winograd": 0.5,
    "winogrande": 0.5,
}
_V2 = {**_V1, "agi_eval_lsat_ar": 0.25, "bigbench_language_identification": 0.25, "commonsense_qa": 0.403}
TABLES: Mapping[Baselines, Mapping[str, float]] = {"dclm_core_v1": _V1, "dclm_core_v2": _V2}


def centred(accuracy: float, baseline: float) -> float:
    """Return an accuracy on the scale on which 0 is by chance and 1 is all.

    >>> centred(0.625, 0.25), centred(0.25, 0.25)
    (0.5, 0.0)
    """
    return (accuracy - baseline) / (1 - baseline)


def baseline_of(table: Baselines, task: str, score: str) -> float:
    """Return the random baseline of a task's accuracy.

    Raises:
        ConfigError: the table has no such task, or the score is no accuracy.
    """
    if task not in TABLES[table]:
        raise ConfigError(f"{table} has no baseline of {task}; it has {', '.join(TABLES[table])}.")
    if not score.startswith(("acc", "exact_match")):
        raise ConfigError(f"{table} centres accuracies, and {task}.{score} is none: name {task}.accuracy.")
    return TABLES[table][task]
