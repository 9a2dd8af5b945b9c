"""What a run or a stage's folder cost: when it was made, and what of that was spent for this very folder.

Prices are settings (`MIXWRIGHT_PRICES__CPU_HOUR`, `..._GPU_HOUR`, `..._CURRENCY`) or options; without them no money is told.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from cli.folder import run_folder
from cli.options import json_option
from infra.settings import PriceSettings, load_settings
from infra.storage import Store
from infra.stores import store_of
from tasks.core.errors import DataError
from tasks.core.manifest import MANIFEST, Manifest
from tasks.core.once import Once
from tasks.core.params import validate
from tasks.core.text_table import text_table
from tasks.ingest.published.sources import Sources
from tasks.runtime.asked import Asked
from tasks.runtime.command import exit_codes
from tasks.runtime.costs import (
    Amount,
    Attempt,
    Cost,
    StepCosts,
    asked_for,
    attempts_for,
    stage_costs,
    stage_of,
    total,
)
from tasks.stages import NAMES

# The stages whose work is on documents of one source or another.
_OF_SOURCES = ("ingest", "curate")
_HEAD = (
    *("step", "units", "found", "documents", "tokens", "requests", "tokens in", "tokens out", "requests here"),
    *("tokens here", "CPU s", "GPU s", "busy s", "CPU s here", "GPU s here"),
)
# Columns of whole numbers, which stand before the seconds.
_COUNTS = 9
_ENDS = {"failed": "failed", "stopped": "stopped", "under way": "killed or still under way"}


@dataclass(frozen=True)
class StepRow:
    """A step of a stage: what its units cost when they were made, and what of that was spent `here`, for this folder.

    `found` units were there before. `asked` is what endpoints were asked, `asked_here` what of that was paid for this
    folder. Without `units` and `asked` nothing of the step is in what was published: its units did not finish, or are of
    other params.
    """

    label: str
    units: int
    found: int
    amount: Amount
    made: Cost
    here: Cost
    lost: Cost
    lost_attempts: int
    unknown: int = 0
    asked: Asked = Asked()  # noqa: RUF009 (frozen)
    asked_here: Asked = Asked()  # noqa: RUF009 (frozen)


@dataclass(frozen=True)
class StageTable:
    """The steps of a stage; `known` is False where what it published was made before costs were measured, or elsewhere."""

    stage: str
    known: bool
    rows: tuple[StepRow, ...]
    ends: Mapping[str, int]

    @property
    def made(self) -> Cost:
        """What all steps cost together."""
        return sum((row.made for row in self.rows), Cost())

    @property
    def here(self) -> Cost:
        """What all steps cost for this folder."""
        return sum((row.here for row in self.rows), Cost())


@click.command(cls=Once)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--cpu-hour", type=click.FloatRange(min=0), help="What an hour of a CPU costs, instead of the setting.")
@click.option("--gpu-hour", type=click.FloatRange(min=0), help="What an hour of a GPU costs, instead of the setting.")
@click.option("--currency", help="Of both.")
@json_option
def costs(
    folder: Path | None, cpu_hour: float | None, gpu_hour: float | None, currency: str | None, as_json: bool
) -> None:
    """Tell what a run or a stage's folder cost: CPU and GPU seconds, tokens, and money, by step.

    FOLDER is a run's workspace, a clone at a version, or what one stage published; default: the newest run.
    """
    with exit_codes():
        settings = load_settings()
        given = {"cpu_hour": cpu_hour, "gpu_hour": gpu_hour, "currency": currency}
        changes = {name: value for name, value in given.items() if value is not None}
        prices = validate(PriceSettings, settings.prices.model_dump() | changes, "prices")
        store = store_of(settings)
        folders = _stage_folders(store, folder)
        tables = [found for name, path in folders.items() if (found := stage_table(store, name, path)) is not None]
        if not tables:
            raise DataError(f"{folder or run_folder(None).path}: no stage has begun here.")
        datasets = by_dataset(tables, folders)
        click.echo(json.dumps(as_values(tables, datasets, prices)) if as_json else _text(tables, datasets, prices))


def _stage_folders(store: Store, folder: Path | None) -> dict[str, Path]:
    """Return the folders of stages by name: the one that is given, published or not yet, or those of the run."""
    if folder is not None and (folder / MANIFEST).is_file():
        return {Manifest.read(folder).stage: folder}
    output = None if folder is None else str(folder.absolute())
    if folder is not None and output is not None and (begun := attempts_for(store, output)):
        # The name of a step begins with that of the stage whose work it is, which may be another's: arms are measured.
        return {stage_of(store, output) or min(begun).partition(".")[0]: folder}
    run = run_folder(folder)
    return {name: run.stage(name) for name in NAMES}


def stage_table(store: Store, stage: str, folder: Path) -> StageTable | None:
    """Return what a stage cost; None where it never began."""
    manifest = Manifest.read(folder) if (folder / MANIFEST).is_file() else None
    noted = None if manifest is None else stage_costs(store, stage, manifest.key)
    own = attempts_for(store, str(folder.absolute()))
    if manifest is None and not own:
        return None
    paid = asked_for(store, str(folder.absolute()))
    rows = [_row(step, own.get(step.step, ()), paid.pop(step.label, Asked())) for step in noted or ()]
    used = {step.step: {*step.keys} for step in noted or ()}
    for step, attempts in own.items():
        if unused := [one for one in attempts if one.key not in used.get(step, ())]:
            rows.append(_unused(f"{step}, not in what is published", unused))
    rows += [_unused(f"{label}, not in what is published", (), asked) for label, asked in paid.items()]
    ended = [one.state for attempts in own.values() for one in attempts if one.state != "finished"]
    known = noted is not None or manifest is None
    return StageTable(stage, known, tuple(rows), {end: ended.count(end) for end in {*ended}})


def _row(step: StepCosts, own: Sequence[Attempt], asked_here: Asked) -> StepRow:
    paid = [one for one in own if one.key in {*step.keys}]
    found = len({*step.keys} - {one.key for one in paid})
    return StepRow(
        step.label,
        len(step.keys),
        found,
        step.amount,
        step.cost,
        total(paid),
        step.lost,
        step.lost_attempts,
        step.unknown,
        step.asked,
        asked_here,
    )


def _unused(label: str, attempts: Sequence[Attempt], asked: Asked = Asked()) -> StepRow:  # noqa: B008 (frozen)
    lost = [one for one in attempts if one.state != "finished"]
    return StepRow(label, 0, 0, Amount(), total(attempts), total(attempts), total(lost), len(lost), 0, asked, asked)


def by_dataset(tables: Iterable[StageTable], folders: Mapping[str, Path]) -> dict[str, Cost]:
    """Return what the stages of documents cost by source: of each stage the share of the bytes that came of it."""
    if not (folders.get("ingest", Path()) / Sources.FILE).is_file():
        return {}
    sources = Sources.read(folders["ingest"]).sources
    bytes_in = sum(count.bytes for count in sources.values())
    whole = sum((table.made for table in tables if table.stage in _OF_SOURCES), Cost())
    return {name: _share(whole, count.bytes / bytes_in) for name, count in sources.items()} if bytes_in else {}


def _share(cost: Cost, share: float) -> Cost:
    return Cost(cost.cpu_s * share, cost.busy_s * share, cost.gpu_s * share)


def as_values(tables: Sequence[StageTable], datasets: Mapping[str, Cost], prices: PriceSettings) -> dict[str, Any]:
    """Return the tables as a JSON value."""

    def priced(cost: Cost) -> dict[str, Any]:
        return {**asdict(cost), "money": prices.money(cost.cpu_s, cost.gpu_s)}

    def step(row: StepRow) -> dict[str, Any]:
        return {**asdict(row), "made": priced(row.made), "here": priced(row.here), "lost": priced(row.lost)}

    return {
        "prices": prices.model_dump(),
        "stages": [
            {
                "stage": table.stage,
                "known": table.known,
                "made": priced(table.made),
                "here": priced(table.here),
                "not_finished": dict(table.ends),
                "steps": list(map(step, table.rows)),
            }
            for table in tables
        ],
        "datasets": {name: priced(cost) for name, cost in datasets.items()},
        "made": priced(_sum(table.made for table in tables)),
        "here": priced(_sum(table.here for table in tables)),
    }


def _text(tables: Sequence[StageTable], datasets: Mapping[str, Cost], prices: PriceSettings) -> str:
    """Return the tables as people read them; money stands in a column of its own, where there are prices."""
    priced = prices.cpu_hour is not None or prices.gpu_hour is not None
    currency = (prices.currency,) if priced else ()

    def money(cost: Cost) -> tuple[str, ...]:
        return (_money(prices, cost),) if priced else ()

    made, here = _sum(table.made for table in tables), _sum(table.here for table in tables)
    lines = [line for table in tables for line in _stage_lines(table)]
    lines.append((("all", *[""] * _COUNTS), made, here))
    rows = [(*cells, *_seconds(cost, busy=True), *_seconds(spent), *money(cost)) for cells, cost, spent in lines]
    text = text_table(*_without_empty((*_HEAD, *currency), rows))
    if datasets:
        shares = [(name, *_seconds(cost), *money(cost)) for name, cost in datasets.items()]
        text += [
            "",
            *text_table(("ingest and curate by dataset (shares of bytes)", "CPU s", "GPU s", *currency), shares),
        ]
    return "\n".join([*text, "", *_sentences(tables)])


def _without_empty(head: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns that hold anything: without a GPU none is told of it."""
    chosen = [number for number in range(len(head)) if any(row[number] for row in rows)]
    return [head[number] for number in chosen], [[row[number] for number in chosen] for row in rows]


def _stage_lines(table: StageTable) -> Iterator[tuple[tuple[str, ...], Cost, Cost]]:
    """Yield, for a stage and each of its steps, what stands before the costs, and the costs."""
    yield (table.stage, *[""] * _COUNTS), table.made, table.here
    for row in table.rows:
        asked, here = row.asked, row.asked_here
        of_endpoints = (asked.requests, asked.input_tokens, asked.output_tokens, here.requests)
        tokens_here = here.input_tokens + here.output_tokens
        units = (row.units, row.found, row.amount.documents, row.amount.tokens)
        counts = map(_count, (*units, *of_endpoints, tokens_here))
        yield (f"  {row.label.removeprefix(f'{table.stage}: ')}", *counts), row.made, row.here


def _sentences(tables: Sequence[StageTable]) -> Iterator[str]:
    """Yield what a reader of the numbers must know."""
    yield (
        "CPU s, GPU s (a share of a GPU x seconds), busy s (of workers): what the work cost when made, every attempt.\n"
        "`here`: what of that was spent for this folder, where units that were found cost nothing."
    )
    if any(row.asked.requests for table in tables for row in table.rows):
        yield (
            "requests, tokens in, tokens out: what endpoints were asked for this, whenever it was; `requests here`, `tokens "
            "here`: what of\nthat was paid for this folder. The rest was answered before and kept."
        )
    for table in tables:
        if lost := sum(row.lost_attempts for row in table.rows):
            ends = ", ".join(f"{number} {_ENDS[end]}" for end, number in sorted(table.ends.items()))
            cost = _sum(row.lost for row in table.rows)
            yield (
                f"{table.stage}: {lost} attempts did not finish{f' (here: {ends})' if ends else ''}; they cost "
                f"{cost.cpu_s:,.1f} CPU s, counted above. Of a killed one the last seconds are not known."
            )
        if unknown := sum(row.unknown for row in table.rows):
            yield f"{table.stage}: what {unknown} units cost is not known: an earlier version made them, or another machine."
        if not table.known:
            yield f"{table.stage}: what it cost is not known here: an earlier version made it, or another machine."


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())


def _seconds(cost: Cost, *, busy: bool = False) -> tuple[str, ...]:
    numbers = (cost.cpu_s, cost.gpu_s, cost.busy_s) if busy else (cost.cpu_s, cost.gpu_s)
    return tuple(f"{number:,.1f}" if number else "" for number in numbers)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _money(prices: PriceSettings, cost: Cost) -> str:
    found = prices.money(cost.cpu_s, cost.gpu_s)
    return "not told" if found is None else f"{found:,.2f}" if found >= 1 else f"{found:.3g}"
