"""The driver of a comparison: every method searches, what it finds is trained beside the baselines, and all are measured.

Proxies go into the same store as those of every search, keyed by content: methods that ask for the same mixture with
the same seed share one run, and a comparison that is repeated with one more method measures only what is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tasks.comparison.config import BASELINES, ComparisonParams, Method
from tasks.comparison.page import MethodsContent, method_gains, render
from tasks.comparison.published import (
    TRAINED_FILE,
    ComparedMixture,
    ComparedMixtures,
    ComparedModel,
    ComparisonTable,
    trained_csv,
)
from tasks.comparison.table import NATURAL, gain_over, markdown, rows
from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.evaluation.measured import bits_per_byte_of, held_out_of
from tasks.evaluation.objective import task_losses
from tasks.evaluation.tasks.params import TaskSetParams
from tasks.evaluation.tasks.published import Scores, TaskItems
from tasks.evaluation.tasks.stage import GivenTask
from tasks.evaluation.tasks.stage import measured as measured_on_tasks
from tasks.evaluation.tasks.unit import TrainedModel
from tasks.mixture.asked import asked_tasks, known_by_content, tasks_of, unit_of
from tasks.mixture.config import SearchParams
from tasks.mixture.pool_problem import problem_of
from tasks.mixture.proxies.on_tasks import AskedTasks
from tasks.mixture.published import Recipe
from tasks.mixture.runs import RUNS_FILE, read_runs
from tasks.mixture.stage import READ, FinishedSearch, digests_read, searched
from tasks.pages.templating import PAGE
from tasks.pictures.canvas import standalone
from tasks.pictures.curves import curve_of
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageInput, StageRun, environment_over, stage_input
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE, read_losses
from tasks.training.recipes import PlannedRun
from tasks.training.runs.stage import require_worlds, train_all
from tasks.training.types import Phase, RunSpec
from tasks.training.unit import splits_of

STAGE = "methods"
# Search seeds are so far apart that no seed of one search (noise, confirmation) is a seed of another.
_SEED_STEP = 100


@dataclass(frozen=True)
class _Planned:
    """A mixture, and a run that trains on it."""

    mixture: ComparedMixture
    spec: RunSpec


def run(params: ComparisonParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Compare search methods with each other and with the baselines, by full training runs."""
    tokenized = stage_input(workshop, inputs, "tokenize")
    tasks = tasks_of(params.search)
    digests = digests_read(params.search, tokenized, tasks)
    gpus = max(workshop.gpus_per_process, workshop.gpus_per_trainer)
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=gpus)
    if (found := stage.unchanged()) is not None:
        return found
    splits = splits_of(params.training)
    read = tokenized.tree(*POOL_FILES, *(f"tokens/{split}/" for split in splits), TOKENIZER_FILE)
    held_out, pool = held_out_of(tokenized), read_pool(read.local(), *splits)
    asked = asked_tasks(params.search, tasks, read)
    baselines = _baselines(params, pool)
    # Before the first search: it would take hours to a run that cannot be made.
    require_worlds([one.spec for one in _planned(params, baselines)], workshop)
    searches = _searches(params, tokenized, known_by_content(params.search, tasks), asked, workshop)
    mixtures = ComparedMixtures(domains=pool.names, mixtures=(*baselines, *(mixture for mixture, _ in searches)))
    planned = _planned(params, mixtures.mixtures)
    records = train_all([PlannedRun(one.mixture.method, one.spec) for one in planned], read, None, workshop)
    models = _measured(params, held_out, read, tasks, list(zip(planned, records, strict=True)), workshop)
    trained = _models(params, planned, models.losses, pool)
    ours = params.methods[0].strategy.kind
    table = ComparisonTable(
        table=rows(trained, params.confidence),
        versus={other: gain_over(trained, ours, other, params.confidence) for other in _others(params)},
        unit=unit_of(params.search),
    )
    page = _page(params, stage, tokenized, table, mixtures, list(zip(planned, records, models.losses, strict=True)))
    return stage.publish(
        {**_published(mixtures, trained, table, searches), **models.files, PAGE: page},
        summary=table.model_dump(mode="json", exclude={"format"}),
        environment=environment_over(records),
    )


@dataclass(frozen=True)
class _Losses:
    """Every model's losses: bits per byte by domain, then the scores of tasks; and the files with all that tasks came to."""

    losses: Sequence[Mapping[str, float]]
    files: Mapping[str, Content] = field(default_factory=dict)


def _measured(
    params: ComparisonParams,
    held_out: Tree,
    read: Tree,
    tasks: Sequence[GivenTask],
    runs: Sequence[tuple[_Planned, UnitRecord]],
    workshop: Workshop,
) -> _Losses:
    """Return what the models measure on the test split, and on the items that no search looked at."""
    limit, records = params.test_tokens_per_domain, [record for _, record in runs]
    bpb = bits_per_byte_of(records, held_out, limit, workshop, label="methods: bits per byte")
    if not tasks:
        return _Losses(bpb)
    models = {
        one.spec.name: TrainedModel(record.file(CONFIG_FILE), record.file(WEIGHTS_FILE), read[TOKENIZER_FILE])
        for one, record in runs
    }
    on_tasks = measured_on_tasks(workshop, TaskSetParams(tasks=params.search.tasks), tasks, models)
    sets = [name for _, name in params.search.task_scores]
    losses = [{**own, **task_losses(sets, tasks, on_tasks, name)} for own, name in zip(bpb, models, strict=True)]
    return _Losses(losses, {Scores.FILE: on_tasks.scores, TaskItems.FILE: on_tasks.items})


def _searches(
    params: ComparisonParams,
    tokenized: StageInput,
    common: SearchParams,
    asked: AskedTasks | None,
    workshop: Workshop,
) -> list[tuple[ComparedMixture, FinishedSearch]]:
    """Return what every method found with every search seed, and that search."""
    done, pool_files = [], tokenized.tree(*READ)
    for number in range(params.num_search_seeds):
        for method in params.methods:
            kind = method.strategy.kind
            workshop.observer.say(f"methods: {kind}, search {number + 1} of {params.num_search_seeds}")
            search = searched(_search_of(common, method, number), pool_files, workshop, asked)
            folder = search.conclusion.folder
            found = ComparedMixture(
                method=kind,
                search=number,
                weights=Recipe.read(folder).searched,
                proxies=len(read_runs(folder / RUNS_FILE).rows),
            )
            done.append((found, search))
    return done


def _search_of(common: SearchParams, method: Method, number: int) -> SearchParams:
    """Return the params of one search: a method as released spends nothing on noise and confirmation."""
    released = {} if method.confirmed else {"confirm": None, "num_noise_seeds": 0}
    seed = common.seed + number * _SEED_STEP
    return common.model_copy(update={"strategy": method.strategy, "seed": seed, **released})


def _baselines(params: ComparisonParams, pool: TokenPool) -> list[ComparedMixture]:
    problem = problem_of(params.search, pool)
    weights = {NATURAL: problem.natural, "uniform": problem.uniform, "unimax": problem.unimax}
    return [
        ComparedMixture(method=name, search=None, weights=tuple(weights[name].tolist()), proxies=0)
        for name in BASELINES
    ]


def _planned(params: ComparisonParams, mixtures: Sequence[ComparedMixture]) -> list[_Planned]:
    """Return every mixture with every training seed."""
    training = params.training
    return [
        _Planned(
            mixture,
            RunSpec(
                f"{mixture.method}-seed{seed}"
                if mixture.search is None
                else f"{mixture.method}-search{mixture.search}-seed{seed}",
                (Phase(training.num_tokens, mixture.weights),),
                seed,
                training,
                params.search.max_epochs,
            ),
        )
        for mixture in mixtures
        for seed in range(params.training_seed, params.training_seed + params.num_training_seeds)
    ]


def _models(
    params: ComparisonParams, planned: Sequence[_Planned], losses: Sequence[Mapping[str, float]], pool: TokenPool
) -> list[ComparedModel]:
    problem = problem_of(params.search, pool)
    return [
        ComparedModel(
            method=one.mixture.method,
            search=one.mixture.search,
            seed=one.spec.seed,
            objective=float(problem.objective_S @ np.array([own[name] for name in problem.set_names])),
            proxies=one.mixture.proxies,
        )
        for one, own in zip(planned, losses, strict=True)
    ]


def _page(
    params: ComparisonParams,
    stage: StageRun,
    pool: StageInput,
    table: ComparisonTable,
    mixtures: ComparedMixtures,
    runs: Sequence[tuple[_Planned, UnitRecord, Mapping[str, float]]],
) -> str:
    methods = [row.method for row in table.table]
    own = {name: [each for each in runs if each[0].mixture.method == name] for name in methods}
    return render(
        MethodsContent(
            ours=params.methods[0].strategy.kind,
            confidence=params.confidence,
            training_seeds=params.num_training_seeds,
            table=table,
            mixtures=mixtures,
            losses={name: [losses for _, _, losses in each] for name, each in own.items()},
            tasks=tuple(name for _, name in params.search.task_scores),
            curves={
                name: curve_of(name, [read_losses(record.folder) for _, record, _ in each])
                for name, each in own.items()
            },
            pool=pool.manifest,
            own=stage.draft(),
            environment=environment_over([record for _, record, _ in runs]),
        )
    )


def _others(params: ComparisonParams) -> list[str]:
    """Return what the first method stands against: the baselines and the other methods."""
    return [*BASELINES, *(method.strategy.kind for method in params.methods[1:])]


def _published(
    mixtures: ComparedMixtures,
    trained: Sequence[ComparedModel],
    table: ComparisonTable,
    searches: Sequence[tuple[ComparedMixture, FinishedSearch]],
) -> dict[str, Content]:
    files: dict[str, Content] = {
        "table.md": markdown(table.table),
        TRAINED_FILE: trained_csv(trained),
        ComparedMixtures.FILE: mixtures,
        ComparisonTable.FILE: table,
        "methods.svg": standalone(method_gains(table)),
    }
    for mixture, search in searches:
        for file in search.conclusion.tree:
            files[f"searches/{mixture.method}-{mixture.search}/{file.name}"] = file
    return files
