"""The evaluation: bits per byte on the test split, the comparisons, and what became of the forecast."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from tasks.core.errors import DataError
from tasks.report.read import Fields, read_fields
from tasks.report.types import MIXTURES, Comparison, Difference, Evaluation, Outcome


def read_evaluation(evaluate: Path, domains: Sequence[str]) -> Evaluation:
    """Return what evaluation measured and decided.

    Raises:
        DataError: a field is missing, or the domains are not the token pool's.
    """
    decision = read_fields(evaluate / "decision.json")
    table = decision.fields("per_domain")
    if sorted(table.value) != sorted(domains):
        raise DataError(f"{table.where}: its domains are {', '.join(table.value)}, the pool has {', '.join(domains)}.")
    rows = [table.fields(name) for name in domains]
    mixtures = [name for name in MIXTURES if rows and name in rows[0].value]
    comparisons = decision.fields("comparisons")
    return Evaluation(
        domains=tuple(domains),
        seeds=decision.whole("num_seeds"),
        confidence=decision.number("confidence"),
        claim=decision.truth("claim"),
        baseline=decision.text("baseline"),
        means={name: tuple(row.number(name) for row in rows) for name in mixtures},
        overall=_overall(evaluate, mixtures),
        comparisons={
            name: _comparison(comparisons.fields(name), name, domains) for name in MIXTURES if name in comparisons.value
        },
        outcome=None if decision.is_null("forecast") else _outcome(decision.fields("forecast")),
        forecast_statement=decision.text("forecast_statement"),
    )


def _overall(evaluate: Path, mixtures: Sequence[str]) -> dict[str, float]:
    """Return the mean over domains and seeds of each mixture."""
    means: dict[str, list[float]] = defaultdict(list)
    for model in read_fields(evaluate / "results.json").each("models"):
        means[model.text("mixture")].append(model.number("mean"))
    if missing := [name for name in mixtures if name not in means]:
        raise DataError(f"{evaluate}/results.json: it has no model of {', '.join(missing)}. Run evaluate again.")
    return {name: fmean(means[name]) for name in mixtures}


def _comparison(found: Fields, baseline: str, domains: Sequence[str]) -> Comparison:
    parts = found.fields("per_domain")
    return Comparison(
        baseline=baseline,
        claim=found.truth("claim"),
        statement=found.text("statement"),
        overall=_difference(found),
        per_domain=tuple(_difference(parts.fields(name)) for name in domains),
    )


def _difference(found: Fields, prefix: str = "") -> Difference:
    ends = (f"{prefix}lower", f"{prefix}upper")
    lower, upper = (None if found.is_null(name) else found.number(name) for name in ends)
    return Difference(found.number(f"{prefix}gain"), lower, upper)


def _outcome(found: Fields) -> Outcome:
    return Outcome(
        measured=_difference(found, "measured_"),
        inside=found.truth("inside"),
        same_size=found.truth("same_size"),
        model_parameters=found.whole("measured_model_parameters"),
        tokens=found.whole("measured_tokens"),
        statement=found.text("statement"),
    )
