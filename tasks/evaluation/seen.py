"""What the stage finds out about what its models saw: units over models, and what is published of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.core.handles import Tree
from tasks.evaluation.config import MemorisationParams
from tasks.evaluation.memorisation import Area, area, interval, mean_area
from tasks.evaluation.memorised import MemorisationArgs, score_documents
from tasks.evaluation.published_seen import Auroc, Memorisation, Memorised, MemorisedModel
from tasks.evaluation.tasks.unit import TrainedModel
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step
from tasks.training.published import TrainedRun
from tasks.training.types import RunSpec

MEMORISE = Step("evaluate.memorisation", "evaluate: memorisation", score_documents)
# Of fewer pairs no AUROC is told; a guess.
_FEWEST_PAIRS = 10


def memorisation(
    workshop: Workshop,
    params: MemorisationParams,
    runs: Sequence[TrainedRun],
    specs: Mapping[str, RunSpec],
    models: Mapping[str, TrainedModel],
    pool: Tree,
    domains: Sequence[str],
    confidence: float,
) -> tuple[Memorisation, list[UnitRecord]]:
    """Return how well each run's model is known to have memorised what it saw; `pool` has the splits train and test."""
    args = [
        MemorisationArgs(
            models[run.name].config,
            models[run.name].weights,
            pool,
            specs[run.name],
            tuple(run.consumed[name].samples for name in domains),
            params,
        )
        for run in runs
    ]
    records = MEMORISE.map(workshop, args)
    told = [
        memorised_model(run.name, domains, record.summary["domains"], confidence)
        for run, record in zip(runs, records, strict=True)
    ]
    return Memorisation(confidence=confidence, models=tuple(told)), records


def memorised_model(name: str, domains: Sequence[str], told: Mapping[str, Any], confidence: float) -> MemorisedModel:
    """Return what the scores of a model's documents say: AUROC by domain, and within all domains."""
    areas = {domain: _areas(told[domain]) for domain in domains}
    by_domain = {domain: _memorised(told[domain], areas[domain], confidence) for domain in domains}
    scores = next((found for found in areas.values() if found), {})
    every = {score: mean_area([found[score] for found in areas.values() if found]) for score in scores}
    return MemorisedModel(model=name, domains=by_domain, within_domains=_told(every, confidence))


def _areas(told: Mapping[str, Any]) -> dict[str, Area]:
    if len(told["exposure"]) < _FEWEST_PAIRS:
        return {}
    return {score: area(np.array(told["members"][score]), np.array(told["others"][score])) for score in told["members"]}


def _memorised(told: Mapping[str, Any], areas: Mapping[str, Area], confidence: float) -> Memorised:
    pairs, (members, others) = len(told["exposure"]), told["tokens"]
    means = [sum(numbers) / pairs if pairs else None for numbers in (told["exposure"], members, others)]
    return Memorised(
        pairs=pairs, exposure=means[0], member_tokens=means[1], other_tokens=means[2], auroc=_told(areas, confidence)
    )


def _told(areas: Mapping[str, Area], confidence: float) -> dict[str, Auroc]:
    intervals = {score: interval(found, confidence) for score, found in areas.items()}
    return {
        score: Auroc(value=found.value, lower=intervals[score][0], upper=intervals[score][1], pairs=found.pairs)
        for score, found in areas.items()
    }
