"""What whole runs are compared by in MLflow: the choices that tell them apart, and the numbers they are sorted by."""

from pathlib import Path
from typing import Any

from flows.closing import account_of
from flows.config import PipelineParams
from tasks.evaluation.published import Decision, Interval, MeasuredModels
from tasks.training.published import TrainedRuns


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
    """Return what came out of a run, from `data` with one folder per stage; gains in bits per byte, more is better.

    `claim` is 1 where the searched mixture may claim to beat the first baseline. An end of an interval that nothing supports
    is left out.

    Raises:
        DataError: a stage has not run, or what it published is not as agreed.
    """
    ingested, curated = (account_of(data / stage) for stage in ("ingest", "curate"))
    decision, measured = Decision.read(data / "evaluate"), MeasuredModels.read(data / "evaluate")
    trained = TrainedRuns.read(data / "train").runs
    first = trained[0]
    found = {
        "documents": ingested.taken.documents,
        "documents_kept": curated.kept.documents,
        "domains": len(measured.domains),
        "models": len(trained),
        "parameters": first.parameters,
        "tokens_per_model": first.tokens,
        "flops_per_model": first.flops,
        "claim": decision.claim,
        **_ends("gain", decision.comparisons[decision.baseline]),
        **{f"gain_over/{name}": one.gain for name, one in decision.comparisons.items()},
        **{f"bits_per_byte/{mixture}": mean for mixture, mean in measured.overall.items()},
    }
    if ingested.taken.documents:
        found["documents_kept_share"] = curated.kept.documents / ingested.taken.documents
    if decision.forecast is not None:
        found |= {"forecast_gain": decision.forecast.predicted_gain, "forecast_inside": decision.forecast.inside}
    return {name: float(value) for name, value in found.items()}


def _ends(name: str, interval: Interval) -> dict[str, float]:
    """Return a gain with the ends of its interval, where it has some."""
    ends = zip(("lower", "upper"), interval.ends or (), strict=False)
    return {name: interval.gain, **{f"{name}_{end}": value for end, value in ends}}
