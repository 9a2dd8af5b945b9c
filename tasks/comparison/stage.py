"""The driver of a comparison: every method searches, what it finds is trained beside the baselines, and all are measured.

Proxies go into the same store as those of every search, keyed by content: methods that ask for the same mixture with
the same seed share one run, and a comparison that is repeated with one more method measures only what is new.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks.comparison.config import BASELINES, ComparisonParams, Method
from tasks.comparison.picture import methods
from tasks.comparison.published import (
    TRAINED_FILE,
    ComparedMixture,
    ComparedMixtures,
    ComparedModel,
    ComparisonTable,
    trained_csv,
)
from tasks.comparison.table import NATURAL, gain_over, markdown, rows
from tasks.comparison.unit import ComparedRunArgs, TestLosses, train_and_test
from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.mixture.config import SearchParams
from tasks.mixture.pool_problem import problem_of
from tasks.mixture.published import Recipe
from tasks.mixture.runs import RUNS_FILE, read_runs
from tasks.mixture.stage import READ, FinishedSearch, digests_read, searched
from tasks.pictures.canvas import standalone
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageInput, StageRun, environment_over, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool

STAGE = "methods"


def tokens_trained(args: ComparedRunArgs) -> int:
    """Return the tokens that a run trains on."""
    return args.training.num_tokens


RUN = Step("methods.run", "methods: training", train_and_test, tokens=tokens_trained)
# Search seeds are so far apart that no seed of one search (noise, confirmation) is a seed of another.
_SEED_STEP = 100


def run(params: ComparisonParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Compare search methods with each other and with the baselines, by full training runs."""
    tokenized = stage_input(workshop, inputs, "tokenize")
    digests = digests_read(params.search, tokenized)
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_process)
    if (found := stage.unchanged()) is not None:
        return found
    pool_files = tokenized.tree(*POOL_FILES, "tokens/")
    pool = read_pool(pool_files.local())
    searches = _searches(params, tokenized, workshop)
    mixtures = [*_baselines(params, pool), *(mixture for mixture, _ in searches)]
    trained, records = _trained(params, mixtures, pool, pool_files, workshop)
    ours = params.methods[0].strategy.kind
    table = ComparisonTable(
        table=rows(trained, params.confidence),
        versus={other: gain_over(trained, ours, other, params.confidence) for other in _others(params)},
    )
    return stage.publish(
        _published(ComparedMixtures(domains=pool.names, mixtures=tuple(mixtures)), trained, table, searches),
        summary=table.model_dump(mode="json", exclude={"format"}),
        environment=environment_over(records),
    )


def _searches(
    params: ComparisonParams, tokenized: StageInput, workshop: Workshop
) -> list[tuple[ComparedMixture, FinishedSearch]]:
    """Return what every method found with every search seed, and that search."""
    done, pool_files = [], tokenized.tree(*READ)
    for number in range(params.num_search_seeds):
        for method in params.methods:
            kind = method.strategy.kind
            workshop.observer.say(f"methods: {kind}, search {number + 1} of {params.num_search_seeds}")
            search = searched(_search_of(params, method, number), pool_files, workshop)
            folder = search.conclusion.folder
            found = ComparedMixture(
                method=kind,
                search=number,
                weights=Recipe.read(folder).searched,
                proxies=len(read_runs(folder / RUNS_FILE).rows),
            )
            done.append((found, search))
    return done


def _search_of(params: ComparisonParams, method: Method, number: int) -> SearchParams:
    """Return the params of one search: a method as released spends nothing on noise and confirmation."""
    released = {} if method.confirmed else {"confirm": None, "num_noise_seeds": 0}
    seed = params.search.seed + number * _SEED_STEP
    return params.search.model_copy(update={"strategy": method.strategy, "seed": seed, **released})


def _baselines(params: ComparisonParams, pool: TokenPool) -> list[ComparedMixture]:
    problem = problem_of(params.search, pool)
    weights = {NATURAL: problem.natural, "uniform": problem.uniform, "unimax": problem.unimax}
    return [
        ComparedMixture(method=name, search=None, weights=tuple(weights[name].tolist()), proxies=0)
        for name in BASELINES
    ]


def _trained(
    params: ComparisonParams,
    mixtures: Sequence[ComparedMixture],
    pool: TokenPool,
    pool_files: Tree,
    workshop: Workshop,
) -> tuple[list[ComparedModel], list[UnitRecord]]:
    """Train every mixture with every seed and measure it on the test split; what is the same run is made once."""
    seeds = range(params.training_seed, params.training_seed + params.num_training_seeds)
    planned = [(mixture, seed) for mixture in mixtures for seed in seeds]
    tokens = params.test_tokens_per_domain
    records = RUN.map(
        workshop,
        [
            ComparedRunArgs(mixture.weights, seed, params.training, params.search.max_epochs, pool_files, tokens)
            for mixture, seed in planned
        ],
    )
    shares_S = problem_of(params.search, pool).objective_S
    trained = [
        ComparedModel(
            method=mixture.method,
            search=mixture.search,
            seed=seed,
            objective=float(shares_S @ np.array(TestLosses.read(record.folder).bpb)),
            proxies=mixture.proxies,
        )
        for (mixture, seed), record in zip(planned, records, strict=True)
    ]
    return trained, records


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
        "methods.svg": standalone(methods(table.table)),
    }
    for mixture, search in searches:
        for file in search.conclusion.tree:
            files[f"searches/{mixture.method}-{mixture.search}/{file.name}"] = file
    return files
