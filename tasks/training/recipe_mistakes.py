"""What keeps a recipe from being executed on this pool with this config."""

from collections.abc import Callable, Iterator

from tasks.core.errors import ConfigError
from tasks.mixture.published import Recipe
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data import run_data
from tasks.training.held_out import SPLIT as HELD_OUT
from tasks.training.hooks.kinds import missing_teachers
from tasks.training.params import TrainParams
from tasks.training.recipe_phases import mixtures, own_phases, staged_training
from tasks.training.rows import SPLIT, DomainRows
from tasks.training.segments import Layout
from tasks.training.stage_caps import over_caps
from tasks.training.types import RunSpec, switch_mistakes

RowsOf = Callable[[Layout], tuple[DomainRows, ...]]


def recipe_mistakes(params: TrainParams, recipe: Recipe, pool: TokenPool, data: str, rows: RowsOf) -> Iterator[str]:
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
    if not params.teachers:
        yield from missing_teachers([stage.hook for stage in recipe.stages])
    yield from _nothing_to_evaluate(params.training, pool)
    if unknown := [name for name in recipe.domains if name not in pool.names]:
        yield (
            f"{len(unknown)} of its {len(recipe.domains)} domains are not in the pool: {', '.join(unknown)}. The pool has "
            f"{', '.join(pool.names)}."
        )
    with_metadata = any(stage.metadata for stage in recipe.stages)
    if params.planted and with_metadata:
        yield (
            "planted texts take the place of predicted tokens, and its stages have metadata, which is not predicted. Leave "
            "train.planted or metadata out."
        )
    if with_metadata and pool.domains[0].splits[SPLIT].prefixed is None:
        yield (
            "its stages have metadata, and the token pool has none. Set tokenize.metadata and run tokenize again, or leave "
            "metadata out of the stages."
        )
    elif not unknown and not tuple(switch_mistakes(own_phases(recipe, params.training.model), params.training)):
        yield from _over_caps(params, recipe, pool, rows)


def _over_caps(params: TrainParams, recipe: Recipe, pool: TokenPool, rows: RowsOf) -> Iterator[str]:
    """Yield which mixtures the pool has too few tokens for."""
    model = params.training.model
    for mixture, phases in mixtures(params, recipe, pool.names):
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


def taken_names(params: TrainParams, recipe: Recipe) -> Iterator[str]:
    """Yield which branch is called as the recipe's own runs are."""
    if recipe.name in {branch.name for branch in params.branches}:
        yield f"its own runs are called {recipe.name}, as is a branch in train.branches; give the branch another name."


def _wrong_stages(recipe: Recipe, training: TrainingConfig) -> Iterator[str]:
    """Yield what is wrong with the tokens and the model of the stages."""
    phases, begun, every = own_phases(recipe, training.model), 0, training.milestone_every_steps
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
