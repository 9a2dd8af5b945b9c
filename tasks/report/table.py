"""The short table that ends a run in the terminal: plain data, and plain text of it."""

from dataclasses import dataclass
from pathlib import Path

from tasks.core.text_table import text_table
from tasks.mixture.published import MIXTURES
from tasks.pictures.marks import size
from tasks.report.config import ReportParams
from tasks.report.load import INPUTS, Story, read_story
from tasks.report.outcome import OVERALL

_NAME_WIDTH = 40


@dataclass(frozen=True)
class Table:
    """A title, column heads and rows of text; the first column is a name, the others are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def closing_table(data: Path) -> str:
    """Return the closing tables and sentences of a run as text, from `data` with one folder per stage.

    Raises:
        DataError: a stage has not run, or lacks a field.
    """
    bare = ReportParams(examples_per_reason=0, examples_per_domain=0, quarantined_shown=0)
    story = read_story({name: data / name for name in INPUTS}, bare)
    tables = [plain(table) for table in closing_tables(story)]
    return "\n\n".join([*tables, *_labels(story), "\n".join(closing_sentences(story))])


def closing_tables(story: Story) -> tuple[Table, ...]:
    """Return what became of the documents, and per domain the mixture and the bits per byte."""
    return _documents(story), _domains(story)


def closing_sentences(story: Story) -> tuple[str, ...]:
    """Return what was decided, and the forecast beside its outcome."""
    found, decision = story.evaluation, story.evaluation.decision
    others = [each.statement for name, each in found.comparisons.items() if name != decision.baseline]
    told = () if decision.forecast is not None else (story.forecast.statement,)
    return found.comparisons[decision.baseline].statement, *others, *told, decision.forecast_statement


def _labels(story: Story) -> list[str]:
    """Return what domains are called whose words are not ASCII, as one paragraph; none if there is none."""
    told = [f"  {domain.name}: {domain.label}" for domain in story.map.domains if domain.label != domain.name]
    return ["\n".join(["Domains in their own script", *told])] if told else []


def plain(table: Table) -> str:
    """Return a table as text: names to the left, numbers to the right."""
    lines = text_table(table.header, table.rows)
    return "\n".join([table.title, *(f"  {line}" for line in lines)])


def _documents(story: Story) -> Table:
    found = story.curation
    fates = [("kept", found.kept)]
    fates += [(f"dropped: {reason.name.replace('_', ' ')}", reason.count) for reason in found.reasons]
    fates += [(f"quarantined: {name.replace('_', ' ')}", count) for name, count in sorted(found.quarantined.items())]
    fates += [(f"passed over: {name.replace('_', ' ')}", count) for name, count in sorted(found.passed_over.items())]
    if story.map.pruned.documents:
        fates.append(("kept, but of a cluster left out", story.map.pruned))
    total = found.records.documents
    rows = [(name, f"{count.documents:,}", size(count.bytes), _share(count.documents, total)) for name, count in fates]
    return Table("Documents", ("", "documents", "size", "share"), tuple(rows))


def _domains(story: Story) -> Table:
    found = story.evaluation
    measured = [name for name in MIXTURES if name in found.means]
    weights = {name: story.recipe.weights(name) for name in story.recipe.mixtures}
    header = ("", "documents", *(f"{name} %" for name in weights), *(f"{name} bpb" for name in measured))
    rows = [
        (
            _short(domain.name),
            f"{domain.documents:,}",
            *(f"{100 * column[index]:.1f}" for column in weights.values()),
            *(f"{found.means[name][index]:.4f}" for name in measured),
        )
        for index, domain in enumerate(story.map.domains)
    ]
    documents = sum(domain.documents for domain in story.map.domains)
    means = [f"{found.overall[name]:.4f}" for name in measured]
    last = (OVERALL, f"{documents:,}", *("" for _ in weights), *means)
    title = f"{len(rows)} domains: weights in percent, bits per byte on the test split (lower is better)"
    return Table(title, header, (*rows, last))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"
