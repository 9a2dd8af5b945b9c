"""From a recipe to runs: which there are, and whether this pool and this config can execute them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.mixture.published import Recipe, Weights
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data import RunData, phases_of, run_data
from tasks.training.ewc.fisher import require_samples
from tasks.training.ewc.params import with_earlier
from tasks.training.order import starved
from tasks.training.params import Branch, TrainParams
from tasks.training.planned import StageHook
from tasks.training.recipe_mistakes import RowsOf, recipe_mistakes, taken_names
from tasks.training.recipe_phases import OWN, mixtures, own_model, staged_training
from tasks.training.replay import Before, read_before, replayed, replayed_branch
from tasks.training.rows import rows_of
from tasks.training.stage_caps import over_caps
from tasks.training.starts.kinds import trained_on
from tasks.training.starts.start import Start
from tasks.training.types import Phase, RunSpec, Trunk


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


def planned_runs(
    params: TrainParams,
    recipe: Recipe,
    pool: TokenPool,
    data: str,
    where: str,
    optimizer_steps: int | None = None,
    teachers: Sequence[Start] = (),
) -> PlannedRuns:
    """Return the runs, mixture by mixture; runs with the same seed are paired.

    A baseline has constant weights, and the schedules, sequence lengths and RoPE bases of the recipe's stages. `data` is the
    digest of the pool's train split, `where` names the recipe. The runs go on with an optimizer that has made
    `optimizer_steps` (None = a new one), and all learn from the `teachers`. Of a recipe without baselines its own stages
    alone are trained.

    Raises:
        ConfigError: all that keeps the recipe from being executed here, before the first step.
    """
    recipe = replayed(recipe, partial(trained_on, params.start))
    rows: RowsOf = cache(partial(rows_of, pool, config=params.training.data))
    if found := (*recipe_mistakes(params, recipe, pool, data, rows), *taken_names(params, recipe)):
        raise ConfigError(
            f"{where}: {len(found)} mistake(s) for this pool and this run:\n" + "\n".join(f"  {one}" for one in found)
        )
    notes = [] if recipe.baselines else [f"{where}: it has no baselines, so that only its own stages are trained"]
    hooks = tuple(StageHook(index, one.hook) for index, one in enumerate(recipe.stages) if one.hook is not None) or None
    started = partial(trained_on, params.start)
    runs, training = list[PlannedRun](), staged_training(params.training, recipe.stages)
    training = with_earlier(training, started, pool.names, where)
    require_samples(training, pool, where)
    for mixture, phases in mixtures(params, recipe, pool.names):
        first = RunSpec(mixture, phases, params.seed, training)
        every = replace(
            first, max_epochs=recipe.max_epochs, optimizer_steps=optimizer_steps, teachers=tuple(teachers) or None
        )
        for seed in range(params.seed, params.seed + params.num_seeds):
            spec = replace(every, name=f"{mixture}-seed{seed}", seed=seed)
            runs.append(PlannedRun(mixture, spec, hooks if mixture == recipe.name else None))
        if missed := _starved(first, run_data(first, pool, rows)):
            notes.append(f"{mixture}: too small a weight for a single sample: {', '.join(missed)}")
    for branch in params.branches:
        runs += _branch(branch, tuple(runs), recipe, pool, started)
    return PlannedRuns(tuple(runs), tuple(notes))


def _starved(spec: RunSpec, data: RunData) -> tuple[str, ...]:
    """Return the domains that have a weight in some phase and not one sample there."""
    missed = [name for part in data.parts for name in starved(part.order, phases_of(spec, part.layout))]
    return tuple(dict.fromkeys(missed))


def _branch(
    branch: Branch, runs: Sequence[PlannedRun], recipe: Recipe, pool: TokenPool, started: Before
) -> Iterator[PlannedRun]:
    """Yield a branch of every run of its trunk, which may be a branch itself; `started` says what the start has read.

    Raises:
        ConfigError: it names a domain that the pool does not have, ends within a step, repeats a domain too often, or
            replays what nobody knows.
    """
    trunk = recipe.name if branch.trunk == OWN else branch.trunk
    if trunk not in {one.mixture for one in runs}:
        raise ConfigError(f"train.branches: {branch.name} goes on from {trunk}, and no run of it is planned.")
    before = next(one.spec for one in runs if one.mixture == trunk)
    hooked = {one.spec: [hook.phase for hook in one.hooks or ()] for one in runs}
    read = partial(read_before, before, branch.step, pool.names, started, hooked)
    branch = replayed_branch(branch, read)
    named = [name for stage in branch.stages for name in (*stage.weights, *(stage.end_weights or ()))]
    if unknown := sorted({*named} - {*pool.names}):
        raise ConfigError(
            f"train.branches: {branch.name} has weights for {', '.join(unknown)}. The pool has {', '.join(pool.names)}."
        )

    def in_order(weights: Mapping[str, float]) -> Weights:
        return tuple(weights.get(name, 0.0) for name in pool.names)

    model = runs[0].spec.training.model
    phases = tuple(
        Phase(
            one.tokens,
            in_order(one.weights),
            None if one.end_weights is None else in_order(one.end_weights),
            *own_model(one, model),
        )
        for one in branch.stages
    )
    rows: RowsOf = cache(partial(rows_of, pool, config=runs[0].spec.training.data))
    caps = [one.max_epochs for one in branch.stages]
    if over := tuple(over_caps(phases, caps, pool.names, model, rows)):
        raise ConfigError(f"train.branches: {branch.name}, {'; '.join(over)}")
    for one in runs:
        if one.mixture == trunk:
            seed = one.spec.seed + branch.seed_offset
            training = _branch_training(branch, one.spec.training)
            if branch.ewc is not None:
                training = with_earlier(training, read, pool.names, f"train.branches: {branch.name}")
                require_samples(training, pool, f"train.branches: {branch.name}")
            name, at = f"{branch.name}-seed{seed}", Trunk(one.spec, branch.step)
            spec = replace(one.spec, name=name, phases=phases, seed=seed, training=training, trunk=at)
            run_data(spec, pool)  # its caps, over the trunk's steps too
            yield PlannedRun(branch.name, spec)


def _branch_training(branch: Branch, trunk: TrainingConfig) -> TrainingConfig:
    """Return the config of a branch: that of its trunk, with other tokens and perhaps another optimizer."""
    before = branch.step * trunk.tokens_per_step
    branch_tokens = before + branch.tokens
    changes: dict[str, object] = {
        "num_tokens": branch_tokens,
        "milestone_every_steps": branch.milestone_every_steps,
    }
    if branch.ewc is not None:
        changes["ewc"] = branch.ewc
    if branch.optimizer is not None:
        changes["optimizer"] = branch.optimizer
    if trunk.evaluations is not None:
        changes["evaluations"] = trunk.evaluations.within(branch_tokens // trunk.tokens_per_step)
    return validate(
        TrainingConfig, dict(trunk) | changes, f"train.branches: {branch.name}, with its trunk's {before:,} tokens"
    )
