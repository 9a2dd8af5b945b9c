"""The steps of a search: what is measured next, and what comes out: runs.csv, recipe.json, forecast.json, candidates.json.

Noise first (baselines, and natural and uniform with other seeds), then the strategy's rounds, then the top candidates with
fresh seeds, then, if asked for, the same mixtures at a second size. Each step is a pure function of the runs so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.published import Model, Published
from tasks.mixture.budget import confirming, rounds_of
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import confirm, contenders, require_enough, shipped_pick
from tasks.mixture.decide import Pick, decide
from tasks.mixture.earlier_runs.prediction import EarlierPrediction
from tasks.mixture.earlier_runs.reuse import Restricted, Reuse, couplings, reuse
from tasks.mixture.earlier_runs.warm_start import best_before, informed
from tasks.mixture.noise import run_noise
from tasks.mixture.predictors.choose import MIN_RUNS, Choice, Selection, choose, fit, refit
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.predictor import Measured, Predictor
from tasks.mixture.problem import Problem
from tasks.mixture.published import Weights
from tasks.mixture.published_candidates import Proposal, Round, Transfer
from tasks.mixture.published_mixtures import Confirmation, Contender
from tasks.mixture.published_predictors import PredictorScore
from tasks.mixture.runs import ProxyRun, RunKind
from tasks.mixture.state import State
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.kinds import method
from tasks.mixture.transfer import transfer, transfer_mixtures

if TYPE_CHECKING:
    # The code of proxies decides nothing here.
    from tasks.mixture.proxies.proxy import ProxyResult


class ProxyRequest(Model):
    """A proxy to measure, and what it is in the table of runs; `second_size` is for the transfer's size."""

    round: int
    kind: RunKind
    seed: int
    weights: Weights
    second_size: bool = False


class ProxyRequests(Published):
    """The proxies that a step of the search asks for, in the order of the table of runs."""

    FILE: ClassVar[str] = "requests.json"

    format: Literal[1] = 1
    requests: tuple[ProxyRequest, ...]


class ProposedRound(Published):
    """What a round of the strategy proposes."""

    FILE: ClassVar[str] = "round.json"

    format: Literal[1] = 1
    round: Round


def baselines(problem: Problem) -> dict[RunKind, Weights]:
    """Return natural, uniform and UniMax, each mixture once."""
    named: dict[RunKind, Weights] = {
        "natural": tuple(problem.natural.tolist()),
        "uniform": tuple(problem.uniform.tolist()),
        "unimax": tuple(problem.unimax.tolist()),
    }
    firsts: dict[Weights, RunKind] = {}
    for kind, weights in named.items():
        firsts.setdefault(weights, kind)
    return {kind: weights for weights, kind in firsts.items()}


def noise_round(params: SearchParams, problem: Problem) -> list[ProxyRequest]:
    """Return what is measured before anything is proposed: the baselines, natural and uniform again with other seeds."""
    known = baselines(problem)
    requests = [ProxyRequest(round=0, kind=kind, seed=params.seed, weights=weights) for kind, weights in known.items()]
    again: list[RunKind] = ["natural", "uniform"] if "uniform" in known else ["natural"]
    seeds = range(params.seed + 1, params.seed + 1 + params.num_noise_seeds)
    return requests + [
        ProxyRequest(round=0, kind="repeat", seed=seed, weights=known[kind]) for seed in seeds for kind in again
    ]


def counts(params: SearchParams, problem: Problem) -> tuple[int, ...]:
    """Return how many mixtures the strategy measures in each round; what is left of the budget, exactly.

    Raises:
        ConfigError: the budget does not reach for the strategy's rounds.
    """
    noise = noise_round(params, problem)
    own_baselines = method(params.strategy).begins_with_baselines
    counted = [each for each in noise if each.kind == "repeat" or not own_baselines]
    return rounds_of(params, len(counted))


def design_round(state: State) -> list[ProxyRequest]:
    """Return the strategy's first mixtures; what was measured before is not requested again."""
    planned = counts(state.params, state.problem)
    if not planned:
        return []
    reduced = _reduced(state, None)
    problem = state.problem if reduced is None else reduced.problem
    # The reduced problem's baselines are other mixtures than those that were measured for the noise.
    count = planned[0] if reduced is None else max(planned[0] - len(baselines(state.problem)), 1)
    weights_MD = method(state.params.strategy).first(state.params.strategy, problem, count, state.params.seed)
    weights_MD = weights_MD if reduced is None else reduced.basis.expand(weights_MD)
    if len({*map(tuple, weights_MD.tolist())} | {row.weights for row in state.paired.rows}) < MIN_RUNS:
        raise ConfigError(
            f"the caps leave {len(weights_MD)} different mixture(s) to start from, at least {MIN_RUNS} are needed: at "
            f"{state.params.max_epochs:g} epochs at most the domains can hardly fill the run. Lower search.target_tokens, "
            "raise search.max_epochs, or take strategy natural."
        )
    requests = [
        ProxyRequest(round=0, kind="design", seed=state.params.seed, weights=weights)
        for weights in map(tuple, weights_MD.tolist())
    ]
    return not_measured(state, requests)


def not_measured(state: State, requests: Sequence[ProxyRequest]) -> list[ProxyRequest]:
    """Return what of these was not measured before, at the proxies' size and with that seed."""
    known = {(row.weights, row.seed) for row in state.searched.rows}
    return [each for each in requests if each.second_size or (each.weights, each.seed) not in known]


def measured_run(
    problem: Problem, number: int, request: ProxyRequest, result: "ProxyResult", content: str, instruction_set: str
) -> ProxyRun:
    """Return the row of a measured proxy; `content` is the digest of what decides its losses but mixture and seed."""
    return ProxyRun(
        run=number,
        round=request.round,
        kind=request.kind,
        seed=request.seed,
        model_parameters=result.model_parameters,
        tokens=result.tokens,
        flops=result.flops,
        objective=sum(share * value for share, value in zip(problem.objective, result.set_losses, strict=True)),
        weights=request.weights,
        losses=result.set_losses,
        data=content,
        instruction_set=instruction_set,
    )


def fitted(state: State) -> Choice:
    """Return the predictor for the runs so far: chosen anew once runs have doubled since the last choice, else refitted."""
    known = _known(state)
    last = next((each.selected for each in reversed(state.rounds) if each.selected is not None), None)
    if last is None or len(known.measured.weights_RD) >= 2 * last.runs:
        return choose(known.selection, known.measured)
    return refit(last, known.measured)


def next_round(state: State) -> Round:
    """Return what the next round measures: how the predictor was chosen, and the proposals."""
    params, number = state.params, len(state.rounds) + 1
    strategy = method(params.strategy)
    choice = fitted(state) if strategy.needs_predictor else None
    evidence = Evidence(state.paired, None if choice is None else choice.predictor, run_noise(state.searched))
    reduced = None if choice is None else _reduced(state, choice.predictor)
    problem = state.problem
    if reduced is not None and choice is not None:
        problem = reduced.problem
        evidence = replace(
            evidence, runs=reduced.basis.runs(evidence.runs), predictor=Restricted(choice.predictor, reduced.basis)
        )
    count = counts(params, state.problem)[number]
    proposals = strategy.propose(params.strategy, problem, evidence, number, count, params.seed)
    if reduced is not None:
        proposals = tuple(_expanded(proposal, reduced) for proposal in proposals)
    return Round(
        round=number,
        predictor=None if choice is None else choice.predictor.name,
        selected=None if choice is None else choice.selected,
        tried=() if choice is None else scores(choice),
        couplings=() if reduced is None else reduced.couplings,
        proposals=proposals,
    )


def proposed(params: SearchParams, round_: Round) -> list[ProxyRequest]:
    """Return the proxies of a round's proposals."""
    return [
        ProxyRequest(round=round_.round, kind="proposal", seed=params.seed, weights=proposal.weights)
        for proposal in round_.proposals
    ]


def contender_round(state: State) -> list[ProxyRequest]:
    """Return the fresh runs of the top candidates, of natural and of the best measured; none without a confirmation."""
    if (params := confirming(state.params)) is None:
        return []
    number = len(state.rounds) + 1
    found = contenders(params, decided(state).pick)
    require_enough(params, len(found))
    requests = [
        ProxyRequest(round=number, kind="confirm", seed=seed, weights=contender.weights)
        for contender in (found if len(found) > 1 else ())
        for seed in _fresh_seeds(state.params)
    ]
    return not_measured(state, requests)


def transfer_round(state: State) -> list[ProxyRequest]:
    """Return the mixtures of the second size, and those of the first that their comparison lacks."""
    params, judged = state.params, judgement(state)
    if params.transfer is None:
        return []
    pick = judged.pick.chosen.weights
    natural = tuple(state.problem.natural.tolist())
    mixtures = transfer_mixtures(
        state.paired, judged.predictor, natural, pick, params.transfer.num_mixtures, params.transfer.top_share
    )
    number, seeds = len(state.rounds) + 2, range(params.seed, params.seed + params.transfer.num_seeds)
    first_size = [
        ProxyRequest(round=number, kind="transfer", seed=params.seed, weights=weights) for weights in mixtures
    ]
    second_size = [
        ProxyRequest(round=number, kind="transfer", seed=seed, weights=weights, second_size=True)
        for weights in mixtures
        for seed in seeds
    ]
    return not_measured(state, [*first_size, *second_size])


def picked_round(state: State) -> list[ProxyRequest]:
    """Return the pick as a request: what a trunk is trained on."""
    weights = judgement(state).pick.chosen.weights
    return [ProxyRequest(round=len(state.rounds) + 3, kind="confirm", seed=state.params.seed, weights=weights)]


@dataclass(frozen=True)
class Judgement:
    """The pick with all that speaks for it: the predictor, the confirmation, the second size."""

    choice: Choice | None
    predictor: Predictor
    pick: Pick
    confirmation: Confirmation | None = None
    transfer: Transfer | None = None


def decided(state: State) -> Judgement:
    """Return what the strategy ships, before anything was confirmed."""
    known = _known(state)
    # Baselines alone are too few to choose by cross-validation.
    choice = choose(known.selection, known.measured) if len(known.measured.weights_RD) >= MIN_RUNS else None
    predictor = fit(GpSqrt(), known.measured) if choice is None else choice.predictor
    evidence = Evidence(state.paired, predictor, run_noise(state.searched))
    params, problem = state.params, state.problem
    if (reduced := _reduced(state, predictor)) is not None:
        pick = decide(params.decision, problem, predictor, evidence.runs, within=reduced)
    else:
        pick = method(params.strategy).finish(params.strategy, params.decision, problem, evidence, params.seed)
    return Judgement(choice, predictor, pick)


def judgement(state: State) -> Judgement:
    """Return the pick after its confirmation, and the second size if it was measured."""
    found = decided(state)
    params = confirming(state.params)
    confirmed: Sequence[Contender] = () if params is None else contenders(params, found.pick)
    # A search that considered nothing but natural has nothing to confirm.
    if params is not None and len(confirmed) > 1:
        runs = state.runs.at(state.size.model_parameters, state.size.tokens)
        confirmation = confirm(params, confirmed, runs, _fresh_seeds(state.params), state.problem.constraints)
        found = replace(found, pick=shipped_pick(found.pick, confirmation), confirmation=confirmation)
    second = state.params.transfer
    large = state.second_size
    if second is None or large is None or not state.runs.at(large.model_parameters, large.tokens).rows:
        return found
    natural, pick = tuple(state.problem.natural.tolist()), found.pick.chosen.weights
    return replace(found, transfer=transfer(second, state.runs, state.size, large, natural, pick))


def scores(choice: Choice) -> tuple[PredictorScore, ...]:
    """Return how each predictor did on runs it had not seen; only finite predictions."""
    return tuple(
        PredictorScore(name=score.name, rmse=score.rmse, spearman=score.spearman, coverage=score.coverage)
        for score in choice.scores
        if np.isfinite(score.rmse)
    )


@dataclass(frozen=True)
class _Known:
    """What a predictor is fitted to, from which zoo; and what an earlier version says, if there is one."""

    selection: Selection
    measured: Measured
    earlier: EarlierPrediction | None


def _known(state: State) -> _Known:
    selection, earlier = state.params.selection, None
    if state.earlier is not None:
        selection, earlier = informed(selection, state.earlier, state.current)
    paired, noise = state.paired, run_noise(state.searched)
    measured = Measured(
        paired.weights_RD(), paired.losses_RS(), state.problem.objective_S, noise_sd=noise, earlier=earlier
    )
    return _Known(selection, measured, earlier)


def _reduced(state: State, predictor: Predictor | None) -> Reuse | None:
    """Return the problem over what changed and what is coupled with it; None where everything is searched.

    Before the first fit nobody knows what a new domain is coupled with: only the changed ones are free.
    """
    changed = state.params.changed_domains
    if not changed or state.earlier is None:
        return None
    earlier = _known(state).earlier
    if earlier is None:
        raise EvidenceError(
            f"search.changed_domains: {len(state.earlier.rows)} earlier runs with one seed, size and data are too few to "
            f"say what the others' shares should be; {MIN_RUNS} are needed, with a held-out set that this search has too. "
            "Search all domains: leave changed_domains out."
        )
    kept_D = best_before(earlier, state.earlier, state.current)
    threshold = state.params.coupling_threshold
    found = () if predictor is None else couplings(predictor, state.problem, changed, threshold)
    return reuse(earlier if predictor is None else predictor, state.problem, kept_D, changed, found)


def _expanded(proposal: Proposal, reduced: Reuse) -> Proposal:
    weights_D = reduced.basis.expand(np.array([proposal.weights]))[0]
    return proposal.model_copy(update={"weights": tuple(weights_D.tolist())})


def _fresh_seeds(params: SearchParams) -> range:
    assert params.confirm is not None
    return range(params.seed + 1, params.seed + 1 + params.confirm.num_seeds)
