"""Proxies and branches measured by units of work: each is kept by what it is, whoever asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.executors import Resources
from infra.progress import UnitReport
from tasks.core.digest import digest_json
from tasks.core.handles import Tree
from tasks.mixture.asked import unit_of
from tasks.mixture.config import SearchParams
from tasks.mixture.decay import DecayRuns, DecayStage, decay_candidates
from tasks.mixture.expected_curve import RunCurve, run_curve
from tasks.mixture.problem import Problem
from tasks.mixture.proxies.branches import BranchesArgs, BranchesResult, search_branches
from tasks.mixture.proxies.branches_on_tasks import TaskBranchesArgs, search_branches_on_tasks
from tasks.mixture.proxies.on_tasks import AskedTasks, TaskProxyArgs, search_proxies_on_tasks
from tasks.mixture.proxies.proxy import ProxyArgs, ProxyResult, ProxySpec, row_share_of, search_proxies
from tasks.mixture.published import Weights
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.search import ProxyRequest, measured_run
from tasks.mixture.state import State
from tasks.runtime.context import Workshop
from tasks.runtime.costs import unit_metrics
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step
from tasks.training.config import TrainingConfig


def proxy_tokens(args: ProxyArgs | TaskProxyArgs) -> int:
    """Return the tokens that a proxy trains on."""
    return args.spec.training.num_tokens


def branches_tokens(args: BranchesArgs | TaskBranchesArgs) -> int:
    """Return the tokens that a trunk and its branches train on."""
    own = args if isinstance(args, BranchesArgs) else args.branches
    tail = own.training.num_steps - own.step
    return (own.step + len(own.candidates) * tail) * own.training.tokens_per_step


# A proxy's result does not depend on how it was proposed: a better strategy takes the proxies that are there.
PROXY = Step("search.proxy", "search: proxies", search_proxies, grouped=True, stops=True, tokens=proxy_tokens)
TASK_PROXY = replace(PROXY, name="search.proxy_on_tasks", work=search_proxies_on_tasks)
BRANCHES = Step(
    "search.branches",
    "search: branches of the last stage",
    search_branches,
    grouped=True,
    stops=True,
    tokens=branches_tokens,
)
TASK_BRANCHES = replace(BRANCHES, name="search.branches_on_tasks", work=search_branches_on_tasks)
# Characters of a digest that stand in the table of runs.
_DATA = 16


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
        mixtures, measured_on = tuple(candidates.values()), self.measured_on
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
        records = self._branches(args)
        self.records.extend(records)
        losses = tuple(BranchesResult.read(record.folder).losses for record in records)
        return DecayRuns(tuple(candidates), mixtures, losses)

    def content(self, second: bool = False) -> str:
        """Return the digest of all that decides a proxy's losses but its mixture and seed: what its row has as `data`."""
        natural = tuple(self.problem.natural.tolist())
        request = ProxyRequest(round=0, kind="natural", seed=self.params.seed, weights=natural, second_size=second)
        device = self.workshop.device(self.workshop.gpus_per_process)
        identity = self._step.identity(self._args(request), device).to_json()
        spec = {name: value for name, value in identity["reads"]["spec"].items() if name not in ("weights", "seed")}
        return digest_json({**identity, "reads": {**identity["reads"], "spec": spec}})[:_DATA]

    def _branches(self, args: Sequence[BranchesArgs]) -> list[UnitRecord]:
        resources = Resources(gpus=self.workshop.gpus_per_process)
        if self.asked is None:
            return BRANCHES.map(self.workshop, args, resources=resources)
        asked = [TaskBranchesArgs(each, self.asked) for each in args]
        return TASK_BRANCHES.map(self.workshop, asked, resources=resources)

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
        spec = ProxySpec(request.weights, request.seed, training, params.max_epochs, self.measured_on, share)
        gpu_share = self.workshop.gpus_per_process
        if self.asked is None:
            return ProxyArgs(spec, self.pool, gpu_share)
        return TaskProxyArgs(spec, self.pool, self.asked, gpu_share)

    def _training(self, request: ProxyRequest) -> TrainingConfig:
        second = self.params.transfer
        return second.second if request.second_size and second is not None else self.params.proxy

    @property
    def measured_on(self) -> tuple[int, ...]:
        """The held-out tokens per domain, at most: fewer where a domain's loss decides nothing."""
        params, problem = self.params, self.problem
        counted = {constraint.set for constraint in problem.constraints}
        counted |= {place for place, share in enumerate(problem.objective) if share > 0}
        most, others = params.search_tokens_per_domain, params.search_tokens_of_others
        return tuple(most if place in counted else others for place in range(len(problem.domains)))


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
