"""The driver of `select compare`: pools of what each selector keeps, models on them, and who is better than chance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from tasks.arms.config import BITS_PER_BYTE
from tasks.arms.stage import score_named
from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.evaluation.compare import MIN_SEEDS
from tasks.evaluation.families import detectable_effect
from tasks.evaluation.tasks.stage import given_tasks
from tasks.ingest.published.documents import DOCUMENTS
from tasks.leaderboard.base import publish_base
from tasks.leaderboard.config import TWIN, LeaderboardParams
from tasks.leaderboard.entrants import Entrant, entrant_name, entrants
from tasks.leaderboard.kept import base_documents, diversities, kept, tokens_by_id
from tasks.leaderboard.models import Entered, budget_name
from tasks.leaderboard.page import render
from tasks.leaderboard.pools import pool_warnings, require_enough
from tasks.leaderboard.published import Kept, Leaderboard, Objective
from tasks.leaderboard.rank import Measured, confirmation, ranked, statements, winner
from tasks.leaderboard.searched import with_searched
from tasks.leaderboard.table import markdown
from tasks.pages.templating import PAGE
from tasks.runtime.context import Workshop
from tasks.runtime.stages import Content, StageInput, StageRun, environment_over, stage_input
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.rows import SPLIT

STAGE = "select"
AGAIN = "select: confirmation"


def run(params: LeaderboardParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Make the pool of every selector at every keep rate, train on it with every seed, and rank them by their models.

    `inputs` are the folders that curate and tokenize of a run have published; pools are made beside `output`.
    """
    common = stage_input(workshop, inputs, "tokenize")
    require_enough(params, sum(domain.splits[SPLIT].tokens for domain in common.read(TokenPoolIndex).domains))
    objectives = objectives_of(params, common)
    # 1. Who takes part, on what: scores of documents that are trained on, and a pool for each selection of them.
    # What is wrong with a selector is said before anything is made.
    entrants(params)
    base = publish_base(inputs["curate"], inputs["tokenize"], base_folder(output), workshop.inside(("ingest",)))
    ranking, searched = with_searched(params, objectives, base, inputs, workshop)
    field, seeds = entrants(ranking), range(params.seed, params.seed + params.num_seeds)
    entered = Entered.of(params, field, seeds, base, inputs, workshop)
    digests = entered.given.digests
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_trainer)
    if (found := stage.unchanged()) is not None:
        return found
    workshop.observer.say(effect_words(params))
    warnings = pool_warnings(entered.pools, workshop)
    for warning in warnings:
        workshop.observer.say(f"{STAGE}: {warning}")
    # 2. Models: every entrant with every seed, and the random twins with fewer and more tokens.
    made = entered.measure(workshop, [budget for budget in params.budgets if budget != 1])
    measured = Measured(made.runs, made.directions, objectives)
    curves = _curves(params, field, measured)
    # 3. What each kept, who is better than chance, and whether that is so again.
    kept, tokens = _kept(params, entered, base, workshop)
    rows = ranked(field, measured, kept, tokens, curves, params.confidence)
    confirmed = None
    if (best := winner(rows)) is not None:
        both = [one for one in field if one.name in {best.name, entrant_name(TWIN, best.keep)}]
        fresh = Entered.of(params, both, [seed + params.num_seeds for seed in seeds], base, inputs, workshop, AGAIN)
        again = Measured(fresh.measure(workshop).runs, made.directions, objectives)
        confirmed = confirmation(best, entrant_name(TWIN, best.keep), again, params.confidence)
    told = Leaderboard(
        objectives=objectives,
        confidence=params.confidence,
        tokens=params.training.num_tokens,
        seeds=tuple(seeds),
        entrants=rows,
        twins={one.name: kept[one.name] for one in field if one.role == "twin"},
        curves=curves,
        confirmation=confirmed,
        searched=searched,
        warnings=warnings,
        statements=statements(rows, confirmed, searched, params.confidence, params.num_seeds),
        runs=made.runs,
    )
    environment = environment_over(made.records)
    files: dict[str, Content] = {
        Leaderboard.FILE: told,
        "leaderboard.md": markdown(told),
        PAGE: render(told, common.manifest, stage.draft(), environment),
    }
    return stage.publish(files, summary={"statements": told.statements}, environment=environment)


def _kept(
    params: LeaderboardParams, entered: Entered, base: Path, workshop: Workshop
) -> tuple[dict[str, Kept], dict[str, dict[str, int]]]:
    """Return what every entrant kept, in numbers and as tokens by document; of what is drawn, the first draw."""
    shards = stage_input(workshop, {"ingest": base}, "ingest").tree(f"{DOCUMENTS}/")
    documents = base_documents(workshop, shards, params.benchmarks)
    pools = {one.name: entered.pool_of(one) for one in entered.field}
    tokens = {name: tokens_by_id(pool) for name, pool in pools.items()}
    diversity = diversities(workshop, pools, params.diversity_tokens)
    return {name: kept(documents, tokens[name], params.training.num_tokens, diversity[name]) for name in pools}, tokens


def base_folder(output: Path) -> Path:
    """Return where the documents that selectors choose from are published, for a leaderboard at `output`."""
    return output.with_name(f"{output.name}.pools") / "base"


def objectives_of(params: LeaderboardParams, common: StageInput) -> dict[Objective, tuple[str, ...]]:
    """Return the whole names of the scores of both objectives.

    Raises:
        ConfigError: no model will have such a score, or nothing is held out.
    """
    tasks = given_tasks(params)

    def named(scores: Sequence[str], where: str) -> tuple[str, ...]:
        return tuple(score_named(score, params, tasks, common, where) for score in scores)

    target = named(params.target, "target")
    domains = [f"{BITS_PER_BYTE}.{domain.name}" for domain in common.read(TokenPoolIndex).domains]
    others = tuple(name for name in domains if name not in target)
    held_out = named(params.held_out, "held_out") or others
    if not held_out:
        raise ConfigError(
            "held_out: every domain is in `target`, so nothing shows what selecting for it costs. Name a task."
        )
    return {"target": target, "held_out": held_out}


def effect_words(params: LeaderboardParams) -> str:
    """Say, before anything is trained, which effect this many seeds can find."""
    if params.num_seeds < MIN_SEEDS:
        return f"select: {params.num_seeds} seeds give no interval and no claim; {MIN_SEEDS} are needed (num_seeds)"
    effect = detectable_effect(1.0, params.num_seeds, confidence=params.confidence)
    return (
        f"select: {params.num_seeds} seeds find a gain of {effect:.3g} standard deviations of a paired difference in four "
        "of five comparisons, were it the only one"
    )


def _curves(
    params: LeaderboardParams, field: Sequence[Entrant], measured: Measured
) -> dict[str, dict[Objective, dict[int, float]]]:
    """Return the mean loss of each twin by its tokens; none where nobody asked for multipliers."""
    if not params.budgets:
        return {}
    tokens = {run.arm: run.tokens for run in measured.runs}
    found: dict[str, dict[Objective, dict[int, float]]] = {}
    for twin in dict.fromkeys(one.twin for one in field):
        names = [budget_name(twin, budget) for budget in sorted(params.budgets)]
        found[twin] = {
            objective: {tokens[name]: fmean(measured.values(name, objective)) for name in names}
            for objective in measured.objectives
        }
    return found
