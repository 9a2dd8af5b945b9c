"""The stage `evaluate`: every trained model measured on the split `test`, then the decision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.errors import DataError
from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.decide import decision
from tasks.evaluation.published import Decision, MeasuredModel, MeasuredModels
from tasks.evaluation.unit import SPLIT, MeasureArgs, measure
from tasks.mixture.published import Forecast, Recipe
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, StageRun, environment_over, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.published import MODELS_FOLDER, TrainedRun, TrainedRuns
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE

STAGE = "evaluate"
MEASURE = Step("evaluate.model", "evaluate: models", measure)


def run(params: EvaluateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Measure the trained models on held-out text, and decide whether the search may claim a gain."""
    given = {name: stage_input(workshop, inputs, name) for name in ("tokenize", "search", "train")}
    stage = StageRun(workshop, STAGE, __name__, params, {name: each.digest for name, each in given.items()}, output)
    if (found := stage.unchanged()) is not None:
        return found
    pool = given["tokenize"].tree(*POOL_FILES, f"tokens/{SPLIT}/")
    given["search"].tree(Recipe.FILE, Forecast.FILE)
    trained = given["train"].tree(TrainedRuns.FILE, f"{MODELS_FOLDER}/")
    recipe, forecast = given["search"].read(Recipe), given["search"].read(Forecast)
    _require_same_domains(recipe, given["tokenize"])
    runs = given["train"].read(TrainedRuns).runs
    # Models that are the same are measured once.
    records = MEASURE.map(workshop, [_args(run, trained, pool, params) for run in runs])
    models = _models(runs, records, recipe)
    decided = decision(
        models,
        recipe,
        forecast,
        confidence=params.confidence,
        model_parameters=records[0].summary["model_parameters"],
        tokens=recipe.tokens,
    )
    measured = MeasuredModels(domains=recipe.domains, models=tuple(models))
    return stage.publish(
        {Decision.FILE: decided, MeasuredModels.FILE: measured},
        summary=_summary(decided),
        environment=environment_over(records),
    )


def _args(run: TrainedRun, trained: Tree, pool: Tree, params: EvaluateParams) -> MeasureArgs:
    config, weights = (trained[f"{run.folder}/{name}"] for name in (CONFIG_FILE, WEIGHTS_FILE))
    return MeasureArgs(config, weights, pool, params.test_tokens_per_domain)


def _models(runs: Sequence[TrainedRun], records: Sequence[UnitRecord], recipe: Recipe) -> list[MeasuredModel]:
    if recipe.objective is None:
        raise DataError(f"{Recipe.FILE} has no objective, so that no search made it. Evaluate the runs of a search.")
    objective_D = np.array(recipe.objective, dtype=np.float64)
    models = []
    for run, record in zip(runs, records, strict=True):
        # A record keeps its names sorted; weights stand in the order of the pool.
        bpb = {name: record.summary["bpb"][name] for name in recipe.domains}
        models.append(
            MeasuredModel(
                mixture=run.mixture,
                seed=run.seed,
                bpb=bpb,
                mean=float(np.array(list(bpb.values())) @ objective_D),
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
