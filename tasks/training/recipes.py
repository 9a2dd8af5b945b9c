"""From a recipe to runs: which there are, and whether this pool and this config can execute them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import accumulate, groupby
from typing import Literal

from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.mixture.published import MixtureName, Recipe, RecipeStage, Weights
from tasks.tokenize.pool import TokenPool
from tasks.training.chunks import Interleave
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.data import RunData, phases_of, run_data
from tasks.training.document_range import DocumentRange
from tasks.training.ewc.fisher import require_samples
from tasks.training.ewc.params import with_earlier
from tasks.training.held_out import SPLIT as HELD_OUT
from tasks.training.order import starved
from tasks.training.params import Branch, BranchStage, TrainParams
from tasks.training.planned import StageHook
from tasks.training.replay import Before, read_before, replayed, replayed_branch
from tasks.training.rows import SPLIT, DomainRows, rows_of
from tasks.training.schedules.changes import Rewarm
from tasks.training.segments import Layout
from tasks.training.stage_caps import over_caps
from tasks.training.starts.kinds import trained_on
from tasks.training.starts.start import Start
from tasks.training.types import Phase, RunSpec, Trunk, switch_mistakes

# In `train.mixtures`: the recipe's own stages.
OWN: Literal["searched"] = "searched"
RowsOf = Callable[[Layout], tuple[DomainRows, ...]]


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
    if found := (*_mistakes(params, recipe, pool, data, rows), *_taken_names(params, recipe)):
        raise ConfigError(
            f"{where}: {len(found)} mistake(s) for this pool and this run:\n" + "\n".join(f"  {one}" for one in found)
        )
    notes = [] if recipe.baselines else [f"{where}: it has no baselines, so that only its own stages are trained"]
    hooks = tuple(StageHook(index, one.hook) for index, one in enumerate(recipe.stages) if one.hook is not None) or None
    started = partial(trained_on, params.start)
    runs, training = list[PlannedRun](), staged_training(params.training, recipe.stages)
    training = with_earlier(training, started, pool.names, where)
    require_samples(training, pool, where)
    for mixture, phases in _mixtures(params, recipe, pool.names):
        for seed in range(params.seed, params.seed + params.num_seeds):
            name = f"{mixture}-seed{seed}"
            spec = RunSpec(
                name,
                phases,
                seed,
                training,
                recipe.max_epochs,
                optimizer_steps=optimizer_steps,
                teachers=tuple(teachers) or None,
            )
            runs.append(PlannedRun(mixture, spec, hooks if mixture == recipe.name else None))
        first = RunSpec(mixture, phases, params.seed, training)
        if missed := _starved(first, run_data(first, pool, rows)):
            notes.append(f"{mixture}: too small a weight for a single sample: {', '.join(missed)}")
    for branch in params.branches:
        runs += _branch(branch, tuple(runs), recipe, pool, started)
    return PlannedRuns(tuple(runs), tuple(notes))


def staged_training(training: TrainingConfig, stages: Sequence[RecipeStage]) -> TrainingConfig:
    """Return the config of runs whose stages may have schedules of their own: each rules from its first step on.

    Raises:
        ConfigError: a schedule does not fit into its stage.
    """
    changes, rewarms, begun = dict[str, object](), list[Rewarm](), 0
    for stage in stages:
        if stage.schedule is not None and begun:
            step, warmup, peak = begun // training.tokens_per_step, stage.warmup_steps or 0, stage.peak_fraction or 1.0
            rewarms.append(Rewarm(step=step, warmup_steps=warmup, peak_fraction=peak, schedule=stage.schedule))
        elif stage.schedule is not None:
            changes["schedule"] = stage.schedule
            changes |= {} if stage.warmup_steps is None else {"warmup_steps": stage.warmup_steps}
        begun += stage.tokens
    training = _evaluated(training, stages)
    if not changes and not rewarms:
        return training
    optimizer = dict(training.optimizer) | changes | ({"rewarms": tuple(rewarms)} if rewarms else {})
    return validate(TrainingConfig, dict(training) | {"optimizer": optimizer}, "with the schedules of its stages")


def _evaluated(training: TrainingConfig, stages: Sequence[RecipeStage]) -> TrainingConfig:
    """Return the config with the steps at which stages end, where evaluations are asked for there."""
    evaluations = training.evaluations
    if evaluations is None or not evaluations.at_stages:
        return training
    ends = [tokens // training.tokens_per_step for tokens in accumulate(stage.tokens for stage in stages)]
    return training.model_copy(update={"evaluations": evaluations.with_stages(ends)})


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
            *_own_model(one, model),
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


def _mistakes(params: TrainParams, recipe: Recipe, pool: TokenPool, data: str, rows: RowsOf) -> Iterator[str]:
    """Yield what keeps a recipe from being executed, each in a sentence that says what to do."""
    if recipe.data is not None and recipe.data != data:
        yield (
            f"it was made for the tokens {recipe.data:.12}, and the pool's train split is {data:.12}. Run search again on "
            "this pool, or leave `data` out of a recipe that is meant for any pool."
        )
    if recipe.tokens != params.training.num_tokens:
        word = "longer" if recipe.tokens > params.training.num_tokens else "shorter"
        yield (
            f"its stages have {recipe.tokens:,} tokens and are {word} than the run, whose training.num_tokens is "
            f"{params.training.num_tokens:,}. Set both to the same number."
        )
    elif found := tuple(_wrong_schedules(recipe, params.training)):
        yield from found
    yield from _wrong_stages(recipe, params.training)
    yield from _nothing_to_evaluate(params.training, pool)
    if unknown := [name for name in recipe.domains if name not in pool.names]:
        yield (
            f"{len(unknown)} of its {len(recipe.domains)} domains are not in the pool: {', '.join(unknown)}. The pool has "
            f"{', '.join(pool.names)}."
        )
    if params.planted and any(stage.metadata for stage in recipe.stages):
        yield (
            "planted texts take the place of predicted tokens, and its stages have metadata, which is not predicted. Leave "
            "train.planted or metadata out."
        )
    if any(stage.metadata for stage in recipe.stages) and pool.domains[0].splits[SPLIT].prefixed is None:
        yield (
            "its stages have metadata, and the token pool has none. Set tokenize.metadata and run tokenize again, or leave "
            "metadata out of the stages."
        )
        return
    if unknown or tuple(switch_mistakes(_own_phases(recipe, params.training.model), params.training)):
        return
    model = params.training.model
    for mixture, phases in _mixtures(params, recipe, pool.names):
        if any(phase.num_tokens % phase.model(model).sequence_length for phase in phases):
            continue
        tokens = sum(phase.num_tokens for phase in phases)
        training = params.training.model_copy(update={"num_tokens": tokens})
        try:
            run_data(RunSpec(mixture, phases, params.seed, training, recipe.max_epochs), pool, rows)
        except ConfigError as error:
            yield str(error)
        else:
            own = recipe.stages if mixture == recipe.name else ()
            yield from over_caps(phases[: len(own)], [one.max_epochs for one in own], pool.names, model, rows)


def _taken_names(params: TrainParams, recipe: Recipe) -> Iterator[str]:
    """Yield which branch is called as the recipe's own runs are."""
    if recipe.name in {branch.name for branch in params.branches}:
        yield f"its own runs are called {recipe.name}, as is a branch in train.branches; give the branch another name."


def _wrong_stages(recipe: Recipe, training: TrainingConfig) -> Iterator[str]:
    """Yield what is wrong with the tokens and the model of the stages."""
    phases, begun, every = _own_phases(recipe, training.model), 0, training.milestone_every_steps
    for number, (stage, phase) in enumerate(zip(recipe.stages, phases, strict=True)):
        length = phase.model(training.model).sequence_length
        samples, rest = divmod(stage.tokens, length)
        if rest:
            near = " or ".join(f"{count * length:,}" for count in (samples, samples + 1) if count)
            yield f"stages.{number}: {stage.tokens:,} tokens end within a sample of {length}; use {near}."
        if stage.hook is not None and (begun == 0 or begun % training.tokens_per_step):
            yield (
                f"stages.{number}: its hook would decide behind {begun:,} tokens; a hook decides between two steps of "
                f"{training.tokens_per_step:,}. Let the stages before it have whole steps."
            )
        elif stage.hook is not None and every is not None and (begun // training.tokens_per_step) % every:
            yield (
                f"stages.{number}: its hook decides behind step {begun // training.tokens_per_step}, which is no milestone "
                f"with training.milestone_every_steps {every}. Set that to a divisor of the step, or to null."
            )
        begun += stage.tokens
        if training.evaluations is not None and training.evaluations.at_stages and begun % training.tokens_per_step:
            yield (
                f"stages.{number}: it ends behind {begun:,} tokens, within a step of {training.tokens_per_step:,}, and "
                "evaluations.at_stages asks for its end. Let stages have whole steps, or name at_steps."
            )
    for number, mistake in switch_mistakes(phases, training):
        yield f"stages.{number}: {mistake}"


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


def _wrong_schedules(recipe: Recipe, training: TrainingConfig) -> Iterator[str]:
    """Yield what is wrong with the schedules of the stages."""
    begun, found = 0, list[str]()
    for number, stage in enumerate(recipe.stages):
        if stage.schedule is not None and begun % training.tokens_per_step:
            found.append(
                f"stages.{number}: its schedule would begin behind {begun:,} tokens, within a step of "
                f"{training.tokens_per_step:,}. Let the stages before it have whole steps."
            )
        if stage.peak_fraction is not None and not begun:
            found.append(
                "stages.0: peak_fraction is a share of the peak that the run begins with; leave it out, and set "
                "training.optimizer.learning_rate."
            )
        begun += stage.tokens
    optimizer, scheduled = training.optimizer, [stage for stage in recipe.stages if stage.schedule is not None]
    if scheduled and (optimizer.rewarms or optimizer.decay_from is not None):
        found.append(
            "its stages have schedules, and so has training.optimizer for later steps, by rewarms or decay_from. Leave one "
            "of them out."
        )
    yield from found
    if scheduled and not found:
        try:
            staged_training(training, recipe.stages)
        except ConfigError as error:
            yield str(error)


def _mixtures(params: TrainParams, recipe: Recipe, names: Sequence[str]) -> Iterator[tuple[str, tuple[Phase, ...]]]:
    """Yield name and phases of each mixture that is asked for; a domain that the recipe leaves out has no weight."""

    def in_order(weights: Weights) -> Weights:
        given = dict(zip(recipe.domains, weights, strict=True))
        return tuple(given.get(name, 0.0) for name in names)

    model = params.training.model
    chosen: tuple[MixtureName, ...] = params.mixtures if recipe.baselines else (OWN,)
    for mixture in chosen:
        if mixture == OWN:
            ends = [None if one.end_weights is None else in_order(one.end_weights) for one in recipe.stages]
            pairs = zip(recipe.stages, ends, strict=True)
            yield recipe.name, tuple(phase_of(stage, in_order(stage.weights), model, end) for stage, end in pairs)
        else:
            weights = in_order(recipe.baselines[mixture])
            alike = [(own, [*some]) for own, some in groupby(recipe.stages, lambda stage: _own_model(stage, model))]
            tokens = [sum(one.tokens for one in some) for _, some in alike]
            if len(alike) == 1:
                tokens = [params.training.num_tokens]
            yield mixture, tuple(Phase(own, weights, None, *one) for own, (one, _) in zip(tokens, alike, strict=True))


def _own_phases(recipe: Recipe, model: ModelConfig) -> list[Phase]:
    """Return the stages as phases, with the weights that they state."""
    return [phase_of(stage, stage.weights, model) for stage in recipe.stages]


def phase_of(stage: RecipeStage, weights: Weights, model: ModelConfig, end_weights: Weights | None = None) -> Phase:
    """Return a stage as a phase of a run, with weights in the order of its pool."""
    return Phase(stage.tokens, weights, end_weights, *_own_model(stage, model))


def _own_model(
    stage: RecipeStage | BranchStage, model: ModelConfig
) -> tuple[int | None, float | None, bool | None, Interleave | None, DocumentRange | None]:
    """Return sequence length and RoPE base of a stage, None where they are the run's, and what else its rows are like."""
    length, base = stage.sequence_length, stage.rope_base
    own = None if length == model.sequence_length else length, None if base == model.rope_base else base
    return *own, stage.metadata or None, stage.interleave, stage.documents
