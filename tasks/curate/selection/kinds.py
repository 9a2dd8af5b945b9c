"""The kinds of selection, and the choice of one. A kind is a module with a frozen config and a `METHOD`.

Selections of several stand here, for they hold the union: `choosing` says what they keep.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, assert_never

from pydantic import Field

from tasks.core.params import Params
from tasks.curate.selection import bernoulli, quantiles, quota, sampled, threshold, weighted
from tasks.curate.selection.bernoulli import Bernoulli
from tasks.curate.selection.method import GROUPS, SelectionMethod
from tasks.curate.selection.quantiles import Quantiles
from tasks.curate.selection.quota import Quota
from tasks.curate.selection.sampled import Sampled
from tasks.curate.selection.threshold import Threshold
from tasks.curate.selection.weighted import Weighted

Keeping = Annotated[Bernoulli | Quantiles | Quota | Sampled | Threshold, Field(discriminator="kind")]


class AllOf(Params):
    """Keep what every one of these keeps of the same documents; of selections in a row, each sees what the last one left."""

    kind: Literal["all_of"] = "all_of"
    of: Annotated[tuple[Keeping, ...], Field(min_length=2)]


class AnyOf(Params):
    """Keep what at least one of these keeps of the same documents."""

    kind: Literal["any_of"] = "any_of"
    of: Annotated[
        tuple[Annotated[AllOf | Bernoulli | Quantiles | Quota | Sampled | Threshold, Field(discriminator="kind")], ...],
        Field(min_length=2),
    ]


Single = Bernoulli | Quantiles | Quota | Sampled | Threshold | Weighted
Selection = Annotated[
    AllOf | AnyOf | Bernoulli | Quantiles | Quota | Sampled | Threshold | Weighted, Field(discriminator="kind")
]


def method(config: Single) -> SelectionMethod:
    """Return what a kind of selection is."""
    match config:
        case Bernoulli():
            return bernoulli.METHOD
        case Quantiles():
            return quantiles.METHOD
        case Quota():
            return quota.METHOD
        case Sampled():
            return sampled.METHOD
        case Threshold():
            return threshold.METHOD
        case Weighted():
            return weighted.METHOD
        case _ as other:
            assert_never(other)


def singles(config: Selection) -> Iterator[Single]:
    """Yield the selections that one is made of, or the one itself."""
    if isinstance(config, AllOf | AnyOf):
        for one in config.of:
            yield from singles(one)
    else:
        yield config


def columns_of(config: Selection) -> tuple[str, ...]:
    """Return the names of the scores that a selection is made by, each once."""
    return tuple(dict.fromkeys(one.score for one in singles(config) if one.score is not None))


def named(config: Selection) -> tuple[str, ...]:
    """Return the columns that a selection looks at, each once: scores, and those that it makes groups by."""
    groups = (name for one in singles(config) for name in one.by if name not in GROUPS)
    return tuple(dict.fromkeys((*columns_of(config), *groups)))


def words_of(config: Selection) -> str:
    """Return what is kept, for people."""
    if isinstance(config, AllOf | AnyOf):
        between = " and " if isinstance(config, AllOf) else " or "
        return between.join(f"({words_of(one)})" for one in config.of)
    by = f", of each {' and '.join(config.by)}" if config.by else ""
    return method(config).words(config) + by


def name_of(config: Selection) -> str:
    """Return what a selection is called in the reason of a document that it does not keep.

    >>> name_of(Quota(by=("source", "language"), at_most_tokens=5))
    'quota_by_source_and_language'
    """
    if isinstance(config, AllOf | AnyOf):
        return ("_and_" if isinstance(config, AllOf) else "_or_").join(dict.fromkeys(map(name_of, config.of)))
    return config.score if config.score is not None else f"quota_by_{'_and_'.join(config.by)}"
