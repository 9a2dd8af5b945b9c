"""The driver of search: proxies in rounds, each kept by what it is, then a recipe with its forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import DataError
from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.evaluation.tasks.stage import GivenTask
from tasks.mixture.asked import asked_tasks, identities, known_by_content, tasks_of
from tasks.mixture.config import SearchParams
from tasks.mixture.earlier_runs.warm_start import usable_runs
from tasks.mixture.limits import limits_of, shares_told
from tasks.mixture.noise import noise_sentence, penalty_of_noise, require_varied, run_noise
from tasks.mixture.other_text import other_text
from tasks.mixture.outcome import FILES
from tasks.mixture.pool_problem import problem_of
from tasks.mixture.proxies.on_tasks import AskedTasks
from tasks.mixture.proxies.proxy import SPLIT
from tasks.mixture.proxies.stage import Proxies
from tasks.mixture.published import Recipe
from tasks.mixture.runs import JUDGING, RunTable, read_runs
from tasks.mixture.search import (
    ProposedRound,
    ProxyRequest,
    ProxyRequests,
    counts,
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
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, StageRun, environment_over, published, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool, train_digest
from tasks.tokenize.published import TOKENIZER_FILE

STAGE = "search"
DESIGN = Step("search.design", "search: first mixtures", search_design)
PROPOSAL = Step("search.propose", "search: proposal", search_proposal)
CONTENDERS = Step("search.contenders", "search: confirmation, mixtures", search_contenders)
TRANSFER = Step("search.transfer", "search: second size, mixtures", search_transfer)
PICK = Step("search.pick", "search: the pick", search_pick)
CONCLUSION = Step("search.conclude", "search: decision", search_conclusion)
EARLIER, LADDER = "earlier_runs", "ladder"
# What a proxy reads of a pool: another test split, say, changes no proxy.
READ = (*POOL_FILES, "tokens/train/", f"tokens/{SPLIT}/")


def run(params: SearchParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Search a mixture with small proxies, and forecast what it gains."""
    tokenized = stage_input(workshop, inputs, "tokenize")
    tasks = tasks_of(params)
    digests = digests_read(params, tokenized, tasks)
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_process)
    if (found := stage.unchanged()) is not None:
        return found
    asked = asked_tasks(params, tasks, tokenized.tree(TOKENIZER_FILE))
    search = searched(known_by_content(params, tasks), tokenized.tree(*READ), workshop, asked)
    recipe = Recipe.read(search.conclusion.folder)
    for told in shares_told(limits_of(params.share_limits, recipe.domains), recipe.searched):
        workshop.observer.say(f"search: {told}")
    return stage.publish(
        {name: search.conclusion.file(name) for name in FILES},
        summary=search.conclusion.summary,
        environment=search.environment,
    )


def digests_read(params: SearchParams, tokenized: StageInput, tasks: Sequence[GivenTask]) -> dict[str, str]:
    """Return the digests of what a search reads: the pool, its tasks, and the tables of earlier runs and of a ladder.

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
    return digests | ({"tasks": digest_json(identities(tasks))} if tasks else {})


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
    state = replace(state, other_text=other_text(pool, proxies.measured_on, asked))
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
