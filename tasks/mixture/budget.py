"""What `search.num_runs` has to reach for: baselines and repeats, the strategy's rounds, the confirmation."""

from tasks.core.errors import ConfigError
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import ConfirmParams, most_runs
from tasks.mixture.predictors.choose import MIN_RUNS
from tasks.mixture.strategies.kinds import method


def confirming(params: SearchParams) -> ConfirmParams | None:
    """Return how the pick is confirmed; a baseline ships as configured, there is nothing to confirm."""
    return params.confirm if method(params.strategy).searches else None


def require_budget(params: SearchParams) -> None:
    """Refuse a budget that reaches for no pool in which natural and uniform differ: what `counts` says, before any text.

    Raises:
        ConfigError: the budget does not reach for the strategy's rounds.
    """
    rounds_of(params, 2 * params.num_noise_seeds + (0 if method(params.strategy).begins_with_baselines else 2))


def rounds_of(params: SearchParams, counted: int) -> tuple[int, ...]:
    """Return the strategy's rounds after `counted` baselines and repeats, and what the confirmation takes at most."""
    judged = confirming(params)
    judging = 0 if judged is None else most_runs(judged, params.num_noise_seeds)
    strategy = method(params.strategy)
    left, least = params.num_runs - counted - judging, MIN_RUNS if strategy.searches else 0
    try:
        if left < least:
            raise ConfigError(f"{left} runs are left for the strategy, at least {least} are needed.")
        return strategy.schedule(params.strategy, left)
    except ConfigError as error:
        raise ConfigError(
            f"search.num_runs: of {params.num_runs} proxies {counted} are baselines and repeats, {judging} confirm: {error}"
        ) from error
