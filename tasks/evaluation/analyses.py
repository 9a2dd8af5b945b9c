"""What else is found out about trained models: an analysis is a section of the params, off where it is null.

A further one is a function from an `Evaluation` to what is published, and its name in `ANALYSES`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.core.published import Published
from tasks.evaluation.character import flatness
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.measured import Measured
from tasks.evaluation.planted.published import PlantedEffects
from tasks.evaluation.planted.stage import plans_of, planted_effects
from tasks.evaluation.published import Continuation, Sample, Samples
from tasks.evaluation.published_contamination import Contamination, FoundItems
from tasks.evaluation.published_like import Flatness, Specificity
from tasks.evaluation.published_seen import Memorisation
from tasks.evaluation.samples import SampleArgs, continue_documents
from tasks.evaluation.seen import memorisation
from tasks.evaluation.specificity import specificity
from tasks.evaluation.tasks.stage import GivenTask
from tasks.evaluation.trained import Trained
from tasks.mixture.published import MIXTURES
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step

SAMPLE = Step("evaluate.samples", "evaluate: samples", continue_documents)


@dataclass(frozen=True)
class Evaluation:
    """What an analysis may look at: the models with what they come from, and how they were measured."""

    workshop: Workshop
    params: EvaluateParams
    trained: Trained
    tasks: Sequence[GivenTask]
    measured: Measured


@dataclass(frozen=True)
class Analysed:
    """What an analysis publishes, and the records of its units."""

    files: Mapping[str, Published]
    records: Sequence[UnitRecord]


def analysed(evaluation: Evaluation) -> Analysed:
    """Make every analysis that the params ask for."""
    found = [ANALYSES[name](evaluation) for name in asked(evaluation.params)]
    files = {name: file for one in found for name, file in one.files.items()}
    return Analysed(files, [record for one in found for record in one.records])


def asked(params: EvaluateParams) -> list[str]:
    """Return the names of the analyses that the params ask for."""
    return [name for name in ANALYSES if getattr(params, name) is not None]


def _memorisation(evaluation: Evaluation) -> Analysed:
    """Look for signs that models remember documents that they were trained on."""
    params, trained = evaluation.params, evaluation.trained
    assert params.memorisation is not None
    found, records = memorisation(
        evaluation.workshop,
        params.memorisation,
        trained.runs,
        trained.specs(),
        trained.models,
        trained.splits,
        trained.recipe.domains,
        params.confidence,
    )
    return Analysed({Memorisation.FILE: found}, records)


def _contamination(evaluation: Evaluation) -> Analysed:
    """Look for the items of tasks in what models were trained on."""
    # It looks into tables of documents, with libraries that search and training do without.
    from tasks.evaluation.contaminated import contamination

    params, measured = evaluation.params, evaluation.measured
    assert params.contamination is not None and measured.on_tasks is not None
    found, items, records = contamination(
        evaluation.workshop,
        params.contamination,
        evaluation.tasks,
        evaluation.trained,
        measured.models,
        measured.on_tasks,
        params.confidence,
    )
    return Analysed({Contamination.FILE: found, FoundItems.FILE: items}, records)


def _flatness(evaluation: Evaluation) -> Analysed:
    """Measure how flat the loss of every model is around its weights."""
    params, trained = evaluation.params.flatness, evaluation.trained
    assert params is not None
    found, records = flatness(evaluation.workshop, params, trained.runs, trained.models, trained.held_out)
    return Analysed({Flatness.FILE: found}, records)


def _planted(evaluation: Evaluation) -> Analysed:
    """Measure the effects of planted experiments, and whether these change each other."""
    params, trained = evaluation.params, evaluation.trained
    assert params.planted is not None
    found, records = planted_effects(
        evaluation.workshop,
        params.planted,
        trained.runs,
        trained.models,
        plans_of(trained.files, trained.runs),
        params.confidence,
    )
    return Analysed({PlantedEffects.FILE: found}, records)


def _specificity(evaluation: Evaluation) -> Analysed:
    """Compare each domain's model with the general one."""
    params, runs, models = evaluation.params, evaluation.trained.runs, evaluation.measured.models
    assert params.specificity is not None
    return Analysed({Specificity.FILE: specificity(params.specificity, runs, models, params.confidence)}, [])


def _samples(evaluation: Evaluation) -> Analysed:
    """Let the first model of each mixture continue the beginnings of documents."""
    params, trained = evaluation.params.samples, evaluation.trained
    assert params is not None
    first = {run.mixture: trained.model(run) for run in reversed(trained.runs)}
    names = [name for name in MIXTURES if name in first]
    args = [
        SampleArgs(model.config, model.weights, model.tokenizer, trained.held_out, params)
        for model in (first[name] for name in names)
    ]
    records = SAMPLE.map(evaluation.workshop, args)
    told = [record.summary["samples"] for record in records]
    samples = [
        Sample(
            domain=domain,
            prompt=told[0][domain][0],
            document=told[0][domain][1],
            continuations=tuple(
                Continuation(mixture=name, text=each[domain][2]) for name, each in zip(names, told, strict=True)
            ),
        )
        # A record keeps its names sorted; these stand in the order of the pool.
        for domain in trained.recipe.domains
        if domain in told[0]
    ]
    published = Samples(seed=params.seed, temperature=params.temperature, samples=tuple(samples))
    return Analysed({Samples.FILE: published}, records)


ANALYSES: Mapping[str, Callable[[Evaluation], Analysed]] = {
    "memorisation": _memorisation,
    "contamination": _contamination,
    "flatness": _flatness,
    "planted": _planted,
    "specificity": _specificity,
    "samples": _samples,
}
# They read what models were trained on.
OF_TRAIN_SPLIT = ("memorisation", "contamination")
# Why they cannot be asked of a model of others.
NOT_OF_OTHERS: Mapping[str, str] = {
    "flatness": "it is measured on a pool's test split, and a model of others comes with none",
    "specificity": "it compares the models of several mixtures",
    **dict.fromkeys((*OF_TRAIN_SPLIT, "planted"), "nobody knows which documents a model of others saw"),
}
