"""The driver of a comparison: every method searches, what it finds is trained beside the baselines, and all are measured.

Proxies go into the same store as those of every search, keyed by content: methods that ask for the same mixture with
the same seed share one run, and a comparison that is repeated with one more method measures only what is new.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

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
from tasks.core.digest import digest_code, digest_file
from tasks.core.manifest import FileRecord, Manifest, stage_key
from tasks.core.published import Published
from tasks.core.stage import (
    Placement,
    UnitRecord,
    UnitResult,
    Workshop,
    float_environment,
    map_units,
    publish,
    stage_input,
    unchanged,
)
from tasks.mixture.config import SearchParams
from tasks.mixture.published import Recipe
from tasks.mixture.runs import RUNS_FILE, read_runs
from tasks.mixture.stage import CODE as SEARCH_CODE
from tasks.mixture.stage import identity, problem_of, searched
from tasks.pictures.canvas import standalone
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.training.config import TrainingConfig
from tasks.training.types import Phase, RunSpec

STAGE = "methods"
CODE = ("tasks.comparison", *SEARCH_CODE, "tasks.pictures")
RUN_CODE = ("tasks.core", "tasks.tokenize", "tasks.training")
# Search seeds are so far apart that no seed of one search (noise, confirmation) is a seed of another.
_SEED_STEP = 100


class TestLosses(Published):
    """What a trained model measured on the test split, bits per byte per domain."""

    FILE: ClassVar[str] = "bpb.json"

    format: Literal[1] = 1
    bpb: tuple[float, ...]


@dataclass(frozen=True)
class _RunArgs:
    spec: RunSpec
    pool: Path
    test_tokens_per_domain: int | None


def run(params: ComparisonParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Compare search methods with each other and with the baselines, by full training runs."""
    folder = inputs["tokenize"]
    digests, values = identity(params.search, folder), params.model_dump(mode="json")
    code = digest_code(CODE)
    if (done := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code)) is not None:
        workshop.observer.say("methods: unchanged (same inputs, params and code), taken as it is")
        return done
    pool = read_pool(stage_input(inputs, "tokenize").verified(*POOL_FILES, "tokens/"))
    searches = _searches(params, folder, workshop)
    found = [*_baselines(params, pool), *(each for each, _ in searches)]
    trained = _trained(params, found, pool, folder, digests["tokenize"], workshop)
    ours = params.methods[0].strategy.kind
    table = ComparisonTable(
        table=rows(trained, params.confidence),
        versus={other: gain_over(trained, ours, other, params.confidence) for other in _others(params)},
    )
    mixtures = ComparedMixtures(domains=pool.names, mixtures=tuple(found))
    with tempfile.TemporaryDirectory() as scratch:
        files = _written(Path(scratch), mixtures, trained, table)
        for each, record in searches:
            files |= {
                f"searches/{each.method}-{each.search}/{file.path}": record.file(file.path) for file in record.files
            }
        return publish(
            output,
            files,
            lambda records: Manifest(
                STAGE,
                digests,
                values,
                code,
                records,
                summary=table.model_dump(mode="json", exclude={"format"}),
                environment=float_environment(),
            ),
        )


def _searches(params: ComparisonParams, pool: Path, workshop: Workshop) -> list[tuple[ComparedMixture, UnitRecord]]:
    """Return what every method found with every search seed, and the record of that search."""
    done = []
    for number in range(params.num_search_seeds):
        for method in params.methods:
            kind = method.strategy.kind
            workshop.observer.say(f"methods: {kind}, search {number + 1} of {params.num_search_seeds}")
            record = searched(_search_of(params, method, number), pool, workshop)
            found = ComparedMixture(
                method=kind,
                search=number,
                weights=Recipe.read(record.folder).searched,
                proxies=len(read_runs(record.folder / RUNS_FILE).rows),
            )
            done.append((found, record))
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
    found: Sequence[ComparedMixture],
    pool: TokenPool,
    folder: Path,
    digest: str,
    workshop: Workshop,
) -> list[ComparedModel]:
    """Train every mixture with every seed and measure it on the test split; what is the same run is made once."""
    seeds = range(params.training_seed, params.training_seed + params.num_training_seeds)
    runs = [(each, seed) for each in found for seed in seeds]
    args = [
        _RunArgs(_spec(each.weights, seed, params.training, params.search), folder, params.test_tokens_per_domain)
        for each, seed in runs
    ]
    keys = [_key(each, digest) for each in args]
    units = dict(zip(keys, args, strict=True))
    order = list(units)
    records = map_units(
        workshop, stage=STAGE, label="methods: training", work=_work, units=list(units.items()), packages=RUN_CODE
    )
    shares_S = problem_of(params.search, pool).objective_S
    objectives = [float(shares_S @ np.array(TestLosses.read(record.folder).bpb)) for record in records]
    return [
        ComparedModel(
            method=each.method,
            search=each.search,
            seed=seed,
            objective=objectives[order.index(key)],
            proxies=each.proxies,
        )
        for (each, seed), key in zip(runs, keys, strict=True)
    ]


def _spec(weights: tuple[float, ...], seed: int, training: TrainingConfig, search: SearchParams) -> RunSpec:
    return RunSpec("comparison", (Phase(training.num_tokens, weights),), seed, training, search.max_epochs)


def _key(args: _RunArgs, pool_digest: str) -> str:
    params = {
        "phases": [[phase.num_tokens, list(phase.weights)] for phase in args.spec.phases],
        "seed": args.spec.seed,
        "training": args.spec.training.model_dump(mode="json"),
        "max_epochs": args.spec.max_epochs,
        "test_tokens_per_domain": args.test_tokens_per_domain,
    }
    return stage_key(f"{STAGE}.run", {"tokenize": pool_digest}, params, digest_code((*RUN_CODE, "tasks.comparison")))


def _work(args: _RunArgs, folder: Path) -> UnitResult:
    from tasks.training.measure import bits_per_byte
    from tasks.training.run import train

    pool = read_pool(args.pool)
    bpb = bits_per_byte(train(args.spec, pool).model, pool, "test", args.test_tokens_per_domain)
    TestLosses(bpb=tuple(bpb[name] for name in pool.names)).write(folder)
    return UnitResult()


def _others(params: ComparisonParams) -> list[str]:
    """Return what the first method stands against: the baselines and the other methods."""
    return [*BASELINES, *(method.strategy.kind for method in params.methods[1:])]


def _written(
    scratch: Path, mixtures: ComparedMixtures, trained: Sequence[ComparedModel], table: ComparisonTable
) -> dict[str, Placement]:
    texts = {
        "table.md": markdown(table.table),
        TRAINED_FILE: trained_csv(trained),
        ComparedMixtures.FILE: mixtures.text(),
        ComparisonTable.FILE: table.text(),
        "methods.svg": standalone(methods(table.table)),
    }
    for name, text in texts.items():
        (scratch / name).write_text(text, encoding="utf-8")
    paths = {name: scratch / name for name in texts}
    return {
        name: Placement(path, FileRecord(name, digest_file(path), path.stat().st_size)) for name, path in paths.items()
    }
