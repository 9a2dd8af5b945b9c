"""Replay: a share of a stage's tokens is of what the model was trained on before, against forgetting (arXiv 2403.08763)."""

from collections.abc import Callable, Mapping, Sequence

from tasks.core.errors import ConfigError
from tasks.mixture.published import Recipe, RecipeStage, Weights


def replayed(recipe: Recipe, trained_on: Callable[[], Mapping[str, float] | None]) -> Recipe:
    """Return a recipe with the weights that its stages have with their replay, and no replay any more.

    `trained_on` gives the tokens by domain that the start was trained on: of new weights none, None = nobody knows.

    Raises:
        ConfigError: what a stage is to replay is not known, is nothing, or is of domains that the recipe does not have.
    """
    if not any(stage.replay for stage in recipe.stages):
        return recipe
    before, found = trained_on(), list[RecipeStage]()
    for number, stage in enumerate(recipe.stages):
        found.append(_with_replay(stage, _mixture(recipe, number, found, before)) if stage.replay else stage)
    return recipe.model_copy(update={"stages": tuple(found)})


def _mixture(recipe: Recipe, number: int, made: Sequence[RecipeStage], before: Mapping[str, float] | None) -> Weights:
    """Return what a stage replays: its own statement, or the tokens that the model was trained on before, by domain."""
    replay, where = recipe.stages[number].replay, f"stages.{number}.replay"
    assert replay is not None
    if replay.weights is not None:
        return replay.weights
    if before is None:
        raise ConfigError(
            f"{where}: nobody knows what the model of train.start was trained on. Give replay.weights, in the order of the "
            "domains."
        )
    if strangers := sorted(name for name, tokens in before.items() if tokens and name not in recipe.domains):
        raise ConfigError(
            f"{where}: the start was trained on {len(strangers)} domains that the recipe has not; first: {strangers[0]}. "
            "Add them to its domains (with weight 0 where they are only replayed), or give replay.weights."
        )
    tokens = [before.get(name, 0.0) for name in recipe.domains]
    for stage in made:
        tokens = [one + stage.tokens * weight for one, weight in zip(tokens, stage.mean_weights, strict=True)]
    if not (total := sum(tokens)):
        raise ConfigError(
            f"{where}: nothing was trained on before the first stage of new weights. Leave replay out there."
        )
    return tuple(one / total for one in tokens)


def _with_replay(stage: RecipeStage, mixture: Weights) -> RecipeStage:
    assert stage.replay is not None
    share = stage.replay.share

    def mixed(weights: Weights) -> Weights:
        return tuple((1 - share) * own + share * old for own, old in zip(weights, mixture, strict=True))

    ends = None if stage.end_weights is None else mixed(stage.end_weights)
    return stage.model_copy(update={"weights": mixed(stage.weights), "end_weights": ends, "replay": None})
