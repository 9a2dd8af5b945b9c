"""The driver of search: proxies in rounds, each kept by what it is, then a recipe with its forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from infra.executors import Resources
from infra.progress import UnitReport
from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import DataError
from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.mixture.asked import asked_tasks, identities, known_by_content, tasks_of, unit_of
from tasks.mixture.config import SearchParams
from tasks.mixture.decay import DecayRuns, DecayStage, decay_candidates
from tasks.mixture.earlier_runs.warm_start import usable_runs
from tasks.mixture.expected_curve import RunCurve, run_curve
from tasks.mixture.noise import noise_sentence, penalty_of_noise, require_varied, run_noise
from tasks.mixture.outcome import FILES
from tasks.mixture.pool_problem import problem_of
from tasks.mixture.problem import Problem
from tasks.mixture.proxies.branches import BranchesArgs, BranchesResult, search_branches
from tasks.mixture.proxies.on_tasks import AskedTasks, TaskProxyArgs, search_proxies_on_tasks
from tasks.mixture.proxies.proxy import SPLIT, ProxyArgs, ProxyResult, ProxySpec, row_share_of, search_proxies
from tasks.mixture.published import Weights
from tasks.mixture.runs import JUDGING, ProxyRun, RunTable, read_runs
from tasks.mixture.search import (
    ProposedRound,
    ProxyRequest,
    ProxyRequests,
    counts,
    measured_run,
    noise_round,
    not_measured,
    proposed,
)
from tasks.mixture.state import State
from tasks.mixture.third_size import Fall
from tasks.mixture.transfer import require_larger
from tasks.mixture.units import (
    search_conclusion,
    search_contenders,
    search_design,
    search_pick,
    search_proposal,
    search_transfer,
)
from tasks.runtime.context import Workshop
from tasks.runtime.costs import unit_metrics
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, StageRun, environment_over, published, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool, train_digest
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import TrainingConfig

STAGE = "search"


def proxy_tokens(args: ProxyArgs | TaskProxyArgs) -> int:
    """Return the tokens that a proxy trains on."""
    return args.spec.training.num_tokens


def branches_tokens(args: BranchesArgs) -> int:
    """Return the tokens that a trunk and its branches train on."""
    tail = args.training.num_steps - args.step
    return (args.step + len(args.candidates) * tail) * args.training.tokens_per_step


# A proxy's result does not depend on how it was proposed: a better strategy takes the proxies that are there.
PROXY = Step("search.proxy", "search: proxies", search_proxies, grouped=True, stops=True, tokens=proxy_tokens)
TASK_PROXY = replace(PROXY, name="search.proxy_on_tasks", work=search_proxies_on_tasks)
DESIGN = Step("search.design", "search: first mixtures", search_design)
PROPOSAL = Step("search.propose", "search: proposal", search_proposal)
CONTENDERS = Step("search.contenders", "search: confirmation, mixtures", search_contenders)
TRANSFER = Step("search.transfer", "search: second size, mixtures", search_transfer)
PICK = Step("search.pick", "search: the pick", search_pick)
BRANCHES = Step(
    "search.branches",
    "search: branches of the last stage",
    search_branches,
    grouped=True,
    stops=True,
    tokens=branches_tokens,
)
CONCLUSION = Step("search.conclude", "search: decision", search_conclusion)
EARLIER, LADDER = "earlier_runs", "ladder"
# What a proxy reads of a pool: another test split, say, changes no proxy.
READ = (*POOL_FILES, "tokens/train/", f"tokens/{SPLIT}/")
# Characters of a digest that stand in the table of runs.
_DATA = 16


def run(params: SearchParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Search a mixture with small proxies, and forecast what it gains."""
    tokenized = stage_input(workshop, inputs, "tokenize")
    tasks = tasks_of(params)
    digests = digests_read(params, tokenized) | ({"tasks": digest_json(identities(tasks))} if tasks else {})
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_process)
    if (found := stage.unchanged()) is not None:
        return found
    asked = asked_tasks(params, tasks, tokenized.tree(TOKENIZER_FILE))
    search = searched(known_by_content(params, tasks), tokenized.tree(*READ), workshop, asked)
    return stage.publish(
        {name: search.conclusion.file(name) for name in FILES},
        summary=search.conclusion.summary,
        environment=search.environment,
    )


def digests_read(params: SearchParams, tokenized: StageInput) -> dict[str, str]:
    """Return the digests of what a search reads: the pool, and the tables of earlier runs and of a ladder that are named.

    Raises:
        DataError: a table is not there.
    """
    digests = {"tokenize": tokenized.digest}
    for name, path, whose in ((EARLIER, params.earlier_runs, "search"), (LADDER, params.ladder, "ladder")):
        if path is None:
            continue
        if not Path(path).is_file():
            raise DataError(f"search.{name}: {path}: there is no such file. Name the runs.csv of a {whose}.")
        digests[name] = digest_file(Path(path))
    return digests


@dataclass(frozen=True)
class FinishedSearch:
    """The record of a search's conclusion, with its files, and what its proxies were computed with."""

    conclusion: UnitRecord
    environment: Mapping[str, str]


def searched(
    params: SearchParams, pool_files: Tree, workshop: Workshop, asked: AskedTasks | None = None
) -> FinishedSearch:
    """Do a whole search on a pool; `asked` are the params' tasks with their files."""
    pool = read_pool(pool_files.local(), "train", SPLIT)
    problem = problem_of(params, pool)
    planned = counts(params, problem)  # a budget that does not reach is refused before it is spent
    proxies = Proxies(params, problem, pool_files, workshop, asked)
    state = _started(proxies, pool)
    if state.second_size is not None:
        require_larger(state.size, state.second_size)
    state = proxies.measured(state, not_measured(state, noise_round(params, problem)), "baselines and noise")
    if len(state.paired.rows) > 1:
        require_varied(np.array([row.objective for row in state.paired.rows]), "the objective (search.objective)")
    workshop.observer.say(noise_sentence(state.searched, 0 if params.confirm is None else params.confirm.num_seeds))
    if params.kl_to_natural is None:
        penalty = penalty_of_noise(run_noise(state.searched), params.num_runs)
        state = replace(state, problem=replace(problem, kl_to_natural=penalty))
    state = proxies.measured(state, _requests(DESIGN, workshop, state), "first mixtures")
    for number in range(1, len(planned)):
        (record,) = PROPOSAL.map(workshop, [state], label=f"search: round {number}, proposal")
        round_ = ProposedRound.read(record.folder).round
        state = proxies.measured(state, proposed(params, round_), f"round {number}")
        state = replace(state, rounds=(*state.rounds, round_))
    if params.confirm is not None:
        state = proxies.measured(state, _requests(CONTENDERS, workshop, state), "confirmation")
    if params.transfer is not None:
        state = proxies.measured(state, _requests(TRANSFER, workshop, state), "second size")
        curves = tuple(proxies.curves[run] for run in sorted(proxies.curves))
        state = replace(state, curves=curves, onward=_onward(params, state))
    if params.stages is not None:
        (pick,) = _requests(PICK, workshop, state)
        state = replace(state, decay=proxies.decay(pick.weights, params.stages))
    return FinishedSearch(CONCLUSION.one(workshop, state), environment_over(proxies.records))


def pilot(params: SearchParams, pool_folder: Path, workshop: Workshop, seeds: int) -> RunTable:
    """Measure natural and uniform with so many seeds, before a search is paid for; a later one takes these proxies over."""
    tokenized, tasks = published(workshop.store, str(pool_folder.absolute())), tasks_of(params)
    asked = asked_tasks(params, tasks, tokenized.tree(TOKENIZER_FILE))
    params, pool_files = known_by_content(params, tasks), tokenized.tree(*READ)
    problem = problem_of(params, read_pool(pool_files.local(), "train", SPLIT))
    requests = noise_round(params.model_copy(update={"num_noise_seeds": max(seeds - 1, 0)}), problem)
    proxies = Proxies(params, problem, pool_files, workshop, asked)
    return proxies.measure(proxies.none, [each for each in requests if each.kind != "unimax"], "pilot")


@dataclass(frozen=True)
class Proxies:
    """Measures proxies of one search on one pool; `records` are those of all that were measured, `curves` theirs by run."""

    params: SearchParams
    problem: Problem
    pool: Tree
    workshop: Workshop
    asked: AskedTasks | None = None
    records: list[UnitRecord] = field(default_factory=list)
    curves: dict[int, RunCurve] = field(default_factory=dict)

    @property
    def none(self) -> RunTable:
        """A table without runs."""
        return RunTable(self.problem.names, self.problem.set_names, unit_of(self.params), ())

    def measured(self, state: State, requests: Sequence[ProxyRequest], label: str) -> State:
        """Return the state with the proxies that were requested."""
        return replace(state, runs=self.measure(state.runs, requests, label))

    def measure(self, runs: RunTable, requests: Sequence[ProxyRequest], label: str) -> RunTable:
        """Return the table with the proxies that were requested, in that order."""
        start, rows = len(runs.rows), dict[int, ProxyRun]()
        for second in (False, True):
            # A group of proxies has one training config.
            places = [place for place, request in enumerate(requests) if request.second_size is second]
            numbered = [(start + place, requests[place]) for place in places]
            rows |= dict(zip(places, self._measured(numbered, second, label), strict=True))
        return replace(runs, rows=(*runs.rows, *(rows[place] for place in range(len(requests)))))

    def decay(self, weights: Weights, stage: DecayStage) -> DecayRuns:
        """Measure the mixtures of a last stage, by branches off one trunk for each seed."""
        params = self.params
        candidates = decay_candidates(self.problem, weights, stage)
        share = row_share_of(params.proxy, params.target.tokens) if params.repetition_matched else None
        mixtures, measured_on = tuple(candidates.values()), self._measured_on()
        args = [
            BranchesArgs(
                weights,
                mixtures,
                stage.share,
                seed,
                params.proxy,
                params.max_epochs,
                measured_on,
                self.pool,
                share,
                self.workshop.gpus_per_process,
            )
            for seed in range(params.seed, params.seed + stage.num_seeds)
        ]
        records = BRANCHES.map(self.workshop, args, resources=Resources(gpus=self.workshop.gpus_per_process))
        self.records.extend(records)
        losses = tuple(BranchesResult.read(record.folder).bpb for record in records)
        return DecayRuns(tuple(candidates), mixtures, losses)

    def content(self, second: bool = False) -> str:
        """Return the digest of all that decides a proxy's losses but its mixture and seed: what its row has as `data`."""
        natural = tuple(self.problem.natural.tolist())
        request = ProxyRequest(round=0, kind="natural", seed=self.params.seed, weights=natural, second_size=second)
        device = self.workshop.device(self.workshop.gpus_per_process)
        identity = self._step.identity(self._args(request), device).to_json()
        spec = {name: value for name, value in identity["reads"]["spec"].items() if name not in ("weights", "seed")}
        return digest_json({**identity, "reads": {**identity["reads"], "spec": spec}})[:_DATA]

    def _measured(self, requests: Sequence[tuple[int, ProxyRequest]], second: bool, label: str) -> list[ProxyRun]:
        rows: dict[int, ProxyRun] = {}
        content, reported = self.content(second) if requests else "", set[str]()

        def finished(place: int, record: UnitRecord) -> None:
            number, request = requests[place]
            result = ProxyResult.read(record.folder)
            self.curves[number] = run_curve(number, result.losses, self._training(request))
            instruction_set = record.environment.get("instruction_set", "")
            rows[place] = measured_run(self.problem, number, request, result, content, instruction_set)
            # Where two requests are the same run (natural may be uniform) the table has both, but there is one proxy.
            if record.key not in reported:
                reported.add(record.key)
                costs = unit_metrics(self.workshop.store, self._step.name, record.key)
                self.workshop.observer.unit(_report(self.problem, rows[place], record.key, result.losses, costs))

        records = self._step.map(
            self.workshop,
            [self._args(request) for _, request in requests],
            label=f"search: proxies, {label}",
            group_size=self.workshop.proxies_per_process,
            resources=Resources(gpus=self.workshop.gpus_per_process),
            on_finished=finished,
        )
        self.records.extend(records)
        return [rows[place] for place in range(len(requests))]

    @property
    def _step(self) -> Step:
        return PROXY if self.asked is None else TASK_PROXY

    def _args(self, request: ProxyRequest) -> ProxyArgs | TaskProxyArgs:
        params, training = self.params, self._training(request)
        share = row_share_of(training, params.target.tokens) if params.repetition_matched else None
        spec = ProxySpec(request.weights, request.seed, training, params.max_epochs, self._measured_on(), share)
        gpu_share = self.workshop.gpus_per_process
        if self.asked is None:
            return ProxyArgs(spec, self.pool, gpu_share)
        return TaskProxyArgs(spec, self.pool, self.asked, gpu_share)

    def _training(self, request: ProxyRequest) -> TrainingConfig:
        second = self.params.transfer
        return second.second if request.second_size and second is not None else self.params.proxy

    def _measured_on(self) -> tuple[int, ...]:
        """Return the held-out tokens per domain: fewer where a domain's loss decides nothing."""
        params, problem = self.params, self.problem
        counted = {constraint.set for constraint in problem.constraints}
        counted |= {place for place, share in enumerate(problem.objective) if share > 0}
        most, others = params.search_tokens_per_domain, params.search_tokens_of_others
        return tuple(most if place in counted else others for place in range(len(problem.domains)))


def _requests(step: Step, workshop: Workshop, state: State) -> tuple[ProxyRequest, ...]:
    return ProxyRequests.read(step.one(workshop, state).folder).requests


def _started(proxies: Proxies, pool: TokenPool) -> State:
    """Return a search at its start: with nothing measured, or with what an earlier table gives."""
    # Where the table lies is no part of what a unit of the search reads: its runs are.
    params = proxies.params.model_copy(update={"earlier_runs": None, "ladder": None})
    state = State(
        params, proxies.problem, pool.vocab_size, proxies.content(), proxies.none, tokens=train_digest(proxies.pool)
    )
    if (where := proxies.params.earlier_runs) is None:
        return state
    found = usable_runs(read_runs(Path(where)), state.current, where)
    # What judged an earlier pick is evidence like any other now.
    rows = tuple(
        replace(row, run=number, round=0, kind="imported" if row.kind in JUDGING else row.kind)
        for number, row in enumerate(found.as_measured.rows)
    )
    proxies.workshop.observer.say(
        f"search: of {where} {len(rows)} runs are taken as measured, {len(found.informing.rows)} inform the predictor"
    )
    return replace(state, runs=replace(proxies.none, rows=rows), earlier=found.informing)


def _onward(params: SearchParams, state: State) -> Fall | None:
    """Return how losses fall from the second size to the full run, where a ladder is named."""
    if params.ladder is None or state.second_size is None or state.target is None:
        return None
    from tasks.ladder.fall import ladder_fall

    return ladder_fall(Path(params.ladder), state.size, state.second_size, state.target)


def _report(
    problem: Problem, row: ProxyRun, key: str, training: Sequence[float], costs: Mapping[str, float]
) -> UnitReport:
    weights = {f"weight.{name}": weight for name, weight in zip(problem.names, row.weights, strict=True)}
    bpb, of_tasks = row.losses[: len(problem.names)], row.losses[len(problem.names) :]
    losses = {f"bpb.{name}": value for name, value in zip(problem.names, bpb, strict=True)}
    losses |= {
        f"task.{name}": value for name, value in zip(problem.set_names[len(problem.names) :], of_tasks, strict=True)
    }
    return UnitReport(
        name=f"proxy-{row.run:03d}-{row.kind}",
        key=key,
        params={"round": row.round, "kind": row.kind, "seed": row.seed, "tokens": row.tokens, **weights},
        metrics={"objective": row.objective, **losses, **costs},
        curves={"loss": list(enumerate(training, start=1))},
    )
