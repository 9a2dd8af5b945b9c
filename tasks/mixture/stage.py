"""The stage `search`: proxies in rounds, each kept by what it is, then a recipe with its forecast."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from infra.progress import UnitReport
from tasks.core.digest import digest_code, digest_file, digest_json, digest_tree
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import (
    UnitRecord,
    UnitResult,
    Workshop,
    float_environment,
    map_grouped_units,
    map_units,
    publish,
    stage_input,
    unchanged,
)
from tasks.mixture.aims import constraints_of, held_out_only, objective_of
from tasks.mixture.config import SearchParams
from tasks.mixture.noise import detectable, difference_noise, penalty_of_noise, require_varied, run_noise
from tasks.mixture.outcome import FILES, conclude
from tasks.mixture.problem import Domain, Problem
from tasks.mixture.proxies.proxy import SPLIT, ProxyResult, ProxySpec, measure_proxies
from tasks.mixture.runs import JUDGING, Run, Runs, Unit, read_runs
from tasks.mixture.search import (
    ProposedRound,
    ProxyRequest,
    ProxyRequests,
    State,
    contender_round,
    counts,
    design_round,
    next_round,
    noise_round,
    not_measured,
    proposed,
    transfer_round,
)
from tasks.mixture.transfer import Size, require_larger
from tasks.mixture.warm_start import taken
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.training.order import usable_rows
from tasks.training.types import DivergedError

STAGE = "search"
CODE = ("tasks.core", "tasks.mixture", "tasks.tokenize", "tasks.training")
# A proxy's result does not depend on how it was proposed: a better strategy takes the proxies that are there.
PROXY_CODE = ("tasks.core", "tasks.mixture.proxies", "tasks.tokenize", "tasks.training")
UNIT: Unit = "bits per byte"
EARLIER = "earlier_runs"
# What a proxy reads of a pool.
READ = (*POOL_FILES, "tokens/train/", f"tokens/{SPLIT}/")
_CONFIDENCE = 0.95
# Characters of a digest that stand in the table of runs.
_DATA = 16


@dataclass(frozen=True)
class _ProxyArgs:
    spec: ProxySpec
    pool: Path
    gpu_share: float


def run(params: SearchParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Search a mixture with small proxies, and forecast what it gains."""
    digests, science, code = identity(params, inputs["tokenize"]), params.model_dump(mode="json"), digest_code(CODE)
    if (done := unchanged(output, stage=STAGE, inputs=digests, params=science, code=code)) is not None:
        workshop.observer.say("search: unchanged (same inputs, params and code), taken as it is")
        return done
    concluded = searched(params, stage_input(inputs, "tokenize").verified(*READ), workshop)
    return publish(
        output,
        {name: concluded.file(name) for name in FILES},
        lambda files: Manifest(
            STAGE, digests, science, code, files, summary=concluded.summary, environment=float_environment()
        ),
    )


def searched(params: SearchParams, pool_folder: Path, workshop: Workshop) -> UnitRecord:
    """Do a whole search on a pool; return the record of its conclusion, with the four files and the summary."""
    pool = read_pool(pool_folder)
    problem = problem_of(params, pool)
    counts(params, problem)  # a budget that does not reach is refused before it is spent
    proxies = Proxies(params, problem, pool_folder, pool_digest(pool_folder), workshop)
    state = _started(proxies, pool)
    if state.second_size is not None:
        require_larger(state.size, state.second_size)
    state = replace(
        state,
        runs=proxies.measure(state.runs, not_measured(state, noise_round(params, problem)), "baselines and noise"),
    )
    if len(state.paired.rows) > 1:
        require_varied(np.array([row.objective for row in state.paired.rows]), "the objective (search.objective)")
    workshop.observer.say(_noise_told(params, state.searched))
    if params.kl_to_natural is None:
        penalty = penalty_of_noise(run_noise(state.searched), params.num_runs)
        state = replace(state, problem=replace(problem, kl_to_natural=penalty))
    record = _in_worker(workshop, "design", "search: first mixtures", _design, state)
    designed = ProxyRequests.read(record.folder).requests
    state = replace(state, runs=proxies.measure(state.runs, designed, "first mixtures"))
    for number in range(1, len(counts(params, problem))):
        record = _in_worker(workshop, "propose", f"search: round {number}, proposal", _propose, state)
        round_ = ProposedRound.read(record.folder).round
        runs = proxies.measure(state.runs, proposed(params, round_), f"round {number}")
        state = replace(state, runs=runs, rounds=(*state.rounds, round_))
    for step, label, work in (
        ("contenders", "confirmation", _contenders),
        ("transfer", "second size", _transfer),
    ):
        if getattr(params, "confirm" if step == "contenders" else "transfer") is not None:
            record = _in_worker(workshop, step, f"search: {label}, mixtures", work, state)
            runs = proxies.measure(state.runs, ProxyRequests.read(record.folder).requests, label)
            state = replace(state, runs=runs)
    return _in_worker(workshop, "conclude", "search: decision", _conclude, state)


def pilot(params: SearchParams, pool_folder: Path, workshop: Workshop, seeds: int) -> Runs:
    """Measure natural and uniform with so many seeds, before a search is paid for; a later one takes these proxies over."""
    problem = problem_of(params, read_pool(stage_input({"tokenize": pool_folder}, "tokenize").verified(*READ)))
    proxies = Proxies(params, problem, pool_folder, pool_digest(pool_folder), workshop)
    requests = noise_round(params.model_copy(update={"num_noise_seeds": max(seeds - 1, 0)}), problem)
    return proxies.measure(proxies.none, [each for each in requests if each.kind != "unimax"], "pilot")


def problem_of(params: SearchParams, pool: TokenPool) -> Problem:
    """Return what is searched in a pool.

    Raises:
        ConfigError: the caps leave no weights, or a name in the params is no domain of the pool.
    """
    length, proxy = params.target.sequence_length, params.proxy
    rows, proxy_rows = pool.rows("train", length).tolist(), pool.rows("train", proxy.model.sequence_length).tolist()
    if params.repetition_matched:
        proxy_rows = usable_rows(proxy_rows, min(1.0, proxy.num_tokens / params.target.tokens))
    counted = zip(pool.names, pool.tokens("train"), pool.bytes("train"), rows, proxy_rows, strict=True)
    held_out = held_out_only(params, pool.names)
    return Problem(
        domains=tuple(
            Domain(name, int(tokens), int(size), own, of_proxy, trainable=name not in held_out)
            for name, tokens, size, own, of_proxy in counted
        ),
        objective=objective_of(params, pool.names),
        target_samples=params.target.samples,
        proxy_samples=proxy.num_samples,
        max_epochs=params.max_epochs,
        kl_to_natural=params.kl_to_natural or 0.0,
        constraints=constraints_of(params, pool.names),
    )


def pool_digest(pool_folder: Path) -> str:
    """Return the digest of what a proxy reads: another test split, say, changes no proxy."""
    files = Manifest.read(pool_folder).files
    return digest_tree({file.path: file.digest for file in files if file.path.startswith(READ)})


@dataclass(frozen=True)
class Proxies:
    """Measures proxies of one search on one pool."""

    params: SearchParams
    problem: Problem
    pool: Path
    data: str
    workshop: Workshop

    @property
    def none(self) -> Runs:
        """A table without runs."""
        return Runs(self.problem.names, self.problem.set_names, UNIT, ())

    def measure(self, runs: Runs, requests: Sequence[ProxyRequest], label: str) -> Runs:
        """Return the table with the proxies that were requested, in that order."""
        start, code = len(runs.rows), digest_code(PROXY_CODE)
        specs = [self._spec(request) for request in requests]
        keys = [stage_key("search.proxy", {"pool": self.data}, spec.to_json(), code) for spec in specs]
        rows: dict[int, Run] = {}
        for second in (False, True):
            # A stack has one training config.
            chosen = [place for place, request in enumerate(requests) if request.second_size is second]
            found = {place: (keys[place], specs[place], requests[place]) for place in chosen}
            rows |= self._measured(found, start, label)
        return replace(runs, rows=(*runs.rows, *(rows[index] for index in range(len(requests)))))

    def _measured(
        self, requested: Mapping[int, tuple[str, ProxySpec, ProxyRequest]], start: int, label: str
    ) -> dict[int, Run]:
        # Where two requests are the same run (natural may be uniform) the table has both, but there is one proxy.
        units = {
            key: _ProxyArgs(spec, self.pool, self.workshop.gpus_per_process) for key, spec, _ in requested.values()
        }
        places = {key: [place for place, other in requested.items() if other[0] == key] for key in units}
        order, rows = list(units), dict[int, Run]()

        def finished(unit: int, record: UnitRecord) -> None:
            result = ProxyResult.read(record.folder)
            for place in places[order[unit]]:
                rows[place] = self._row(start + place, requested[place][2], result)
            first = rows[places[order[unit]][0]]
            self.workshop.observer.unit(_report(self.problem, first, order[unit], result.losses))

        map_grouped_units(
            self.workshop,
            stage="search.proxy",
            label=f"search: proxies, {label}",
            work=_measure,
            units=list(units.items()),
            group_size=self.workshop.proxies_per_process,
            gpus=self.workshop.gpus_per_process,
            packages=PROXY_CODE,
            on_finished=finished,
        )
        return rows

    def content(self, second: bool = False) -> str:
        """Return the digest of all that decides a proxy's losses but its mixture and seed: what its row has as `data`."""
        natural = tuple(self.problem.natural.tolist())
        spec = self._spec(
            ProxyRequest(round=0, kind="natural", seed=self.params.seed, weights=natural, second_size=second)
        ).to_json()
        common = {name: value for name, value in spec.items() if name not in ("weights", "seed")}
        return digest_json({"pool": self.data, "code": digest_code(PROXY_CODE), **common})[:_DATA]

    def _spec(self, request: ProxyRequest) -> ProxySpec:
        params, second = self.params, self.params.transfer
        training = second.training if request.second_size and second is not None else params.proxy
        return ProxySpec(
            request.weights,
            request.seed,
            training,
            params.max_epochs,
            self._measured_on(),
            target_tokens=params.target.tokens if params.repetition_matched else None,
        )

    def _measured_on(self) -> tuple[int, ...]:
        """Return the held-out tokens per domain: fewer where a domain's loss decides nothing."""
        params, problem = self.params, self.problem
        counted = {constraint.set for constraint in problem.constraints}
        counted |= {place for place, share in enumerate(problem.objective) if share > 0}
        most, others = params.search_tokens_per_domain, params.search_tokens_of_others
        return tuple(most if place in counted else others for place in range(len(problem.set_names)))

    def _row(self, number: int, request: ProxyRequest, result: ProxyResult) -> Run:
        return Run(
            run=number,
            round=request.round,
            kind=request.kind,
            seed=request.seed,
            model_parameters=result.model_parameters,
            tokens=result.tokens,
            flops=result.flops,
            objective=sum(share * value for share, value in zip(self.problem.objective, result.bpb, strict=True)),
            weights=request.weights,
            losses=result.bpb,
            data=self.content(request.second_size),
            instruction_set=result.instruction_set,
        )


def identity(params: SearchParams, pool_folder: Path) -> dict[str, str]:
    """Return the digests of what a search reads: the pool, and the earlier table where one is named."""
    digests = {"tokenize": Manifest.read(pool_folder).output}
    if params.earlier_runs is None:
        return digests
    if not Path(params.earlier_runs).is_file():
        raise DataError(
            f"search.earlier_runs: {params.earlier_runs}: there is no such file. Name the runs.csv of a search."
        )
    return digests | {EARLIER: digest_file(Path(params.earlier_runs))}


def _started(proxies: Proxies, pool: TokenPool) -> State:
    """Return a search at its start: with nothing measured, or with what an earlier table gives."""
    params = proxies.params
    state = State(params, proxies.problem, pool.vocab_size, proxies.content(), proxies.none)
    if params.earlier_runs is None:
        return state
    found = taken(read_runs(Path(params.earlier_runs)), state.wanted, params.earlier_runs)
    # What judged an earlier pick is evidence like any other now.
    rows = tuple(
        replace(row, run=number, round=0, kind="imported" if row.kind in JUDGING else row.kind)
        for number, row in enumerate(found.as_measured.rows)
    )
    proxies.workshop.observer.say(
        f"search: of {params.earlier_runs} {len(rows)} runs are taken as measured, {len(found.informing.rows)} inform the "
        "predictor"
    )
    return replace(state, runs=replace(proxies.none, rows=rows), earlier=found.informing)


def _noise_told(params: SearchParams, runs: Runs) -> str:
    """Say the noise and the smallest gain that a comparison of full seeds could find, before more is spent."""
    noise = difference_noise(runs)
    if noise is None:
        return "search: the noise is not known: no mixture was run with two seeds (search.num_noise_seeds)"
    seeds = 3 if params.confirm is None else max(params.confirm.num_seeds, 3)
    effect = detectable(noise, seeds, _CONFIDENCE)
    told = "" if effect is None else f"; with {seeds} seeds a gain of {effect.gain:.4f} would be found 4 times of 5"
    return f"search: two runs of one size differ by chance by {noise.sd:.4f} {runs.unit} (sd, {noise.known}){told}"


def _report(problem: Problem, row: Run, key: str, losses: Sequence[float]) -> UnitReport:
    weights = {f"weight.{name}": weight for name, weight in zip(problem.names, row.weights, strict=True)}
    bpb = {f"bpb.{name}": value for name, value in zip(problem.set_names, row.losses, strict=True)}
    return UnitReport(
        name=f"proxy-{row.run:03d}-{row.kind}",
        key=key,
        params={"round": row.round, "kind": row.kind, "seed": row.seed, "tokens": row.tokens, **weights},
        metrics={"objective": row.objective, **bpb},
        curves={"loss": list(enumerate(losses, start=1))},
    )


def _in_worker(workshop: Workshop, step: str, label: str, work: Any, state: State) -> UnitRecord:
    """Do one step in a worker, where threads are pinned: the driver computes nothing."""
    params = state.params.model_dump(mode="json")
    seen = {
        "problem": _digest(state.problem),
        "runs": _digest(state.runs),
        "rounds": digest_json([each.model_dump(mode="json") for each in state.rounds]),
        "vocab_size": str(state.vocab_size),
        # The file that it was read from: what it predicts follows from that and the params.
        "earlier": "" if params["earlier_runs"] is None else digest_file(Path(params["earlier_runs"])),
    }
    stage = f"search.{step}"
    key = stage_key(stage, seen, params, digest_code(CODE))
    return map_units(workshop, stage=stage, label=label, work=work, units=[(key, state)], packages=CODE)[0]


def _digest(value: Problem | Runs) -> str:
    return digest_json(json.loads(json.dumps(value, default=vars)))


def _measure(args: Sequence[_ProxyArgs], folders: Sequence[Path], checkpoints: Sequence[Path]) -> list[Any]:
    """Measure a group of proxies in one process; one that diverged gives its error, and the others their results."""
    specs = [each.spec for each in args]
    results = measure_proxies(specs, args[0].pool, checkpoints=checkpoints, gpu_share=args[0].gpu_share)
    found: list[UnitResult | DivergedError] = []
    for result, folder in zip(results, folders, strict=True):
        if isinstance(result, DivergedError):
            found.append(result)
            continue
        result.write(folder)
        found.append(UnitResult())
    return found


def _design(state: State, folder: Path) -> UnitResult:
    return _requested(design_round(state), folder)


def _propose(state: State, folder: Path) -> UnitResult:
    ProposedRound(round=next_round(state)).write(folder)
    return UnitResult()


def _contenders(state: State, folder: Path) -> UnitResult:
    return _requested(contender_round(state), folder)


def _transfer(state: State, folder: Path) -> UnitResult:
    return _requested(transfer_round(state), folder)


def _requested(requests: Sequence[ProxyRequest], folder: Path) -> UnitResult:
    ProxyRequests(requests=tuple(requests)).write(folder)
    return UnitResult()


def _conclude(state: State, folder: Path) -> UnitResult:
    params, problem = state.params, state.problem
    target = None if params.target_parameters is None else Size(params.target_parameters, params.target.tokens)
    judged, forecast = conclude(state, folder, target)
    mixtures = {
        "searched": list(judged.pick.chosen.weights),
        "natural": problem.natural.tolist(),
        "uniform": problem.uniform.tolist(),
        "unimax": problem.unimax.tolist(),
    }
    return UnitResult(
        summary={
            "proxies": len(state.runs.rows),
            "chosen": judged.pick.chosen.name,
            "reason": judged.pick.reason,
            "statement": forecast.statement,
            "gain_over_natural": forecast.gain_over_natural,
            "weights": {name: dict(zip(problem.names, weights, strict=True)) for name, weights in mixtures.items()},
        }
    )
