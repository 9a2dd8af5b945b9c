"""A last stage with a mixture of its own, searched by branches off one trunk.

The trunk is a proxy on the mixture that was picked, up to where the last stage begins. From there each candidate trains the
rest, with the trunk's weights, optimizer state and data order, so that candidates differ by nothing but their last tokens:
moving weight to one domain at the end tells what that domain is worth there (arXiv 2406.03476). Where no candidate beats
staying by more than chance, the mixture stays.

Axes: S seeds, C candidates (the first stays), D domains, H held-out sets.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.params import Params
from tasks.mixture.problem import Problem, filled
from tasks.mixture.published import RecipeStage, Weights
from tasks.mixture.published_candidates import DecayCandidate, DecayChoice

_CONFIDENCE = 0.95
STAY = "stays"


class DecayStage(Params):
    """A last stage of the recipe, whose mixture is searched by branches; its schedule is the proxy's."""

    share: float = Field(default=0.2, gt=0, lt=1, description="of the run's tokens, at its end")
    shift: float = Field(default=0.5, gt=0, le=1, description="weight that a candidate moves to one domain")
    num_seeds: int = Field(default=3, ge=2, description="trunks, and branches of each candidate")


@dataclass(frozen=True)
class DecayRuns:
    """What the branches of every seed were measured to be, [S][C][H], as the search's runs; and the candidates' mixtures."""

    names: tuple[str, ...]
    weights: tuple[Weights, ...]
    losses: tuple[tuple[tuple[float, ...], ...], ...]


def decay_candidates(problem: Problem, weights: Weights, stage: DecayStage) -> dict[str, Weights]:
    """Return the mixtures that are tried at the end, by name: staying, and a shift to each trainable domain.

    What the trunk takes counts against the caps of the whole run.
    """
    before_D = (1 - stage.share) * np.array(weights)
    caps_D = np.clip((problem.caps_D - before_D) / stage.share, 0.0, 1.0)
    found = {STAY: weights}
    for place, domain in enumerate(problem.domains):
        if domain.trainable:
            shares_D = (1 - stage.shift) * np.array(weights)
            shares_D[place] += stage.shift
            found[f"more of {domain.name}"] = tuple(filled(shares_D, caps_D).tolist())
    return found


def decay_choice(runs: DecayRuns, objective: npt.ArrayLike, stage: DecayStage) -> DecayChoice:
    """Return what each candidate gains over staying, and which one ends the recipe.

    The best one, if its gain is above 0 with 95 % confidence: Student's t over paired seeds, for the best of many
    (Bonferroni).
    """
    from scipy.stats import t as student

    values_SC = np.array(runs.losses) @ np.array(objective)
    gains_SC = values_SC[:, :1] - values_SC
    means_C, seeds, others = gains_SC.mean(axis=0), len(gains_SC), len(runs.names) - 1
    best = 1 + int(np.argmax(means_C[1:]))
    error = float(gains_SC[:, best].std(ddof=1)) / sqrt(seeds)
    lower = float(means_C[best]) - float(student.ppf(1 - (1 - _CONFIDENCE) / others, seeds - 1)) * error
    chosen = best if lower > 0 else 0
    candidates = tuple(
        DecayCandidate(name=name, weights=weights, gains=tuple(gains))
        for name, weights, gains in zip(runs.names, runs.weights, gains_SC.T.tolist(), strict=True)
    )
    return DecayChoice(
        share=stage.share, candidates=candidates, chosen=runs.names[chosen], best=runs.names[best], lower=lower
    )


def recipe_stages(
    weights: Weights, tokens: int, sequence_length: int, choice: DecayChoice | None
) -> tuple[RecipeStage, ...]:
    """Return the stages of a recipe of `tokens`: one, or two where the last part has a mixture of its own."""
    if choice is None or choice.chosen == STAY:
        return (RecipeStage(tokens=tokens, weights=weights),)
    (last,) = (one.weights for one in choice.candidates if one.name == choice.chosen)
    samples = tokens // sequence_length
    first = min(max(round((1 - choice.share) * samples), 1), samples - 1) * sequence_length
    return (RecipeStage(tokens=first, weights=weights), RecipeStage(tokens=tokens - first, weights=last))
