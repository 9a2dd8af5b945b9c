"""A recipe's stages as phases of runs: their weights in the order of the pool, their models and their schedules."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Literal

from tasks.core.params import validate
from tasks.mixture.published import MixtureName, Recipe, RecipeStage, Weights
from tasks.training.chunks import Interleave
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.document_range import DocumentRange
from tasks.training.params import BranchStage, TrainParams
from tasks.training.schedules.changes import Rewarm
from tasks.training.types import Phase

# In `train.mixtures`: the recipe's own stages.
OWN: Literal["searched"] = "searched"


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


def mixtures(params: TrainParams, recipe: Recipe, names: Sequence[str]) -> Iterator[tuple[str, tuple[Phase, ...]]]:
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
            alike = [(own, [*some]) for own, some in groupby(recipe.stages, lambda stage: own_model(stage, model))]
            tokens = [sum(one.tokens for one in some) for _, some in alike]
            if len(alike) == 1:
                tokens = [params.training.num_tokens]
            yield mixture, tuple(Phase(own, weights, None, *one) for own, (one, _) in zip(tokens, alike, strict=True))


def own_phases(recipe: Recipe, model: ModelConfig) -> list[Phase]:
    """Return the stages as phases, with the weights that they state."""
    return [phase_of(stage, stage.weights, model) for stage in recipe.stages]


def phase_of(stage: RecipeStage, weights: Weights, model: ModelConfig, end_weights: Weights | None = None) -> Phase:
    """Return a stage as a phase of a run, with weights in the order of its pool."""
    return Phase(stage.tokens, weights, end_weights, *own_model(stage, model))


def own_model(
    stage: RecipeStage | BranchStage, model: ModelConfig
) -> tuple[int | None, float | None, bool | None, Interleave | None, DocumentRange | None]:
    """Return sequence length and RoPE base of a stage, None where they are the run's, and what else its rows are like."""
    length, base = stage.sequence_length, stage.rope_base
    own = None if length == model.sequence_length else length, None if base == model.rope_base else base
    return *own, stage.metadata or None, stage.interleave, stage.documents
