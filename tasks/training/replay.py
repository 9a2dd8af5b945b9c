"""Replay: a share of a stage's tokens is of what the model was trained on before, against forgetting (arXiv 2403.08763)."""

from collections.abc import Callable, Mapping, Sequence

from tasks.core.errors import ConfigError
from tasks.mixture.published import Recipe, RecipeStage, Weights
from tasks.training.params import Branch, BranchStage
from tasks.training.types import Phase, RunSpec, mean_weights

Before = Callable[[], Mapping[str, float] | None]


def replayed(recipe: Recipe, trained_on: Before) -> Recipe:
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


def replayed_branch(branch: Branch, trained_on: Before) -> Branch:
    """Return a branch with the weights that its stages have with their replay, and no replay any more.

    `trained_on` gives the tokens by domain that came before its first step, those of its trunk's start too; None = nobody
    knows.

    Raises:
        ConfigError: what a stage is to replay is not known.
    """
    if not any(stage.replay for stage in branch.stages):
        return branch
    stated = all(stage.replay is None or stage.replay.weights is not None for stage in branch.stages)
    before = {} if stated else trained_on()
    stages, tokens = list[BranchStage](), dict[str, float](before or {})
    for number, stage in enumerate(branch.stages):
        if stage.replay is not None:
            if stage.replay.weights is None and before is None:
                raise ConfigError(
                    f"train.branches: {branch.name}, stages.{number}.replay: nobody knows what the model of train.start "
                    "was trained on. Give replay.weights by domain."
                )
            stages.append(_branch_stage(stage, stage.replay.weights or _shares(tokens)))
        else:
            stages.append(stage)
        last = stages[-1]
        for weights in (last.weights, last.weights if last.end_weights is None else last.end_weights):
            tokens = _sum(tokens, {name: last.tokens * weight / 2 for name, weight in weights.items()})
    return branch.model_copy(update={"stages": tuple(stages)})


def read_before(
    spec: RunSpec, step: int, names: Sequence[str], started: Before, hooked: Mapping[RunSpec, Sequence[int]]
) -> dict[str, float] | None:
    """Return the tokens by domain that a run's mixtures ask for up to a step, with those of its trunks and of its start.

    `started` gives the start's, `hooked` the phases that hooks decide. None = nobody knows what the start has read.

    Raises:
        ConfigError: hooks decide what is read there.
    """
    trunk, made = spec.trunk, spec.tokens_before
    before = started() if trunk is None else read_before(trunk.spec, trunk.step, names, started, hooked)
    if before is None:
        return None
    tokens = dict(before)
    for number, phase in enumerate(spec.phases):
        taken = max(min(step * spec.training.tokens_per_step - made, phase.num_tokens), 0)
        if taken and number in hooked.get(spec, ()):
            raise ConfigError(
                f"replay: a hook decides the mixture of phase {number} of {spec.name} when it is trained, and replay is "
                "planned before. Give replay.weights by domain."
            )
        made += phase.num_tokens
        tokens = _sum(tokens, dict(zip(names, (taken * one for one in weights_until(phase, taken)), strict=True)))
    return tokens


def weights_until(phase: Phase, taken: float) -> Weights:
    """Return each domain's share of the first tokens of a phase, along its ramp."""
    share, last = taken / phase.num_tokens, phase.weights if phase.end_weights is None else phase.end_weights
    reached = tuple((1 - share) * first + share * end for first, end in zip(phase.weights, last, strict=True))
    return mean_weights(phase.weights, reached)


def _branch_stage(stage: BranchStage, mixture: Mapping[str, float]) -> BranchStage:
    assert stage.replay is not None
    share = stage.replay.share

    def mixed(weights: Mapping[str, float]) -> dict[str, float]:
        own = {name: (1 - share) * one for name, one in weights.items()}
        return _sum(own, {name: share * one for name, one in mixture.items() if one})

    ends = None if stage.end_weights is None else mixed(stage.end_weights)
    return stage.model_copy(update={"weights": mixed(stage.weights), "end_weights": ends, "replay": None})


def _shares(tokens: Mapping[str, float]) -> dict[str, float]:
    total = sum(tokens.values())
    return {name: one / total for name, one in tokens.items()}


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in dict.fromkeys((*one, *other))}
