"""The driver of a comparison: every method searches, what it finds is trained beside the baselines, and all are measured.

Proxies go into the same store as those of every search, keyed by content: methods that ask for the same mixture with
the same seed share one run, and a comparison that is repeated with one more method measures only what is new.
"""

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from tasks.comparison.config import BASELINES, ComparisonParams, Method
from tasks.comparison.table import NATURAL, Row, Trained, differences, interval, markdown, rows
from tasks.core.digest import digest_code, digest_file
from tasks.core.manifest import FileRecord, Manifest, stage_key
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
from tasks.mixture.stage import CODE as SEARCH_CODE
from tasks.mixture.stage import identity, problem_of, searched
from tasks.report.canvas import standalone
from tasks.report.search_plots import methods as picture
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.training.config import TrainingConfig
from tasks.training.types import Phase, RunSpec

STAGE = "methods"
CODE = ("tasks.comparison", *SEARCH_CODE, "tasks.report")
RUN_CODE = ("tasks.core", "tasks.tokenize", "tasks.training")
# Search seeds are so far apart that no seed of one search (noise, confirmation) is a seed of another.
_SEED_STEP = 100


@dataclass(frozen=True)
class Found:
    """A mixture to train: who found it in which search (None for a baseline), with how many proxies."""

    method: str
    search: int | None
    weights: tuple[float, ...]
    proxies: int


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
    table = rows(trained, params.confidence)
    pairs = {other: _versus(trained, params, other) for other in _others(params)}
    with tempfile.TemporaryDirectory() as scratch:
        files = _written(Path(scratch), found, trained, table, pairs)
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
                summary={"table": [row.to_json() for row in table], "versus": pairs},
                environment=float_environment(),
            ),
        )


def _searches(params: ComparisonParams, pool: Path, workshop: Workshop) -> list[tuple[Found, UnitRecord]]:
    """Return what every method found with every search seed, and the record of that search."""
    # A record keeps its names sorted; weights stand in the order of the pool.
    done, names = [], read_pool(pool).names
    for number in range(params.num_search_seeds):
        for method in params.methods:
            kind = method.strategy.kind
            workshop.observer.say(f"methods: {kind}, search {number + 1} of {params.num_search_seeds}")
            one = _search_of(params, method, number)
            record = searched(one, pool, workshop)
            weights = tuple(float(record.summary["weights"]["searched"][name]) for name in names)
            done.append((Found(kind, number, weights, int(record.summary["proxies"])), record))
    return done


def _search_of(params: ComparisonParams, method: Method, number: int) -> SearchParams:
    """Return the params of one search: a method as released spends nothing on noise and confirmation."""
    released = {} if method.confirmed else {"confirm": None, "num_noise_seeds": 0}
    seed = params.search.seed + number * _SEED_STEP
    return params.search.model_copy(update={"strategy": method.strategy, "seed": seed, **released})


def _baselines(params: ComparisonParams, pool: TokenPool) -> list[Found]:
    problem = problem_of(params.search, pool)
    weights = {NATURAL: problem.natural, "uniform": problem.uniform, "unimax": problem.unimax}
    return [Found(name, None, tuple(weights[name].tolist()), 0) for name in BASELINES]


def _trained(
    params: ComparisonParams, found: Sequence[Found], pool: TokenPool, folder: Path, digest: str, workshop: Workshop
) -> list[Trained]:
    """Train every mixture with every seed and measure it on the test split; what is the same run is made once."""
    seeds = range(params.training_seed, params.training_seed + params.num_training_seeds)
    wanted = [(each, seed) for each in found for seed in seeds]
    args = [
        _RunArgs(_spec(each.weights, seed, params.training, params.search), folder, params.test_tokens_per_domain)
        for each, seed in wanted
    ]
    keys = [_key(each, digest) for each in args]
    units = dict(zip(keys, args, strict=True))
    order = list(units)
    records = map_units(
        workshop, stage=STAGE, label="methods: training", work=_work, units=list(units.items()), packages=RUN_CODE
    )
    shares_S = problem_of(params.search, pool).objective_S
    objectives = [float(shares_S @ np.array(record.summary["bpb"])) for record in records]
    return [
        Trained(each.method, each.search, seed, objectives[order.index(key)], each.proxies)
        for (each, seed), key in zip(wanted, keys, strict=True)
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


def _work(args: _RunArgs, _: Path) -> UnitResult:
    from tasks.training.measure import bits_per_byte
    from tasks.training.run import train

    pool = read_pool(args.pool)
    bpb = bits_per_byte(train(args.spec, pool).model, pool, "test", args.test_tokens_per_domain)
    return UnitResult(summary={"bpb": [bpb[name] for name in pool.names]})


def _others(params: ComparisonParams) -> list[str]:
    """Return what the first method stands against: the baselines and the other methods."""
    return [*BASELINES, *(method.strategy.kind for method in params.methods[1:])]


def _versus(trained: Sequence[Trained], params: ComparisonParams, other: str) -> dict[str, Any]:
    """Return the first method's gain over another one, paired by search and training seed."""
    gains_K = differences(trained, params.methods[0].strategy.kind, other)
    lower, upper = interval(gains_K, params.confidence)
    ends = {"lower": None, "upper": None} if isnan(lower) else {"lower": lower, "upper": upper}
    return {"gain": float(gains_K.mean()), **ends, "searches": gains_K.tolist()}


def _written(
    scratch: Path,
    found: Sequence[Found],
    trained: Sequence[Trained],
    table: Sequence[Row],
    versus: Mapping[str, Any],
) -> dict[str, Placement]:
    mixtures = [asdict(each) for each in found]
    texts = {
        "table.md": markdown(table),
        "trained.csv": _csv(asdict(each) for each in trained),
        "mixtures.json": _json({"format": 1, "mixtures": mixtures}),
        "table.json": _json({"format": 1, "table": [row.to_json() for row in table], "versus": dict(versus)}),
        "methods.svg": standalone(picture(table)),
    }
    for name, text in texts.items():
        (scratch / name).write_text(text, encoding="utf-8")
    paths = {name: scratch / name for name in texts}
    return {
        name: Placement(path, FileRecord(name, digest_file(path), path.stat().st_size)) for name, path in paths.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _csv(values: Iterable[Mapping[str, Any]]) -> str:
    listed = list(values)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return stream.getvalue()
