"""How much of each group is kept at most: tokens, or a share; what is missing is never repeated instead."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.core.errors import DataError
from tasks.core.params import Params
from tasks.curate.selection.method import (
    By,
    Chosen,
    Groups,
    Ints,
    Name,
    Seed,
    SelectionMethod,
    Values,
    highest,
    uniform,
)

Share = Annotated[float, Field(gt=0, le=1)]
Tokens = Annotated[int, Field(ge=0)]
# What rounding leaves of a share that is met.
_ROUNDING = 1e-9


class Quota(Params):
    """Keep of each group `at_most_tokens`, or `at_most_share`; those of `tokens` and `shares` have a limit of their own.

    Groups are called as they are told: `web`, and of two columns `web, en`. A share is one of all that the quotas let
    through, or of `of_tokens`: then every group needs a share. Kept are the documents with the highest `score`, or, without
    one, as many at random, by `seed` and id. A document is kept whole: of its quota a group fills all but a part of one.
    """

    kind: Literal["quota"] = "quota"
    by: Annotated[By, Field(min_length=1)]
    score: Name | None = None
    at_most_tokens: Tokens | None = None
    at_most_share: Share | None = None
    tokens: dict[str, Tokens] = Field(default_factory=dict)
    shares: dict[str, Share] = Field(default_factory=dict)
    of_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _has_one_unit(self) -> Self:
        counted = self.at_most_tokens is not None or bool(self.tokens)
        shared = self.at_most_share is not None or bool(self.shares)
        if counted == shared:
            raise ValueError(
                "a quota needs tokens (at_most_tokens, tokens) or shares (at_most_share, shares), not both."
            )
        if self.of_tokens is not None and not shared:
            raise ValueError("of_tokens is what shares are of, and no share is given.")
        return self


def _choose(config: Quota, groups: Groups) -> dict[str, Chosen]:
    named = {*config.tokens, *config.shares}
    every = {**groups, **{name: _nobody() for name in sorted(named - {*groups})}}
    limits = _limits(config, {name: int(values.tokens_N.sum()) for name, values in every.items()})
    found = {}
    for name, values in every.items():
        key_N = uniform(config.seed, values.id_N) if config.score is None else values.score_N
        limit = limits[name]
        found[name] = Chosen(highest(key_N, values, np.inf if limit is None else limit), allowed_tokens=limit)
    return found


def _limits(config: Quota, sizes: Mapping[str, int]) -> dict[str, int | None]:
    if config.at_most_tokens is not None or config.tokens:
        return {name: config.tokens.get(name, config.at_most_tokens) for name in sizes}
    shares = {name: config.shares.get(name, config.at_most_share) for name in sizes}
    if config.of_tokens is None:
        return capped(sizes, {name: 1.0 if share is None else share for name, share in shares.items()})
    if missing := sorted(name for name, share in shares.items() if share is None):
        raise DataError(
            f"a quota by {', '.join(config.by)}: {len(missing)} of {len(sizes)} groups have no share of "
            f"{config.of_tokens:,} tokens, such as {missing[0]!r}. Name them in `shares`, or give at_most_share."
        )
    return {
        name: int(share * config.of_tokens * (1 + _ROUNDING)) for name, share in shares.items() if share is not None
    }


def capped(sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, int | None]:
    """Return how many tokens of each group may stay, so that none has more than its share of all that stay (None: all).

    The largest K with K = sum of min(size, share K); a group that is larger may keep share K.

    Raises:
        DataError: shares add to less than 1, and so nothing can stay.

    >>> capped({"web": 900, "law": 60, "code": 40}, {"web": 0.5, "law": 1.0, "code": 1.0})
    {'web': 100, 'law': None, 'code': None}
    """
    there = sorted(name for name, size in sizes.items() if size)
    if not there:
        return dict.fromkeys(sizes)
    if (most := sum(shares[name] for name in there)) < 1 - _ROUNDING:
        raise DataError(
            f"a quota: the shares of the {len(there)} groups that have documents add to {most:g}, and nothing can keep all "
            "of them. Give shares that add to 1 or more."
        )
    over: set[str] = set()
    total = float(sum(sizes.values()))
    while more := {name for name in there if sizes[name] > shares[name] * total * (1 + _ROUNDING)} - over:
        over |= more
        # What those within their shares have is what shares of those over them leave.
        free = sum(sizes[name] for name in there if name not in over)
        total = free / max(_ROUNDING, 1 - sum(shares[name] for name in sorted(over)))
    return {name: int(shares[name] * total * (1 + _ROUNDING)) if name in over else None for name in sizes}


def _nobody() -> Values:
    empty: Ints = np.zeros(0, np.int64)
    return Values(np.zeros(0), empty, empty)


def _words(config: Quota) -> str:
    which = f"the highest {config.score}" if config.score is not None else "a random draw"
    own = [f"{limit:,} tokens of {name}" for name, limit in sorted(config.tokens.items())]
    own += [f"{share:.3g} of {name}" for name, share in sorted(config.shares.items())]
    every = [] if config.at_most_tokens is None else [f"{config.at_most_tokens:,} tokens of each"]
    every += [] if config.at_most_share is None else [f"a share of {config.at_most_share:g} of each"]
    of = "" if config.of_tokens is None else f", of {config.of_tokens:,} tokens"
    return f"{which}, at most {', '.join([*own, *every])}{of}"


METHOD = SelectionMethod(_choose, _words)
