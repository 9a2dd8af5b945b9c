"""The stage `evaluate`: every trained model measured on the split `test`, then the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.digest import digest_json
from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle, Tree
from tasks.core.manifest import Manifest
from tasks.core.published import Published
from tasks.evaluation.config import EvaluateParams, SampleParams
from tasks.evaluation.decide import decision
from tasks.evaluation.objective import require_tasks, task_losses
from tasks.evaluation.published import Continuation, Decision, MeasuredModel, MeasuredModels, Sample, Samples
from tasks.evaluation.published_seen import Memorisation
from tasks.evaluation.samples import SampleArgs, continue_documents
from tasks.evaluation.seen import memorisation
from tasks.evaluation.tasks.published import Scores, TaskItems
from tasks.evaluation.tasks.stage import GivenTask, given_tasks, model_files, told_scores
from tasks.evaluation.tasks.stage import measured as measured_on_tasks
from tasks.evaluation.tasks.unit import TrainedModel
from tasks.evaluation.unit import SPLIT, MeasureArgs, measure
from tasks.mixture.published import MIXTURES, Forecast, MixtureName, Recipe, Weights
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, StageRun, environment_over, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES
from tasks.tokenize.published import TOKENIZER_FILE, TokenPoolIndex
from tasks.training.params import TrainParams
from tasks.training.published import MODELS_FOLDER, TrainedRun, TrainedRuns
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE
from tasks.training.rebuilt import rebuilt_specs
from tasks.training.rows import SPLIT as TRAIN

STAGE = "evaluate"
# The input that stands in for all others: a model of others.
MODEL = "model"
MEASURE = Step("evaluate.model", "evaluate: models", measure)
SAMPLE = Step("evaluate.samples", "evaluate: samples", continue_documents)


def run(params: EvaluateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Measure the trained models on held-out text and on tasks, and decide whether the search may claim a gain.

    A model of others (`inputs["model"]`, a folder or a GGUF file) is put to the tasks alone.
    """
    tasks = given_tasks(params)
    if (model := inputs.get(MODEL)) is not None:
        return _one_model(model, params, tasks, output, workshop)
    given = {name: stage_input(workshop, inputs, name) for name in ("tokenize", "search", "train")}
    digests = {name: each.digest for name, each in given.items()} | _digests(tasks)
    # Bits per byte are measured on the CPU, whatever trained the models.
    gpus = workshop.gpus_per_trainer if tasks else 0.0
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=gpus)
    if (found := stage.unchanged()) is not None:
        return found
    trained = _read(given)
    require_tasks(trained.recipe, tasks)
    models, files, records = _measured(params, trained, tasks, workshop)
    decided = decision(
        models,
        trained.recipe,
        trained.forecast,
        confidence=params.confidence,
        model_parameters=records[0].summary["model_parameters"],
        tokens=trained.recipe.tokens,
    )
    files |= {
        Decision.FILE: decided,
        MeasuredModels.FILE: MeasuredModels(domains=trained.recipe.domains, models=tuple(models)),
    }
    if params.memorisation is not None:
        files[Memorisation.FILE], scored = _memorisation(params, trained, given, workshop)
        records += scored
    if params.samples is not None:
        files[Samples.FILE] = _samples(workshop, _sample_args(trained, params.samples), trained.recipe.domains)
    return stage.publish(files, summary=_summary(decided), environment=environment_over(records))


@dataclass(frozen=True)
class _Trained:
    """What other stages made: the recipe with its forecast, the runs with the files of their models, held-out text."""

    recipe: Recipe
    forecast: Forecast
    runs: Sequence[TrainedRun]
    models: Tree
    pool: Tree
    tokenizer: Handle

    def model(self, run: TrainedRun) -> TrainedModel:
        """Return the model of a run."""
        config, weights = (self.models[f"{run.folder}/{name}"] for name in (CONFIG_FILE, WEIGHTS_FILE))
        return TrainedModel(config, weights, self.tokenizer)


def _read(given: Mapping[str, StageInput]) -> _Trained:
    """Read what other stages made; every file is verified before the first of them is read."""
    given["search"].tree(Recipe.FILE, Forecast.FILE)
    models = given["train"].tree(TrainedRuns.FILE, f"{MODELS_FOLDER}/")
    pool = given["tokenize"].tree(*POOL_FILES, f"tokens/{SPLIT}/")
    tokenizer = given["tokenize"].tree(TOKENIZER_FILE)[TOKENIZER_FILE]
    recipe, forecast = given["search"].read(Recipe), given["search"].read(Forecast)
    trained = _Trained(recipe, forecast, given["train"].read(TrainedRuns).runs, models, pool, tokenizer)
    _require_same_domains(trained.recipe, given["tokenize"])
    return trained


def _measured(
    params: EvaluateParams, trained: _Trained, tasks: Sequence[GivenTask], workshop: Workshop
) -> tuple[list[MeasuredModel], dict[str, Published], list[UnitRecord]]:
    """Measure every model in bits per byte and on tasks; return them, what is published of tasks, and the records."""
    objective, runs = _objective(trained.recipe), trained.runs
    # Models that are the same are measured once.
    records = MEASURE.map(workshop, [_args(trained.model(run), trained.pool, params) for run in runs])
    if not tasks:
        return _models(runs, records, [{} for _ in runs], trained.recipe.domains, objective), {}, records
    found = measured_on_tasks(workshop, params, tasks, {run.name: trained.model(run) for run in runs})
    losses = [task_losses(trained.recipe.task_sets, tasks, found, run.name) for run in runs]
    models = _models(runs, records, losses, trained.recipe.domains, objective)
    return models, {Scores.FILE: found.scores, TaskItems.FILE: found.items}, [*records, *found.records]


def _memorisation(
    params: EvaluateParams, trained: _Trained, given: Mapping[str, StageInput], workshop: Workshop
) -> tuple[Memorisation, list[UnitRecord]]:
    assert params.memorisation is not None
    splits = given["tokenize"].tree(*POOL_FILES, f"tokens/{TRAIN}/", f"tokens/{SPLIT}/")
    specs = rebuilt_specs(trained.runs, TrainParams.model_validate(given["train"].manifest.params))
    models = {run.name: trained.model(run) for run in trained.runs}
    return memorisation(
        workshop, params.memorisation, trained.runs, specs, models, splits, trained.recipe.domains, params.confidence
    )


def _one_model(
    path: Path, params: EvaluateParams, tasks: Sequence[GivenTask], output: Path, workshop: Workshop
) -> Manifest:
    """Put a model of others to the tasks, and publish its scores."""
    if params.memorisation is not None:
        raise ConfigError("evaluate.memorisation: nobody knows which documents a model of others saw. Leave it out.")
    if not tasks:
        raise ConfigError("evaluate.tasks: there is none, so nothing to put to a model. Name some in --params FILE.")
    files = model_files(path)
    digests = {MODEL: files.digest, **_digests(tasks)}
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_trainer)
    if (found := stage.unchanged()) is not None:
        return found
    scored = measured_on_tasks(workshop, params, tasks, {path.name: files})
    published: dict[str, Published] = {Scores.FILE: scored.scores, TaskItems.FILE: scored.items}
    summary = {"scores": told_scores(scored.scores)}
    return stage.publish(published, summary=summary, environment=environment_over(scored.records))


def _digests(tasks: Sequence[GivenTask]) -> dict[str, str]:
    return {"tasks": digest_json([task.digest for task in tasks])} if tasks else {}


def _args(model: TrainedModel, pool: Tree, params: EvaluateParams) -> MeasureArgs:
    return MeasureArgs(model.config, model.weights, pool, params.test_tokens_per_domain)


def _sample_args(trained: _Trained, params: SampleParams) -> dict[MixtureName, SampleArgs]:
    """Return what the first model of each mixture is asked for."""
    found = {}
    for name in MIXTURES:
        if run := next((run for run in trained.runs if run.mixture == name), None):
            model = trained.model(run)
            found[name] = SampleArgs(model.config, model.weights, model.tokenizer, trained.pool, params)
    return found


def _samples(workshop: Workshop, args: Mapping[MixtureName, SampleArgs], domains: Sequence[str]) -> Samples:
    """Return what models make of the beginnings of documents."""
    told = [record.summary["samples"] for record in SAMPLE.map(workshop, list(args.values()))]
    params = next(iter(args.values())).params
    samples = [
        Sample(
            domain=domain,
            prompt=told[0][domain][0],
            document=told[0][domain][1],
            continuations=tuple(
                Continuation(mixture=name, text=each[domain][2]) for name, each in zip(args, told, strict=True)
            ),
        )
        # A record keeps its names sorted; these stand in the order of the pool.
        for domain in domains
        if domain in told[0]
    ]
    return Samples(seed=params.seed, temperature=params.temperature, samples=tuple(samples))


def _objective(recipe: Recipe) -> Weights:
    """Return the objective of the search that made a recipe."""
    if recipe.objective is None:
        raise DataError(f"{Recipe.FILE} has no objective, so that no search made it. Evaluate the runs of a search.")
    return recipe.objective


def _models(
    runs: Sequence[TrainedRun],
    records: Sequence[UnitRecord],
    of_tasks: Sequence[Mapping[str, float]],
    domains: Sequence[str],
    objective: Weights,
) -> list[MeasuredModel]:
    objective_S = np.array(objective, dtype=np.float64)
    models = []
    for run, record, losses in zip(runs, records, of_tasks, strict=True):
        # A record keeps its names sorted; weights stand in the order of the pool.
        bpb = {name: record.summary["bpb"][name] for name in domains}
        models.append(
            MeasuredModel(
                mixture=run.mixture,
                seed=run.seed,
                bpb=bpb,
                task_losses=losses,
                mean=float(np.array([*bpb.values(), *losses.values()]) @ objective_S),
                device=run.device,
                instruction_set=run.instruction_set,
            )
        )
    return models


def _require_same_domains(recipe: Recipe, tokenized: StageInput) -> None:
    names = [domain.name for domain in tokenized.read(TokenPoolIndex).domains]
    if names != list(recipe.domains):
        raise DataError(
            f"{Recipe.FILE} is for the domains {', '.join(recipe.domains)}, the token pool has {', '.join(names)}. Run "
            "search and train again on this pool."
        )


def _summary(decided: Decision) -> dict[str, Any]:
    gains = {name: comparison.gain for name, comparison in decided.comparisons.items()}
    summary = decided.model_dump(include={"claim", "statement", "per_domain"})
    return {**summary, "gains": gains, "forecast": decided.forecast_statement}
