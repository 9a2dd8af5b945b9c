"""From arms to runs: which there are, on which pool, with which mixture and how many tokens."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.arms.config import Arm, ArmsParams
from tasks.core.errors import ConfigError
from tasks.core.params import layered, validate
from tasks.mixture.problem import filled
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig, num_flops
from tasks.training.data import order_over
from tasks.training.order import check_caps, weight_caps
from tasks.training.rows import rows_of
from tasks.training.segments import Layout
from tasks.training.types import Phase, RunSpec

_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_+-]")


@dataclass(frozen=True)
class PlannedArm:
    """An arm with the config of its runs and one run for every seed."""

    arm: Arm
    training: TrainingConfig
    specs: tuple[RunSpec, ...]


def arms_of(params: ArmsParams, domains: Sequence[str], natural: Sequence[float]) -> tuple[Arm, ...]:
    """Return all arms; those that leave a domain out have the others as they are in the natural mixture.

    Raises:
        ConfigError: there is one domain, so that nothing is left without it, or a name is taken by another arm.
    """
    if not params.leave_one_out:
        return params.arms
    shares = dict(zip(domains, natural, strict=True))
    if len([share for share in shares.values() if share > 0]) < 2:
        raise ConfigError(
            f"leave_one_out: the pool has one domain, {', '.join(domains)}, and without it there is nothing to train on. "
            "Set it to false, or take a pool of several domains."
        )
    left = [
        Arm(name=f"without-{called}", weights={other: share for other, share in shares.items() if other != name})
        for name, called in zip(domains, _called(domains), strict=True)
    ]
    if twice := sorted({one.name for one in params.arms} & {one.name for one in left}):
        raise ConfigError(f"leave_one_out: an arm of the file is called {twice[0]} too. Give that one another name.")
    return (*params.arms, *left)


def _called(domains: Sequence[str]) -> list[str]:
    """Return domains as names of arms may be: a source is called as its user likes, `my web.v2` or in any script."""
    plain = [_NOT_OF_A_NAME.sub("_", name) for name in domains]
    return [name if plain.count(name) == 1 else f"{name}-{place}" for place, name in enumerate(plain)]


def natural_weights(pool: TokenPool, training: TrainingConfig, max_epochs: float) -> tuple[float, ...]:
    """Return each domain's share of the tokens under the caps, in the order of the pool."""
    rows = [each.distinct for each in rows_of(pool, Layout(training.model.sequence_length), training.data)]
    return tuple(
        filled(pool.tokens("train").astype(float), weight_caps(rows, training.num_samples, max_epochs)).tolist()
    )


def planned(params: ArmsParams, arms: Sequence[Arm], pools: Mapping[str | None, TokenPool]) -> list[PlannedArm]:
    """Return every arm's runs. `pools` are by the name of an arm's pool; None = the common one.

    Raises:
        ConfigError: an arm cannot be run as it stands; names all that cannot.
    """
    trainings = {arm.name: _training(params, arm) for arm in arms}
    base = trainings[params.baseline]
    budget = num_flops(base, pools[_of(arms, params.baseline).pool].vocab_size)
    found, mistakes = [], []
    for arm in arms:
        pool, training = pools[arm.pool], trainings[arm.name]
        try:
            if params.equal == "flops":
                training = _with_flops(training, pool.vocab_size, budget)
            elif training.num_tokens != base.num_tokens:
                raise ConfigError(
                    f"arm {arm.name} has {training.num_tokens:,} tokens, the baseline {base.num_tokens:,}: not a comparison "
                    "at equal tokens. Set both to the same, or `equal` to flops."
                )
            found.append(PlannedArm(arm, training, _specs(params, arm, training, pool)))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        told = "\n".join(f"  {one}" for one in mistakes)
        raise ConfigError(f"{len(mistakes)} of {len(arms)} arms cannot be run:\n{told}")
    return found


def _of(arms: Sequence[Arm], name: str) -> Arm:
    return next(arm for arm in arms if arm.name == name)


def _training(params: ArmsParams, arm: Arm) -> TrainingConfig:
    if not arm.training:
        return params.training
    values = layered(params.training.model_dump(mode="json"), arm.training)
    return validate(TrainingConfig, values, f"arm {arm.name}, training")


def _with_flops(training: TrainingConfig, vocab_size: int, budget: int) -> TrainingConfig:
    """Return the config with as many whole steps as `budget` FLOPs give."""
    per_step = num_flops(training, vocab_size) / training.num_steps
    steps = max(1, round(budget / per_step))
    return validate(
        TrainingConfig,
        training.model_dump() | {"num_tokens": steps * training.tokens_per_step},
        "training at equal FLOPs",
    )


def _specs(params: ArmsParams, arm: Arm, training: TrainingConfig, pool: TokenPool) -> tuple[RunSpec, ...]:
    phases = (Phase(training.num_tokens, _weights(params, arm, training, pool)),)
    rows = rows_of(pool, Layout(training.model.sequence_length), training.data)
    check_caps([order_over(rows, phases, pool.names, params.seed)], params.max_epochs, f"arm {arm.name}")
    return tuple(
        RunSpec(f"{arm.name}-seed{seed}", phases, seed, training, params.max_epochs)
        for seed in range(params.seed, params.seed + params.num_seeds)
    )


def _weights(params: ArmsParams, arm: Arm, training: TrainingConfig, pool: TokenPool) -> tuple[float, ...]:
    if arm.weights is None:
        return natural_weights(pool, training, params.max_epochs)
    return shares_of(arm.weights, pool, f"arm {arm.name}")


def shares_of(weights: Mapping[str, float], pool: TokenPool, whose: str) -> tuple[float, ...]:
    """Return weights by domain, in any unit, as shares in the order of the pool.

    Raises:
        ConfigError: they name a domain that the pool does not have.
    """
    if unknown := sorted({*weights} - {*pool.names}):
        raise ConfigError(
            f"{whose} has weights for {', '.join(unknown)}, which its pool does not have. It has {', '.join(pool.names)}."
        )
    shares_D = np.array([weights.get(name, 0.0) for name in pool.names])
    return tuple((shares_D / shares_D.sum()).tolist())
