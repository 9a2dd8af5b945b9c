"""The trained models measured: bits per byte of held-out text, tasks, and the objective of the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.errors import DataError
from tasks.core.handles import Tree
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.objective import require_tasks, task_losses
from tasks.evaluation.published import MeasuredModel
from tasks.evaluation.tasks.stage import GivenTask, MeasuredTasks
from tasks.evaluation.tasks.stage import measured as measured_on_tasks
from tasks.evaluation.trained import Trained
from tasks.evaluation.unit import SPLIT, MeasureArgs, measure
from tasks.mixture.published import Recipe, Weights
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES
from tasks.tokenize.published import Split
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE

MEASURE = Step("evaluate.model", "evaluate: models", measure)


@dataclass(frozen=True)
class Measured:
    """What every model was measured to be, on tasks too where there are any, and the records of the units."""

    models: Sequence[MeasuredModel]
    model_parameters: int
    on_tasks: MeasuredTasks | None
    records: Sequence[UnitRecord]


def measured(params: EvaluateParams, trained: Trained, tasks: Sequence[GivenTask], workshop: Workshop) -> Measured:
    """Measure every model in bits per byte and on tasks.

    Raises:
        ConfigError: the search had other tasks in its objective.
        DataError: no search made the recipe.
    """
    require_tasks(trained.recipe, tasks)
    objective, runs = _objective(trained.recipe), trained.runs
    units = [
        MeasureArgs(model.config, model.weights, trained.held_out, params.test_tokens_per_domain)
        for model in trained.models.values()
    ]
    # Models that are the same are measured once.
    records = MEASURE.map(workshop, units)
    wanted = tasks or params.harness_results
    on_tasks = measured_on_tasks(workshop, params, tasks, trained.models) if wanted else None
    losses = [
        task_losses(trained.recipe.task_sets, tasks, on_tasks, run.name) if on_tasks is not None else {} for run in runs
    ]
    models = _models(trained, records, losses, objective)
    of_tasks = on_tasks.records if on_tasks is not None else []
    return Measured(models, records[0].summary["model_parameters"], on_tasks, [*records, *of_tasks])


def held_out_of(tokenized: StageInput, split: Split = SPLIT) -> Tree:
    """Return what is read of a pool where models are measured, verified."""
    return tokenized.tree(*POOL_FILES, f"tokens/{split}/")


def bits_per_byte_of(
    records: Sequence[UnitRecord | Sequence[UnitRecord]],
    held_out: Tree,
    tokens_per_domain: int | None,
    workshop: Workshop,
    *,
    label: str,
    split: Split = SPLIT,
) -> list[dict[str, float]]:
    """Return what models that `train.run` made measure on a split of a pool, by domain; several records are one ensemble."""
    made = [(one,) if isinstance(one, UnitRecord) else tuple(one) for one in records]
    files = [[(each.file(CONFIG_FILE), each.file(WEIGHTS_FILE)) for each in some] for some in made]
    args = [
        MeasureArgs(config, weights, held_out, tokens_per_domain, split, tuple(others) or None)
        for (config, weights), *others in files
    ]
    return [dict(record.summary["bpb"]) for record in MEASURE.map(workshop, args, label=label)]


def _objective(recipe: Recipe) -> Weights:
    """Return the objective of the search that made a recipe."""
    if recipe.objective is None:
        raise DataError(f"{Recipe.FILE} has no objective, so that no search made it. Evaluate the runs of a search.")
    return recipe.objective


def _models(
    trained: Trained, records: Sequence[UnitRecord], of_tasks: Sequence[Mapping[str, float]], objective: Weights
) -> list[MeasuredModel]:
    objective_S = np.array(objective, dtype=np.float64)
    models = []
    for run, record, losses in zip(trained.runs, records, of_tasks, strict=True):
        # A record keeps its names sorted; weights stand in the order of the pool.
        bpb = {name: record.summary["bpb"][name] for name in trained.recipe.domains}
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
