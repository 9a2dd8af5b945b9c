"""The run's numbers and curves as files for DVC: `metrics.json` for `dvc metrics`, the others for `dvc plots`."""

import json
from collections.abc import Mapping
from typing import Any

from tasks.evaluation.numbers import decision_numbers
from tasks.mixture.pictures.search_plots import best_so_far
from tasks.mixture.published import MIXTURES
from tasks.report.load import PageContent

METRICS, LOSSES, REGRET, GAINS = "metrics.json", "losses.json", "regret.json", "gains.json"

Row = Mapping[str, str | float | None]


def files(content: PageContent) -> dict[str, str]:
    """Return the text of every file by its name."""
    tables = {LOSSES: losses(content), REGRET: regret(content), GAINS: gains(content)}
    return {METRICS: _text(metrics(content)), **{name: _text(rows) for name, rows in tables.items()}}


def metrics(content: PageContent) -> dict[str, float]:
    """Return what whole runs are compared by."""
    curation, evaluation = content.curation, content.evaluation
    return {
        "documents": float(curation.records.documents),
        "documents_kept": float(curation.kept.documents),
        "domains": float(len(evaluation.domains)),
        "proxies": float(len(content.search.shown)),
        **decision_numbers(evaluation.decision, evaluation.overall),
    }


def losses(content: PageContent) -> list[Row]:
    """Return the training loss of every mixture, nats per token, a mean over seeds: a row for each step that is shown.

    A mixture that was not trained, or had fewer steps, is null there: DVC asks for every column that `dvc.yaml` names.
    """
    curves = {curve.name: dict(zip(curve.steps, curve.mean, strict=True)) for curve in content.training.curves}
    steps = sorted({step for curve in curves.values() for step in curve})
    return [{"step": step, **{name: curves.get(name, {}).get(step) for name in MIXTURES}} for step in steps]


def regret(content: PageContent) -> list[Row]:
    """Return how far each run of the search, and the best so far, lies above the best that it measured."""
    runs, compared = content.search.shown, {proxy.run for proxy in content.search.compared}
    best = min(proxy.objective for proxy in content.search.compared)
    values = [proxy.objective - best for proxy in runs]
    so_far = best_so_far(values, [proxy.run in compared for proxy in runs])
    return [
        {"run": number, "kind": proxy.kind, "above_best": value, "best_so_far": lowest}
        for number, (proxy, value, lowest) in enumerate(zip(runs, values, so_far, strict=True))
    ]


def gains(content: PageContent) -> list[Row]:
    """Return the gain of the searched mixture over each baseline, on the objective and in every domain and task."""
    return [
        {"where": f"{over} · {name}", "gain": found.gain, "lower": found.lower, "upper": found.upper}
        for over, one in content.evaluation.comparisons.items()
        for name, found in ((content.evaluation.overall_name, one), *one.per_domain.items(), *one.per_task.items())
    ]


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
