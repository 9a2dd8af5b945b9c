"""What a person reads at the end of a run: what became of the documents, the mixture with its outcome, and the decision."""

from collections.abc import Sequence
from pathlib import Path

from tasks.cluster.published.domains import Domains
from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.core.text_table import text_table
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.mixture.published import BASELINES, MIXTURES, Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.pictures.marks import size

Row = tuple[str, ...]
_NAME_WIDTH = 40


def closing_table(data: Path) -> str:
    """Return the closing tables and sentences of a run as text, from `data` with one folder per stage.

    Raises:
        DataError: a stage has not run, or what it published is not as agreed.
    """
    domains, decision = Domains.read(data / "cluster"), Decision.read(data / "evaluate")
    head, rows = document_rows(*(account_of(data / stage) for stage in ("ingest", "curate", "cluster")))
    paragraphs = [_titled("Documents", head, rows)]
    recipe = Recipe.read(data / "search")
    head, rows = domain_rows(domains, recipe, decision, MeasuredModels.read(data / "evaluate"))
    measured_in = "bits per byte" if decision.unit == "bits per byte" else "bits per byte, scores of tasks"
    title = f"{len(recipe.domains)} domains: weights in percent, {measured_in} on the test split (lower is better)"
    paragraphs.append(_titled(title, head, rows))
    if labels := [f"  {one.name}: {one.label}" for one in domains.domains if one.label != one.name]:
        paragraphs.append("\n".join(["Domains in their own script", *labels]))
    return "\n\n".join([*paragraphs, "\n".join(closing_sentences(decision, Forecast.read(data / "search")))])


def account_of(folder: Path) -> Account:
    """Return the account of a stage that counts documents.

    Raises:
        DataError: the stage has not run, or its manifest has none.
    """
    account = Manifest.read(folder).account
    if account is None:
        raise DataError(f"{folder}: its manifest has no account. Run that stage again with this version.")
    return account


def document_rows(ingested: Account, curated: Account, clustered: Account) -> tuple[Row, list[Row]]:
    """Return, with the head of its columns, what became of every record that came in."""
    dropped = sorted(curated.dropped.items(), key=lambda item: (-item[1].documents, item[0]))
    fates = [("kept", curated.kept), *((f"dropped: {name}", count) for name, count in dropped)]
    fates += [(f"quarantined: {name}", count) for name, count in sorted(ingested.quarantined.items())]
    fates += [(f"passed over: {name}", count) for name, count in sorted(ingested.dropped.items())]
    if (pruned := sum(clustered.dropped.values(), Count())).documents:
        fates.append(("kept, but of a cluster left out", pruned))
    total = ingested.taken.documents
    shares = [f"{count.documents / total:.1%}" if total else "-" for _, count in fates]
    rows: list[Row] = [
        (name.replace("_", " "), f"{count.documents:,}", size(count.bytes), share)
        for (name, count), share in zip(fates, shares, strict=True)
    ]
    return ("", "documents", "size", "share"), rows


def domain_rows(
    domains: Domains, recipe: Recipe, decision: Decision, measured: MeasuredModels
) -> tuple[Row, list[Row]]:
    """Return, with the head of its columns, weights and bits per byte of every mixture, per domain and over all."""
    weights = {name: recipe.weights(name) for name in recipe.mixtures}
    overall = measured.overall
    shown = [name for name in MIXTURES if name in overall]
    documents = {domain.name: domain.documents for domain in domains.domains}
    rows = [
        (
            name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 1]}…",
            f"{documents[name]:,}",
            *(f"{100 * column[index]:.1f}" for column in weights.values()),
            *(f"{decision.per_domain[name][mixture]:.4f}" for mixture in shown),
        )
        for index, name in enumerate(recipe.domains)
    ]
    means = (f"{overall[name]:.4f}" for name in shown)
    rows += [
        (name, "", *("" for _ in weights), *(f"{row[mixture]:.4f}" for mixture in shown))
        for name, row in decision.per_task.items()
    ]
    last = (
        "the objective" if decision.per_task else "all domains",
        f"{sum(documents.values()):,}",
        *("" for _ in weights),
        *means,
    )
    lower = "bpb" if decision.unit == "bits per byte" else "loss"
    return ("", "documents", *(f"{name} %" for name in weights), *(f"{name} {lower}" for name in shown)), [*rows, last]


def closing_sentences(decision: Decision, forecast: Forecast) -> tuple[str, ...]:
    """Return what was decided, and the forecast beside its outcome."""
    others = [
        decision.comparisons[name].statement
        for name in BASELINES
        if name in decision.comparisons and name != decision.baseline
    ]
    untested = (forecast.statement,) if decision.forecast is None else ()
    judged = (decision.forecasts_statement,) if decision.forecasts_statement else ()
    return decision.comparisons[decision.baseline].statement, *others, *untested, decision.forecast_statement, *judged


def _titled(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([title, *(f"  {line}" for line in text_table(head, rows))])
