"""More of the domains in which the model is furthest behind its teachers (DDK, arXiv 2407.16154)."""

from collections.abc import Sequence
from math import exp, log
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.training.hooks.boundary import Boundary, Weights


class Ddk(Params):
    """Go on from the weights so far, r, to a q / sum(q) + (1 - a) / N over the N domains that the stage has a weight for.

    q = r exp(perplexity of the model / perplexity of its teachers), in the train split when the stage begins. The paper has
    it of 500 held-out samples of a domain, every 1,000 steps.
    """

    kind: Literal["ddk"]
    change: float = Field(default=0.5, gt=0, le=1, description="a; the rest is the same for each domain")
    largest_ratio: PositiveFloat = Field(
        default=5.0,
        description="of perplexities, at most: early in a run they may be far apart; a guess, not the paper's",
    )
    tokens_per_domain: PositiveInt = Field(default=16_384, description="measured on, spread over the domain")


def decide(config: Ddk, boundary: Boundary) -> Weights:
    """Return weights in the pool's order, which sum to 1."""
    from tasks.training.measure import nats_per_token
    from tasks.training.teachers.loaded import teacher_models

    pool, length = boundary.pool, boundary.model.config.sequence_length
    limits = [config.tokens_per_domain if weight else 0 for weight in boundary.weights]
    teachers = teacher_models(boundary.teachers, pool.vocab_size, "cpu")
    ours, theirs = (nats_per_token(each, pool, "train", limits, length) for each in (boundary.model, teachers))
    ratios = {name: exp(min(nats - theirs[name], log(config.largest_ratio))) for name, nats in ours.items()}
    return next_weights(config, boundary.before, [ratios.get(name) for name in pool.names])


def next_weights(config: Ddk, before: Sequence[float], ratios: Sequence[float | None]) -> Weights:
    """Return the weights behind `before` where perplexities have these ratios; None = the stage has no weight for a domain.

    >>> next_weights(Ddk(kind="ddk"), [0.5, 0.5, 0.0], [2.0, 2.0, None])
    (0.5, 0.5, 0.0)
    """
    raised = [0.0 if ratio is None else weight * exp(ratio) for weight, ratio in zip(before, ratios, strict=True)]
    alike, total = 1 / sum(ratio is not None for ratio in ratios), sum(raised)
    # Where none of the stage's domains was trained on before, all are alike.
    return tuple(
        0.0 if ratio is None else config.change * (own / total if total else alike) + (1 - config.change) * alike
        for own, ratio in zip(raised, ratios, strict=True)
    )
