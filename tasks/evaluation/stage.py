"""The stage `evaluate`: every trained model measured on the split `test`, then the decision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.core.published import Published
from tasks.evaluation.analyses import NOT_OF_OTHERS, OF_TRAIN_SPLIT, Evaluation, analysed, asked
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.decide import decision
from tasks.evaluation.measured import measured
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.evaluation.published_like import LossAgainstEpochs
from tasks.evaluation.repeated import loss_against_epochs
from tasks.evaluation.tasks.published import Scores, TaskItems
from tasks.evaluation.tasks.stage import GivenTask, content_of, given_tasks, model_files, told_scores
from tasks.evaluation.tasks.stage import measured as measured_on_tasks
from tasks.evaluation.trained import read_trained
from tasks.runtime.context import Workshop
from tasks.runtime.stages import StageRun, environment_over, stage_input

STAGE = "evaluate"
# The input that stands in for all others: a model of others.
MODEL = "model"


def run(params: EvaluateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Measure the trained models on held-out text and on tasks, and decide whether the search may claim a gain.

    A model of others (`inputs["model"]`, a folder or a GGUF file) is put to the tasks alone.
    """
    tasks = given_tasks(params)
    if (model := inputs.get(MODEL)) is not None:
        return _one_model(model, params, tasks, output, workshop)
    given = {name: stage_input(workshop, inputs, name) for name in ("tokenize", "search", "train")}
    digests = {name: each.digest for name, each in given.items()} | content_of(tasks, params)
    # Bits per byte are measured on the CPU, whatever trained the models.
    gpus = workshop.gpus_per_trainer if tasks or params.flatness or params.planted else 0.0
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=gpus)
    if (found := stage.unchanged()) is not None:
        return found
    analyses = asked(params)
    trained = read_trained(given, with_train_split=any(name in OF_TRAIN_SPLIT for name in analyses))
    found_out = measured(params, trained, tasks, workshop)
    decided = decision(
        found_out.models,
        trained.recipe,
        trained.forecast,
        trained.updates,
        confidence=params.confidence,
        model_parameters=found_out.model_parameters,
        tokens=trained.recipe.tokens,
    )
    files: dict[str, Published] = {
        Decision.FILE: decided,
        MeasuredModels.FILE: MeasuredModels(domains=trained.recipe.domains, models=tuple(found_out.models)),
        LossAgainstEpochs.FILE: loss_against_epochs(trained.courses.local(), trained.runs, found_out.models),
    }
    if (on_tasks := found_out.on_tasks) is not None:
        files |= {Scores.FILE: on_tasks.scores, TaskItems.FILE: on_tasks.items}
    further = analysed(Evaluation(workshop, params, trained, tasks, found_out))
    records = [*found_out.records, *further.records]
    return stage.publish({**files, **further.files}, summary=_summary(decided), environment=environment_over(records))


def _one_model(
    path: Path, params: EvaluateParams, tasks: Sequence[GivenTask], output: Path, workshop: Workshop
) -> Manifest:
    """Put a model of others to the tasks, and publish its scores."""
    if wrong := [name for name in asked(params) if name in NOT_OF_OTHERS]:
        raise ConfigError(f"evaluate.{wrong[0]}: {NOT_OF_OTHERS[wrong[0]]}. Leave it out.")
    if not tasks and not params.harness_results:
        raise ConfigError(
            "evaluate.tasks: there is none, so nothing to put to a model. Name some in --params FILE, or take in "
            "harness_results."
        )
    files = model_files(path)
    digests = {MODEL: files.digest, **content_of(tasks, params)}
    gpus = workshop.gpus_per_trainer if tasks else 0.0
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=gpus)
    if (found := stage.unchanged()) is not None:
        return found
    scored = measured_on_tasks(workshop, params, tasks, {path.name: files})
    published: dict[str, Published] = {Scores.FILE: scored.scores, TaskItems.FILE: scored.items}
    summary = {"scores": told_scores(scored.scores)}
    return stage.publish(published, summary=summary, environment=environment_over(scored.records))


def _summary(decided: Decision) -> dict[str, Any]:
    gains = {name: comparison.gain for name, comparison in decided.comparisons.items()}
    summary = decided.model_dump(include={"claim", "statement", "per_domain"})
    return {**summary, "gains": gains, "forecast": decided.forecast_statement}
