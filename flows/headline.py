"""What whole runs are compared by in MLflow: the choices that tell them apart, and the numbers they are sorted by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from flows.closing import account_of
from flows.config import PipelineParams
from infra.settings import PriceSettings
from infra.storage import Store
from tasks.core.manifest import Manifest
from tasks.evaluation.numbers import decision_numbers
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.evaluation.tasks.published import Scores
from tasks.mixture.published import Recipe
from tasks.runtime.costs import cost_metrics, cost_rows, stage_costs
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.published import TrainedRun, TrainedRuns


def headline_params(params: PipelineParams) -> dict[str, Any]:
    """Return what was chosen of a run, by the names of `params.yaml`."""
    search, train = params.search, params.train
    optimizer = train.training.optimizer
    return {
        "search.strategy": search.strategy.kind,
        "search.num_runs": search.num_runs,
        "train.mixtures": ", ".join(train.mixtures),
        "train.num_seeds": train.num_seeds,
        "train.tokens": train.training.num_tokens,
        "train.optimizer": optimizer.method.kind,
        "train.schedule": optimizer.schedule.kind,
        "train.learning_rate": optimizer.learning_rate,
        "train.precision": train.training.precision,
        "evaluate.confidence": params.evaluate.confidence,
    }


def headline_metrics(data: Path) -> dict[str, float]:
    """Return what came out of a run, from `data` with one folder per stage.

    Gains are in the unit of the objective, more is better; losses of tasks are scores turned so that less is better.

    Raises:
        DataError: a stage has not run, or what it published is not as agreed.
    """
    ingested, curated = (account_of(data / stage) for stage in ("ingest", "curate"))
    decision, measured = Decision.read(data / "evaluate"), MeasuredModels.read(data / "evaluate")
    pool, trained = TokenPoolIndex.read(data / "tokenize"), TrainedRuns.read(data / "train").runs
    first = trained[0]
    found = {
        "documents": ingested.taken.documents,
        "documents_kept": curated.kept.documents,
        "bytes_kept": curated.kept.bytes,
        "tokens": sum(split.tokens for domain in pool.domains for split in domain.splits.values()),
        "domains": len(measured.domains),
        "models": len(trained),
        "parameters": first.parameters,
        "tokens_per_model": first.tokens,
        "flops_per_model": first.flops,
        **decision_numbers(decision, measured.overall),
        **_by_mixture("bits_per_byte", decision.per_domain),
        **_by_mixture("task_loss", decision.per_task),
        **_scores(data / "evaluate", trained),
    }
    if ingested.taken.documents:
        found["documents_kept_share"] = curated.kept.documents / ingested.taken.documents
    return {name: float(value) for name, value in found.items()}


def headline_tables(data: Path) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Return the decision as tables: every gain with its interval, and every domain and task with all mixtures.

    Raises:
        DataError: a stage has not run, or what it published is not as agreed.
    """
    decision, recipe = Decision.read(data / "evaluate"), Recipe.read(data / "search")
    gains = [
        {"over": over, "on": name, **interval.model_dump(include={"gain", "lower", "upper"}), "unit": unit}
        for over, one in decision.comparisons.items()
        for name, interval, unit in (
            ("objective", one, decision.unit),
            *((domain, each, "bits per byte") for domain, each in one.per_domain.items()),
            *((task, each, "loss") for task, each in one.per_task.items()),
        )
    ]
    weights = {mixture: dict(zip(recipe.domains, recipe.weights(mixture), strict=True)) for mixture in recipe.mixtures}
    mixtures = [
        {
            "domain": domain,
            **{f"{mixture} weight": row[domain] for mixture, row in weights.items()},
            **{f"{mixture} bits per byte": value for mixture, value in decision.per_domain[domain].items()},
        }
        for domain in recipe.domains
    ]
    tables = {"gains": gains, "mixtures": mixtures}
    if decision.per_task:
        tables["tasks"] = [{"task": task, **dict(row.items())} for task, row in decision.per_task.items()]
    return {name: tuple(rows) for name, rows in tables.items()}


def run_costs(store: Store, folders: Iterable[Path], prices: PriceSettings) -> tuple[dict[str, float], tuple[Any, ...]]:
    """Return what the stages of a run cost when their work was done, as metrics and as rows of a table.

    What is not known of a stage is left out, and with it the sum.
    """
    manifests = [Manifest.read(folder) for folder in folders]
    noted = {one.stage: stage_costs(store, one.stage, one.key) for one in manifests}
    known = {stage: rows for stage, rows in noted.items() if rows is not None}
    parts = {f"{stage}/": rows for stage, rows in known.items()}
    if len(known) == len(noted):
        parts[""] = tuple(row for rows in known.values() for row in rows)
    metrics = {
        f"cost/{part}{name}": value
        for part, rows in parts.items()
        for name, value in cost_metrics(rows, prices).items()
    }
    return metrics, tuple(row for stage, rows in known.items() for row in cost_rows(stage, rows, prices))


def _by_mixture(what: str, means: Mapping[str, Mapping[Any, float]]) -> dict[str, float]:
    return {f"{what}/{mixture}/{name}": mean for name, row in means.items() for mixture, mean in row.items()}


def _scores(evaluated: Path, trained: Iterable[TrainedRun]) -> dict[str, float]:
    """Return the primary score of every task by mixture, a mean over seeds; none where no task was asked."""
    if not (evaluated / Scores.FILE).is_file():
        return {}
    mixtures, values = {run.name: run.mixture for run in trained}, defaultdict[str, list[float]](list)
    for model in Scores.read(evaluated).models:
        for task, one in model.tasks.items():
            values[f"score/{mixtures[model.model]}/{task}"].append(one.scores[one.primary].value)
    return {name: fmean(found) for name, found in values.items()}
