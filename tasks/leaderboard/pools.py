"""The token pools of entrants: what each selects of the documents that are trained on, in the tokens of the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.arms.pools import PoolParams, tokenize_like
from tasks.cluster.config import ClusterParams
from tasks.cluster.sources import SourceDomains
from tasks.cluster.split import Split
from tasks.core.errors import ConfigError, NothingKeptError
from tasks.curate.published.funnel import Funnel
from tasks.leaderboard.config import TWIN, LeaderboardParams
from tasks.leaderboard.entrants import Entrant, entrant_name
from tasks.runtime.context import Workshop
from tasks.runtime.stages import stage_input
from tasks.tokenize.config import TokenizeParams

# What is measured was taken out before.
BY_SOURCE = ClusterParams(domains=SourceDomains(kind="source", min_documents=1), split=Split(all_trained=True))
# The stages of a pool, none of whose steps says how far the whole is.
_VOICES = ("curate", "cluster", "tokenize")


def selected_pools(
    field: Sequence[Entrant], seeds: Sequence[int], base: Path, common: Path, workshop: Workshop, label: str
) -> dict[str, Path]:
    """Return the token pool of every selection, made beside `base`; scores are computed once for all of them.

    Raises:
        ConfigError: a selector keeps no document.
    """
    tokenize = tokenize_like(common, "the run")
    wanted = {one.pool(seed): (one, seed) for one in field for seed in seeds}
    inside = workshop.inside(_VOICES)
    pools: dict[str, Path] = {}
    for name, (one, seed) in wanted.items():
        workshop.observer.progress(label, len(pools), len(wanted))
        pools[name] = _made(name, one, seed, tokenize, base, inside)
    workshop.observer.progress(label, len(pools), len(wanted))
    return pools


def pool_warnings(pools: Mapping[str, Path], workshop: Workshop) -> tuple[str, ...]:
    """Return what curation warned of in making pools, each sentence once; that a source lost all is no surprise here."""
    found: dict[str, str] = {}
    for name, pool in pools.items():
        funnel = stage_input(workshop, {"curate": pool.parent / "curate"}, "curate").read(Funnel)
        for warning in funnel.warnings:
            if warning not in funnel.lost_sources:
                found.setdefault(warning, name)
    return tuple(f"pool {name}: {warning}" for warning, name in found.items())


def _made(name: str, entrant: Entrant, seed: int, tokenize: TokenizeParams, base: Path, workshop: Workshop) -> Path:
    params = PoolParams(entrant.curate(seed), BY_SOURCE, tokenize)
    try:
        return params.make(base, base.parent / name, workshop)
    except NothingKeptError as error:
        raise ConfigError(
            f"selectors, {entrant.selector}: at keep {entrant.keep:g} it keeps no document, so there is nothing to train "
            f"on. Raise `keep`, or look at its scores. {error}"
        ) from error


def require_enough(params: LeaderboardParams, available: int) -> None:
    """Refuse keep rates that leave too little, before anything is scored.

    Raises:
        ConfigError: how often a model would see what is kept.
    """
    wanted = params.training.num_tokens * max((1.0, *params.budgets))
    searched = [] if params.search is None or params.search.keep is None else [params.search.keep]
    for rate in (*params.keep, *searched):
        epochs = wanted / max(1.0, rate * available)
        if not epochs <= params.max_epochs:
            whose = f"the curve of {entrant_name(TWIN, rate)}" if wanted > params.training.num_tokens else "a model"
            raise ConfigError(
                f"keep: {rate:g} of {available:,} training tokens are {rate * available:,.0f}, and {whose} is trained on "
                f"{wanted:,.0f}: {epochs:.1f} epochs, more than max_epochs {params.max_epochs:g}. Raise keep or max_epochs, "
                "or lower training.num_tokens or the largest of budgets."
            )
