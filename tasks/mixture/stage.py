"""The stage `search`: rounds of proxies, each a unit of its own, then a recipe with its forecast."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.progress import UnitReport
from tasks.core.digest import digest_code, digest_json, digest_tree
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import UnitRecord, UnitResult, Workshop, float_environment, map_units, publish, unchanged
from tasks.mixture.config import SearchParams
from tasks.mixture.problem import Domain, Problem, objective_shares
from tasks.mixture.proxies.proxy import SPLIT, ProxySpec, measure_proxy
from tasks.mixture.runs import Run, Runs
from tasks.mixture.search import FILES, Asked, State, conclude, first_round, next_round, rows_of
from tasks.tokenize.pool import INDEX_FILE, LENGTHS_FILE, TokenPool, read_pool

STAGE = "search"
CODE = ("tasks.core", "tasks.mixture", "tasks.tokenize", "tasks.training")
# A proxy's result does not depend on how it was proposed: a better strategy takes the proxies that are there.
PROXY_CODE = ("tasks.core", "tasks.mixture.proxies", "tasks.tokenize", "tasks.training")


@dataclass(frozen=True)
class _ProxyArgs:
    spec: ProxySpec
    pool: Path


def run(params: SearchParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Search a mixture with small proxies, and forecast what it gains."""
    pool_folder = inputs["tokenize"]
    tokenized = Manifest.read(pool_folder)
    digests, science, code = {"tokenize": tokenized.output}, params.model_dump(mode="json"), digest_code(CODE)
    if (done := unchanged(output, stage=STAGE, inputs=digests, params=science, code=code)) is not None:
        workshop.observer.say("search: unchanged (same inputs, params and code), taken as it is")
        return done
    pool = read_pool(pool_folder)
    problem = problem_of(params, pool)
    if problem.capped:
        workshop.observer.say(
            f"search: uniform weights are capped at {params.max_epochs:g} epochs in {len(problem.capped)} domains"
        )
    proxies = _Proxies(params, problem, pool_folder, _proxy_inputs(tokenized), workshop)
    state = State(params, problem, proxies.measure(Runs(problem.names, ()), first_round(params, problem)))
    for number in range(1, params.rounds + 1):
        proposed = _in_worker(workshop, "propose", f"search: round {number}, proposal", _propose, state)
        value = json.loads((proposed.folder / "round.json").read_text(encoding="utf-8"))
        asked = [Asked(number, "proposal", params.seed, weights) for weights in rows_of(value["proposals"])]
        state = replace(state, runs=proxies.measure(state.runs, asked), rounds=(*state.rounds, value))
    concluded = _in_worker(workshop, "conclude", "search: decision", _conclude, state)
    return publish(
        output,
        {name: concluded.file(name) for name in FILES},
        lambda files: Manifest(
            STAGE, digests, science, code, files, summary=concluded.summary, environment=float_environment()
        ),
    )


def problem_of(params: SearchParams, pool: TokenPool) -> Problem:
    """Return what is searched in a pool.

    Raises:
        ConfigError: the caps leave no weights, or the objective names a domain that does not exist.
    """
    length = params.target_sequence_length
    rows, proxy_rows = pool.rows("train", length), pool.rows("train", params.proxy.model.sequence_length)
    counts = zip(pool.names, pool.tokens("train"), pool.bytes("train"), rows, proxy_rows, strict=True)
    return Problem(
        domains=tuple(Domain(name, *map(int, numbers)) for name, *numbers in counts),
        objective=objective_shares(pool.names, params.objective),
        target_samples=params.target_tokens // length,
        proxy_samples=params.proxy.num_samples,
        max_epochs=params.max_epochs,
        kl_to_natural=params.kl_to_natural,
    )


@dataclass(frozen=True)
class _Proxies:
    """Measures proxies of one search on one pool."""

    params: SearchParams
    problem: Problem
    pool: Path
    inputs: Mapping[str, str]
    workshop: Workshop

    def measure(self, runs: Runs, asked: Sequence[Asked]) -> Runs:
        """Return the table with the proxies that were asked for, in that order."""
        params, start = self.params, len(runs.rows)
        specs = [
            ProxySpec(ask.weights, ask.seed, params.proxy, params.max_epochs, params.search_tokens_per_domain)
            for ask in asked
        ]
        code = digest_code(PROXY_CODE)
        keys = [stage_key("search.proxy", self.inputs, spec.to_json(), code) for spec in specs]
        # Where natural is uniform the table has both, but there is one proxy.
        units = {key: _ProxyArgs(spec, self.pool) for key, spec in zip(keys, specs, strict=True)}
        places = {key: [index for index, other in enumerate(keys) if other == key] for key in units}
        order, rows = list(units), dict[int, Run]()

        def finished(unit: int, record: UnitRecord) -> None:
            result = json.loads((record.folder / "proxy.json").read_text(encoding="utf-8"))
            for index in places[order[unit]]:
                rows[index] = self._row(start + index, asked[index], result)
            first = rows[places[order[unit]][0]]
            self.workshop.observer.unit(_report(self.problem, first, order[unit], result["losses"]))

        map_units(
            self.workshop,
            stage="search.proxy",
            label=f"search: proxies, round {asked[0].round}" if asked else "search: proxies",
            work=_measure,
            units=list(units.items()),
            packages=PROXY_CODE,
            on_finished=finished,
        )
        return replace(runs, rows=(*runs.rows, *(rows[index] for index in range(len(asked)))))

    def _row(self, number: int, ask: Asked, result: Mapping[str, Any]) -> Run:
        objective = sum(share * value for share, value in zip(self.problem.objective, result["bpb"], strict=True))
        return Run(
            run=number,
            round=ask.round,
            kind=ask.kind,
            seed=ask.seed,
            model_parameters=result["model_parameters"],
            tokens=result["tokens"],
            flops=result["flops"],
            objective=objective,
            weights=ask.weights,
            bpb=tuple(result["bpb"]),
        )


def _report(problem: Problem, row: Run, key: str, losses: Sequence[float]) -> UnitReport:
    weights = {f"weight.{name}": weight for name, weight in zip(problem.names, row.weights, strict=True)}
    bpb = {f"bpb.{name}": value for name, value in zip(problem.names, row.bpb, strict=True)}
    return UnitReport(
        name=f"proxy-{row.run:03d}-{row.kind}",
        key=key,
        params={"round": row.round, "kind": row.kind, "seed": row.seed, "tokens": row.tokens, **weights},
        metrics={"objective": row.objective, **bpb},
        curves={"loss": list(enumerate(losses, start=1))},
    )


def _proxy_inputs(tokenized: Manifest) -> dict[str, str]:
    """Return the digest of what a proxy reads: another test split, say, changes no proxy."""
    read = (INDEX_FILE, LENGTHS_FILE, "tokens/train/", f"tokens/{SPLIT}/")
    return {"pool": digest_tree({file.path: file.digest for file in tokenized.files if file.path.startswith(read)})}


def _in_worker(workshop: Workshop, step: str, label: str, work: Any, state: State) -> UnitRecord:
    """Do one step in a worker, where threads are pinned: the driver computes nothing."""
    params = state.params.model_dump(mode="json")
    seen = {"problem": _digest(state.problem), "runs": _digest(state.runs), "rounds": digest_json(list(state.rounds))}
    key = stage_key(f"search.{step}", seen, params, digest_code(CODE))
    stage = f"search.{step}"
    return map_units(workshop, stage=stage, label=label, work=work, units=[(key, state)], packages=CODE)[0]


def _digest(value: Problem | Runs) -> str:
    return digest_json(json.loads(json.dumps(value, default=vars)))


def _measure(args: _ProxyArgs, folder: Path) -> UnitResult:
    result = measure_proxy(args.spec, args.pool)
    (folder / "proxy.json").write_text(json.dumps(result.to_json(), allow_nan=False), encoding="utf-8")
    return UnitResult()


def _propose(state: State, folder: Path) -> UnitResult:
    (folder / "round.json").write_text(json.dumps(next_round(state), allow_nan=False), encoding="utf-8")
    return UnitResult()


def _conclude(state: State, folder: Path) -> UnitResult:
    pick, told = conclude(state, folder)
    problem = state.problem
    baselines = {"natural": problem.natural.tolist(), "uniform": problem.uniform.tolist()}
    mixtures = {"searched": list(pick.chosen.weights), **baselines}
    return UnitResult(
        summary={
            "proxies": len(state.runs.rows),
            "chosen": pick.chosen.name,
            "reason": pick.reason,
            "statement": told.statement,
            "gain_over_natural": told.gain,
            "weights": {name: dict(zip(problem.names, weights, strict=True)) for name, weights in mixtures.items()},
        }
    )
