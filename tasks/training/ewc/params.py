"""Elastic weight consolidation (EWC; Kirkpatrick et al., arXiv 1612.00796), as an option of a training config."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params

if TYPE_CHECKING:
    from tasks.training.config import TrainingConfig


class EarlierDomain(Params):
    """A domain that was learnt before, and its share of the tokens that the Fisher information is estimated on."""

    domain: str = Field(min_length=1)
    weight: PositiveFloat


class Ewc(Params):
    """Adds strength / 2 x the sum of F (w - w0)^2 over all weights to what a step minimises, the mean nats of its tokens.

    w0 are the weights that a run, or a branch, begins with, F the diagonal of their Fisher information per token.
    """

    strength: NonNegativeFloat = Field(description="lambda; no source gives one for language models: an axis; 0 = none")
    tokens: PositiveInt = Field(description="of the earlier domains that F is estimated on: whole samples, each once")
    earlier: tuple[EarlierDomain, ...] = Field(
        default=(),
        description="domains with weights that sum to 1; none = as the start, or the trunk, was trained on them",
    )
    seed: int = Field(default=0, ge=0, description="of the samples that F is estimated on, the same for all runs")

    def mistakes(self) -> Iterator[str]:
        """Yield what is wrong with the domains."""
        names, total = [one.domain for one in self.earlier], sum(one.weight for one in self.earlier)
        if len({*names}) < len(names):
            yield f"ewc.earlier: a domain stands twice in {', '.join(names)}"
        if names and not isclose(total, 1.0, abs_tol=1e-6):
            yield f"ewc.earlier: the weights sum to {total:.6f}, not to 1"


def ewc_mistakes(training: "TrainingConfig") -> Iterator[str]:
    """Yield why a run cannot be held near to its start."""
    if training.ewc is not None and training.ewc.tokens % training.model.sequence_length:
        yield (
            f"ewc.tokens {training.ewc.tokens} are no whole number of samples of {training.model.sequence_length}; use a "
            "multiple of sequence_length"
        )


def with_earlier(
    training: "TrainingConfig", before: Callable[[], Mapping[str, float] | None], names: Sequence[str], where: str
) -> "TrainingConfig":
    """Return the config with the domains that F is estimated on, of a pool with these domains.

    `before` gives the tokens by domain that the weights which a run begins with were trained on; None = nobody knows.

    Raises:
        ConfigError: nobody knows what they were trained on, or the pool lacks a domain.
    """
    if training.ewc is None:
        return training
    earlier = training.ewc.earlier
    tokens = before() if not earlier else None
    if not earlier and not tokens:
        raise ConfigError(
            f"{where}: ewc: nobody knows what the model of the start was trained on. Name ewc.earlier: domains of the pool "
            "that are like it, with weights."
        )
    if not earlier:
        assert tokens, "refused above"
        total = sum(tokens.values())
        earlier = tuple(EarlierDomain(domain=name, weight=one / total) for name, one in tokens.items() if one)
    if strangers := [one.domain for one in earlier if one.domain not in names]:
        raise ConfigError(
            f"{where}: ewc: {len(strangers)} of {len(earlier)} earlier domains are not in the pool; first: {strangers[0]}. "
            f"It has {', '.join(names)}. Add their text, or name ewc.earlier."
        )
    return training.model_copy(update={"ewc": training.ewc.model_copy(update={"earlier": earlier})})
