"""What the stage finds out about task items in what its models were trained on: units, and what is published of them.

Axes: I items, R runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.core.handles import Tree
from tasks.core.tables import read_table
from tasks.curate.decontaminate.params import NgramParams
from tasks.evaluation.config import ContaminationParams
from tasks.evaluation.contamination import (
    FEWEST_DOMAINS,
    FEWEST_ITEMS,
    Floats,
    exposure_groups,
    slope_across_runs,
    slope_over_items,
    split_scores,
)
from tasks.evaluation.hits import (
    TOKENS_PER_UNIT,
    IndexArgs,
    PlantedArgs,
    SearchArgs,
    Searched,
    TaskFile,
    hold,
    index_items,
    search_documents,
    search_planted,
    searched_of,
)
from tasks.evaluation.item_exposure import EXPOSURE, ExposureArgs, FoundIn, FoundPlanted, expose_items
from tasks.evaluation.published import MeasuredModel
from tasks.evaluation.published_contamination import (
    ContaminatedModel,
    ContaminatedTask,
    Contamination,
    DomainExposure,
    Estimate,
    FoundItem,
    FoundItems,
    ItemExposure,
)
from tasks.evaluation.tasks.kinds import method
from tasks.evaluation.tasks.stage import GivenTask, MeasuredTasks
from tasks.evaluation.trained import Trained
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step
from tasks.tokenize.pool import POOL_FILES
from tasks.tokenize.prefixed import METADATA
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.planted.published import PlantedPlan
from tasks.training.rows import SPLIT

INDEX = Step("evaluate.item_ngrams", "evaluate: n-grams of task items", index_items)
SEARCH = Step(
    "evaluate.item_search", "evaluate: task items in documents", search_documents, hold=Hold(searched_of, hold)
)
SEARCH_PLANTED = Step(
    "evaluate.planted_search", "evaluate: task items in planted texts", search_planted, hold=Hold(searched_of, hold)
)
EXPOSE = Step("evaluate.item_exposure", "evaluate: exposure to task items", expose_items)


@dataclass(frozen=True)
class _Exposed:
    """What one run trained on of the items of a task, a row for each item (see `item_exposure`)."""

    table: pa.Table

    def numbers(self, column: str) -> Floats:
        return np.asarray(self.table[column].to_numpy(), dtype=np.float64)

    def contaminated(self, min_hits: int) -> "np.ndarray":
        return self.numbers("ngrams_seen") >= min_hits

    def items(self) -> list[ItemExposure | None]:
        return [ItemExposure.model_validate(row) if row["ngrams_seen"] else None for row in self.table.to_pylist()]


def contamination(
    workshop: Workshop,
    params: ContaminationParams,
    tasks: Sequence[GivenTask],
    trained: Trained,
    models: Sequence[MeasuredModel],
    on_tasks: MeasuredTasks,
    confidence: float,
) -> tuple[Contamination, FoundItems, list[UnitRecord]]:
    """Return which items each run trained on, and its scores with and without them; `models` are in the order of runs."""
    lengths = NgramParams(ngram_words=params.ngram_words, whole_text_words=params.whole_text_words)
    asked = tuple(TaskFile(task.file, task.params.task) for task in tasks)
    index = INDEX.one(workshop, IndexArgs(asked, lengths))
    pool = trained.splits.under(*POOL_FILES, f"tokens/{SPLIT}/", METADATA)
    searched_by = Searched(trained.tokenizer, TokenPoolIndex.read(pool.local()).document_end, index.tree)
    units = _units(pool, searched_by)
    searched = SEARCH.map(workshop, [unit for _, unit in units])
    found = tuple(FoundIn(domain, record.tree) for (domain, _), record in zip(units, searched, strict=True))
    planted = _planted(trained, searched_by, workshop)
    exposed = EXPOSE.map(workshop, _exposure_args(trained, pool, index.tree, found, planted, params.common_documents))
    by_run = {run.name: _by_task(tasks, record) for run, record in zip(trained.runs, exposed, strict=True)}
    told = tuple(
        ContaminatedModel(
            model=run.name,
            common_ngrams=record.summary["common_ngrams"],
            tasks={
                task.params.name: _task(task, on_tasks, run.name, by_run[run.name], params.min_hits, confidence)
                for task in tasks
            },
        )
        for run, record in zip(trained.runs, exposed, strict=True)
    )
    domains = _domains(trained, models)
    contract = Contamination(
        confidence=confidence,
        ngram_words=params.ngram_words,
        whole_text_words=params.whole_text_words,
        min_hits=params.min_hits,
        common_documents=params.common_documents,
        documents=sum(record.summary["documents"] for record in searched),
        documents_hit=sum(record.summary["documents_hit"] for record in searched),
        models=told,
        tasks_across_models={task.params.name: _across(task, on_tasks, by_run, confidence) for task in tasks},
        domains=domains,
        domains_across_models=_across_domains(domains, confidence),
    )
    items = FoundItems(tasks={task.params.name: _found_items(task, by_run) for task in tasks})
    return contract, items, [index, *searched, *exposed]


def _units(pool: Tree, searched_by: Searched) -> list[tuple[int, SearchArgs]]:
    """Return the parts of every domain's documents, with the domain's place in the pool."""
    known, found = TokenPoolIndex.read(pool.local()), []
    for domain in known.domains:
        split = domain.splits[SPLIT]
        tokens = pool.under(split.file, split.starts)
        parts = range(-(-split.tokens // TOKENS_PER_UNIT))
        found += [(domain.index, SearchArgs(searched_by, tokens, split, known.token_bits, part)) for part in parts]
    return found


def _planted(trained: Trained, searched_by: Searched, workshop: Workshop) -> dict[str, FoundPlanted]:
    """Return what was found in the texts that were planted into runs, by run."""
    plans = {
        run.name: trained.files[f"{run.folder}/{PlantedPlan.FILE}"] for run in trained.runs if run.planted is not None
    }
    records = SEARCH_PLANTED.map(workshop, [PlantedArgs(searched_by, plan) for plan in plans.values()])
    return {name: FoundPlanted(plan, record.tree) for (name, plan), record in zip(plans.items(), records, strict=True)}


def _exposure_args(
    trained: Trained,
    pool: Tree,
    index: Tree,
    found: tuple[FoundIn, ...],
    planted: Mapping[str, FoundPlanted],
    common_documents: int | None,
) -> list[ExposureArgs]:
    specs, domains = trained.specs(), trained.recipe.domains
    consumed = [tuple(run.consumed[name].samples for name in domains) for run in trained.runs]
    return [
        ExposureArgs(specs[run.name], samples, pool, index, found, planted.get(run.name), common_documents)
        for run, samples in zip(trained.runs, consumed, strict=True)
    ]


def _by_task(tasks: Sequence[GivenTask], record: UnitRecord) -> dict[str, _Exposed]:
    """Return what a run trained on of each task's items: they stand in the table task by task."""
    table, first, found = read_table(record.file(EXPOSURE).local(), stage="evaluate"), 0, {}
    for task in tasks:
        found[task.params.name] = _Exposed(table.slice(first, len(task.items)))
        first += len(task.items)
    return found


def _task(
    task: GivenTask,
    on_tasks: MeasuredTasks,
    model: str,
    exposed: Mapping[str, _Exposed],
    min_hits: int,
    confidence: float,
) -> ContaminatedTask:
    name, config, own = task.params.name, task.params.task, exposed[task.params.name]
    every = on_tasks.by_item[model, name]
    answered = np.flatnonzero([one is not None for one in every])
    scored = [one for one in every if one is not None]
    exposure_I, primary = own.numbers("exposure")[answered], method(config).primary
    contaminated_I = own.contaminated(min_hits)[answered]
    values_I = np.array([one.values[primary] for one in scored], dtype=np.float64)
    return ContaminatedTask(
        items=len(scored),
        not_looked_for=int((own.numbers("ngrams")[answered] == 0).sum()),
        contaminated=int(contaminated_I.sum()),
        primary=primary,
        scores=split_scores(name, config, scored, contaminated_I, confidence),
        exposures=exposure_groups(name, config, scored, exposure_I),
        slope=slope_over_items(exposure_I, values_I, confidence),
    )


def _across(
    task: GivenTask, on_tasks: MeasuredTasks, by_run: Mapping[str, Mapping[str, _Exposed]], confidence: float
) -> Estimate | None:
    """Return the slope of a task's primary score within items, from run to run; of items that all models answered."""
    name, primary = task.params.name, method(task.params.task).primary
    columns = [on_tasks.by_item[run, name] for run in by_run]
    rows = [(number, each) for number, each in enumerate(zip(*columns, strict=True)) if None not in each]
    places = [number for number, _ in rows]
    values_IR = np.array([[one.values[primary] for one in each if one is not None] for _, each in rows]).reshape(
        len(rows), len(columns)
    )
    exposure_IR = np.stack([exposed[name].numbers("exposure")[places] for exposed in by_run.values()], axis=1)
    return slope_across_runs(exposure_IR, values_IR, FEWEST_ITEMS, confidence)


def _domains(trained: Trained, models: Sequence[MeasuredModel]) -> dict[str, dict[str, DomainExposure]]:
    return {
        domain: {
            run.name: DomainExposure(epochs=run.consumed[domain].epochs, bits_per_byte=model.bpb[domain])
            for run, model in zip(trained.runs, models, strict=True)
        }
        for domain in trained.recipe.domains
    }


def _across_domains(domains: Mapping[str, Mapping[str, DomainExposure]], confidence: float) -> Estimate | None:
    epochs_DR, bpb_DR = (
        np.array([[getattr(one, field) for one in by_run.values()] for by_run in domains.values()], dtype=np.float64)
        for field in ("epochs", "bits_per_byte")
    )
    return slope_across_runs(epochs_DR, bpb_DR, FEWEST_DOMAINS, confidence)


def _found_items(task: GivenTask, by_run: Mapping[str, Mapping[str, _Exposed]]) -> tuple[FoundItem, ...]:
    columns, found = [exposed[task.params.name].items() for exposed in by_run.values()], []
    for item, *row in zip(task.items, *columns, strict=True):
        if models := {run: one for run, one in zip(by_run, row, strict=True) if one is not None}:
            found.append(FoundItem(id=item.id, line=item.line, models=models))
    return tuple(found)
