"""From a recipe to runs: which there are, and whether this pool and this config can execute them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.mixture.published import MixtureName, Recipe, Weights
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data import order_over, run_data
from tasks.training.held_out import SPLIT as HELD_OUT
from tasks.training.order import check_caps, starved
from tasks.training.params import Branch, TrainParams
from tasks.training.planned import StageHook
from tasks.training.rows import rows_of
from tasks.training.types import Phase, RunSpec, Trunk

# In `train.mixtures`: the recipe's own stages.
OWN: Literal["searched"] = "searched"


@dataclass(frozen=True)
class PlannedRun:
    """A run, and the name of its mixture: a baseline's, the recipe's, or a branch's."""

    mixture: str
    spec: RunSpec
    hooks: tuple[StageHook, ...] | None = None


@dataclass(frozen=True)
class PlannedRuns:
    """The runs of a stage, mixture by mixture; `notes` are what a user should know of them before they start."""

    runs: tuple[PlannedRun, ...]
    notes: tuple[str, ...]


def planned_runs(params: TrainParams, recipe: Recipe, pool: TokenPool, data: str, where: str) -> PlannedRuns:
    """Return the runs, mixture by mixture; runs with the same seed are paired. A baseline is one phase.

    `data` is the digest of the pool's train split, `where` names the recipe. Of a recipe without baselines its own stages
    alone are trained.

    Raises:
        ConfigError: all that keeps the recipe from being executed here, before the first step.
    """
    if found := (*_mistakes(params, recipe, pool, data), *_taken_names(params, recipe)):
        raise ConfigError(
            f"{where}: {len(found)} mistake(s) for this pool and this run:\n" + "\n".join(f"  {one}" for one in found)
        )
    notes = [] if recipe.baselines else [f"{where}: it has no baselines, so that only its own stages are trained"]
    hooks = tuple(StageHook(index, one.hook) for index, one in enumerate(recipe.stages) if one.hook is not None) or None
    runs = list[PlannedRun]()
    rows = rows_of(pool, params.training.model.sequence_length, params.training.data)
    for mixture, phases in _mixtures(params, recipe, pool.names):
        order = order_over(rows, phases, pool.names, params.seed)
        if missed := starved(order, phases):
            notes.append(f"{mixture}: too small a weight for a single sample: {', '.join(missed)}")
        for seed in range(params.seed, params.seed + params.num_seeds):
            spec = RunSpec(f"{mixture}-seed{seed}", phases, seed, params.training, recipe.max_epochs)
            runs.append(PlannedRun(mixture, spec, hooks if mixture == recipe.name else None))
    branches = [one for branch in params.branches for one in _branch(branch, runs, recipe, pool)]
    return PlannedRuns((*runs, *branches), tuple(notes))


def _branch(branch: Branch, runs: Sequence[PlannedRun], recipe: Recipe, pool: TokenPool) -> Iterator[PlannedRun]:
    """Yield a branch of every run of its trunk.

    Raises:
        ConfigError: it names a domain that the pool does not have, ends within a step, or repeats a domain too often.
    """
    named = [name for stage in branch.stages for name in (*stage.weights, *(stage.end_weights or ()))]
    if unknown := sorted({*named} - {*pool.names}):
        raise ConfigError(
            f"train.branches: {branch.name} has weights for {', '.join(unknown)}. The pool has {', '.join(pool.names)}."
        )

    def in_order(weights: Mapping[str, float]) -> Weights:
        return tuple(weights.get(name, 0.0) for name in pool.names)

    phases = tuple(
        Phase(one.tokens, in_order(one.weights), None if one.end_weights is None else in_order(one.end_weights))
        for one in branch.stages
    )
    trunk = recipe.name if branch.trunk == OWN else branch.trunk
    if trunk not in {one.mixture for one in runs}:
        raise ConfigError(f"train.branches: {branch.name} goes on from {trunk}, and no run of it is planned.")
    for one in runs:
        if one.mixture == trunk:
            seed = one.spec.seed + branch.seed_offset
            training = _branch_training(branch, one.spec.training)
            name, at = f"{branch.name}-seed{seed}", Trunk(one.spec, branch.step)
            spec = RunSpec(name, phases, seed, training, recipe.max_epochs, trunk=at)
            run_data(spec, pool)  # its caps, over the trunk's steps too
            yield PlannedRun(branch.name, spec)


def _branch_training(branch: Branch, trunk: TrainingConfig) -> TrainingConfig:
    """Return the config of a branch: that of its trunk, with other tokens and perhaps another optimizer."""
    before = branch.step * trunk.tokens_per_step
    changes: dict[str, object] = {
        "num_tokens": before + sum(stage.tokens for stage in branch.stages),
        "milestone_every_steps": None,
    }
    if branch.optimizer is not None:
        changes["optimizer"] = branch.optimizer
    return validate(
        TrainingConfig, dict(trunk) | changes, f"train.branches: {branch.name}, with its trunk's {before:,} tokens"
    )


def _mistakes(params: TrainParams, recipe: Recipe, pool: TokenPool, data: str) -> Iterator[str]:
    """Yield what keeps a recipe from being executed, each in a sentence that says what to do."""
    if recipe.data is not None and recipe.data != data:
        yield (
            f"it was made for the tokens {recipe.data:.12}, and the pool's train split is {data:.12}. Run search again on "
            "this pool, or leave `data` out of a recipe that is meant for any pool."
        )
    yield from _wrong_lengths(recipe, params.training)
    yield from _nothing_to_evaluate(params.training, pool)
    if unknown := [name for name in recipe.domains if name not in pool.names]:
        yield (
            f"{len(unknown)} of its {len(recipe.domains)} domains are not in the pool: {', '.join(unknown)}. The pool has "
            f"{', '.join(pool.names)}."
        )
        return
    length = params.training.model.sequence_length
    rows = rows_of(pool, length, params.training.data)
    for mixture, phases in _mixtures(params, recipe, pool.names):
        if any(phase.num_tokens % length for phase in phases):
            continue
        try:
            check_caps(order_over(rows, phases, pool.names, params.seed), recipe.max_epochs, mixture)
        except ConfigError as error:
            yield str(error)


def _taken_names(params: TrainParams, recipe: Recipe) -> Iterator[str]:
    """Yield which branch is called as the recipe's own runs are."""
    if recipe.name in {branch.name for branch in params.branches}:
        yield f"its own runs are called {recipe.name}, as is a branch in train.branches; give the branch another name."


def _wrong_lengths(recipe: Recipe, training: TrainingConfig) -> Iterator[str]:
    """Yield what is wrong with the tokens of the stages."""
    if recipe.tokens != training.num_tokens:
        word = "longer" if recipe.tokens > training.num_tokens else "shorter"
        yield (
            f"its stages have {recipe.tokens:,} tokens and are {word} than the run, whose training.num_tokens is "
            f"{training.num_tokens:,}. Set both to the same number."
        )
    length, begun = training.model.sequence_length, 0
    for number, stage in enumerate(recipe.stages):
        samples, rest = divmod(stage.tokens, length)
        if rest:
            near = " or ".join(f"{count * length:,}" for count in (samples, samples + 1) if count)
            yield f"stages.{number}: {stage.tokens:,} tokens end within a sample of {length}; use {near}."
        if stage.hook is not None and (begun == 0 or begun % training.tokens_per_step):
            yield (
                f"stages.{number}: its hook would decide behind {begun:,} tokens; a hook decides between two steps of "
                f"{training.tokens_per_step:,}. Let the stages before it have whole steps."
            )
        begun += stage.tokens
    if training.milestone_every_steps is not None and any(stage.hook is not None for stage in recipe.stages):
        yield "its hooks decide on the way, and milestones are of a plan that stands: set milestone_every_steps to null."


def _nothing_to_evaluate(training: TrainingConfig, pool: TokenPool) -> Iterator[str]:
    """Yield which domains the run cannot be evaluated on when it gets there."""
    if training.evaluations is None:
        return
    # The first token is context only.
    pairs = zip(pool.names, pool.tokens(HELD_OUT).tolist(), pool.bytes(HELD_OUT).tolist(), strict=True)
    if empty := [name for name, tokens, size in pairs if tokens < 2 or not size]:
        yield (
            f"training.evaluations: {len(empty)} of {len(pool.names)} domains have no text in the split {HELD_OUT!r}; "
            f"first: {empty[0]}. Set evaluations to null, give the split a larger fraction, or merge the domain."
        )


def _mixtures(params: TrainParams, recipe: Recipe, names: Sequence[str]) -> Iterator[tuple[str, tuple[Phase, ...]]]:
    """Yield name and phases of each mixture that is asked for; a domain that the recipe leaves out has no weight."""

    def in_order(weights: Weights) -> Weights:
        given = dict(zip(recipe.domains, weights, strict=True))
        return tuple(given.get(name, 0.0) for name in names)

    chosen: tuple[MixtureName, ...] = params.mixtures if recipe.baselines else (OWN,)
    for mixture in chosen:
        if mixture == OWN:
            yield (
                recipe.name,
                tuple(
                    Phase(
                        stage.tokens,
                        in_order(stage.weights),
                        None if stage.end_weights is None else in_order(stage.end_weights),
                    )
                    for stage in recipe.stages
                ),
            )
        else:
            yield mixture, (Phase(params.training.num_tokens, in_order(recipe.baselines[mixture])),)
