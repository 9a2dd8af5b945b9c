"""From the stages of an arm to those of a recipe for its pool: whole steps, and weights under the epoch caps.

Axes: N domains.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tasks.arms.amount import RowsOf
from tasks.arms.config import Arm, ArmStage, ArmWeights
from tasks.core.errors import ConfigError
from tasks.mixture.problem import filled
from tasks.mixture.published import RecipeStage
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data import RunData
from tasks.training.interleave import Floats
from tasks.training.recipe_phases import phase_of
from tasks.training.replay import Before
from tasks.training.rows import SPLIT
from tasks.training.sample_counts import usable_rows
from tasks.training.segments import samples_before


def first_step(arm: Arm, num_steps: int) -> int:
    """Return the steps that come before an arm's own, those of its trunk."""
    return num_steps - round(sum(stage.share for stage in arm.stages) * num_steps) if arm.trunk is not None else 0


def staged(
    arm: Arm,
    training: TrainingConfig,
    pool: TokenPool,
    rows: RowsOf,
    max_epochs: float,
    trunk: RunData | None,
    before: Before,
    row_share: float | None = None,
) -> tuple[RecipeStage, ...]:
    """Return an arm's stages, or the one of its mixture, as those of a recipe with all domains of the pool.

    Weights that are not given by domain are as near to their shares as `max_epochs` allows behind what came before. `before`
    gives the tokens by domain that its start and its trunk have read (None = nobody knows), for stages with replay.
    `row_share` is the share of each domain's rows that may be used; None = all.

    Raises:
        ConfigError: a stage has no whole step, names a domain that the pool has not, or the caps leave too little.
    """
    stages = arm.stages or (ArmStage(share=1.0),)
    first = first_step(arm, training.num_steps)
    ends = first + np.round(np.cumsum([one.share for one in stages]) * training.num_steps).astype(np.int64)
    ends[-1] = training.num_steps
    epochs_N = np.zeros(len(pool.names)) if trunk is None else _epochs_of(trunk, first)
    found = list[RecipeStage]()
    for number, (stage, steps) in enumerate(zip(stages, np.diff(ends, prepend=first).tolist(), strict=True)):
        whose = f"arm {arm.name}" if not arm.stages else f"arm {arm.name}, stage {number}"
        if steps < 1:
            raise ConfigError(
                f"{whose}: a share of {stage.share:g} of {training.num_steps} steps is no step. Raise it, or train longer."
            )
        tokens = steps * training.tokens_per_step
        layout = phase_of(_recipe_stage(stage, tokens, (1.0,)), (1.0,), training.model).layout(training.model)
        distinct = usable_rows([each.distinct for each in rows(layout)], 1.0 if row_share is None else row_share)
        rows_N = np.array(distinct, dtype=np.float64)
        samples = tokens // layout.length
        left_N = np.maximum(max_epochs - epochs_N, 0)
        left_N = left_N if stage.max_epochs is None else np.minimum(left_N, stage.max_epochs)
        caps_N = np.minimum(np.floor(left_N * rows_N) / samples, 1.0)
        weights = _weights(stage, arm, pool, caps_N, whose)
        if stage.replay_share is not None:
            weights = _with_replay(weights, stage.replay_share, _read(before, found, pool, whose))
        epochs_N = epochs_N + np.ceil(np.array(weights) * samples) / np.maximum(rows_N, 1)
        found.append(_recipe_stage(stage, tokens, weights))
    return tuple(found)


def _read(before: Before, stages: Sequence[RecipeStage], pool: TokenPool, whose: str) -> Floats:
    """Return each domain's share of what was read before a stage, [N].

    Raises:
        ConfigError: nobody knows it, or it is nothing, or of domains that the pool has not.
    """
    if (known := before()) is None:
        raise ConfigError(
            f"{whose}: nobody knows what its start was trained on. Give weights in place of replay_share."
        )
    _require_known([name for name, tokens in known.items() if tokens], pool, f"{whose} replays")
    tokens_N = np.array([known.get(name, 0.0) for name in pool.names])
    for stage in stages:
        tokens_N = tokens_N + stage.tokens * np.array(stage.mean_weights)
    if not tokens_N.sum() > 0:
        raise ConfigError(
            f"{whose}: nothing was trained on before the first stage of new weights. Leave replay_share out."
        )
    shares_N: Floats = tokens_N / tokens_N.sum()
    return shares_N


def _with_replay(weights: Sequence[float], share: float, read_N: Floats) -> tuple[float, ...]:
    return tuple(((1 - share) * np.array(weights) + share * read_N).tolist())


def shares_of(weights: Mapping[str, float], pool: TokenPool, whose: str) -> tuple[float, ...]:
    """Return weights by domain, in any unit, as shares in the order of the pool.

    Raises:
        ConfigError: they name a domain that the pool does not have.
    """
    _require_known(weights, pool, f"{whose} has weights for")
    shares_N = np.array([weights.get(name, 0.0) for name in pool.names])
    return tuple((shares_N / shares_N.sum()).tolist())


def described(arm: Arm) -> Iterator[str]:
    """Yield the stages of an arm in words."""
    for stage in arm.stages:
        named = stage.weights if isinstance(stage.weights, str) else "the arm's" if stage.weights is None else "own"
        replay = "" if stage.replay_share is None else f"{stage.replay_share:.0%} replay"
        times = [f"{name} x {value:g}" for name, value in stage.times.items()]
        without = [f"without {name}" for name in stage.without]
        settings = [_recipe_stage(stage, 1, (1.0,)).settings]
        told = ", ".join(one for one in (f"{named} weights", *times, *without, replay, *settings) if one)
        yield f"{stage.share:.3g} of the steps: {told}"


def _recipe_stage(stage: ArmStage, tokens: int, weights: Sequence[float]) -> RecipeStage:
    own = {name: getattr(stage, name) for name in RecipeStage.model_fields if name in ArmStage.model_fields}
    return RecipeStage(**(own | {"tokens": tokens, "weights": tuple(weights)}))


def _weights(stage: ArmStage, arm: Arm, pool: TokenPool, caps_N: Floats, whose: str) -> tuple[float, ...]:
    """Return the weights of a stage in the order of the pool."""
    _require_known((*stage.times, *stage.without), pool, f"{whose} names")
    wanted: ArmWeights = arm.weights if stage.weights is None else stage.weights
    factors_N = np.array([0.0 if name in stage.without else stage.times.get(name, 1.0) for name in pool.names])
    if isinstance(wanted, Mapping):
        given_N = np.array(shares_of(wanted, pool, whose))
        weights_N = given_N if (factors_N == 1).all() else given_N * factors_N
        if not weights_N.sum() > 0:
            raise ConfigError(f"{whose}: nothing is left to train on of {', '.join(wanted)}.")
        return tuple((weights_N if weights_N is given_N else weights_N / weights_N.sum()).tolist())
    tokens_N = pool.tokens(SPLIT).astype(float)
    shares_N = (tokens_N > 0).astype(float) if wanted == "uniform" else tokens_N
    return tuple(filled(shares_N * factors_N, caps_N).tolist())


def _require_known(names: Sequence[str] | Mapping[str, float], pool: TokenPool, what: str) -> None:
    if unknown := sorted({*names} - {*pool.names}):
        raise ConfigError(f"{what} {', '.join(unknown)}, which its pool does not have. It has {', '.join(pool.names)}.")


def _epochs_of(trunk: RunData, step: int) -> Floats:
    """Return how often each domain's rows were drawn before a step of a trunk, at most."""
    parts = zip(trunk.drawn_before(samples_before(trunk.segments, step)), trunk.parts, strict=True)
    # Another seed may have drawn one sample more.
    epochs = [
        (drawn_N + (drawn_N > 0)) / np.maximum(np.array(part.order.distinct or part.order.rows), 1)
        for drawn_N, part in parts
    ]
    epochs_N: Floats = np.sum(epochs, axis=0)
    return epochs_N
