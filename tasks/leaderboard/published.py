"""What `select compare` publishes: selectors by the models they induce, what each kept, and what was confirmed."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from tasks.arms.published import ArmRun
from tasks.core.published import Model, Published
from tasks.evaluation.published import Interval

Objective = Literal["target", "held_out"]
Role = Literal["selector", "twin", "null"]


class Kept(Model):
    """What an entrant trained on. Shares are of tokens; `contaminated` documents hold text of a benchmark (None: not asked).

    `diversity` is over as many `words` of each entrant: shares of distinct words and pairs, mean distance of documents.
    """

    documents: PositiveInt
    tokens: PositiveInt
    epochs: NonNegativeFloat
    sources: Mapping[str, float]
    languages: Mapping[str, float]
    diversity: Mapping[str, float]
    contaminated: NonNegativeInt | None


class ObjectiveGain(Interval):
    """The gain over the random twin in an objective; all intervals of that objective hold together.

    `multiplier` is how many times the tokens the random twin needs for the same; None as `multiplier_words` say.
    """

    value: float
    adjusted: float | None
    claim: bool
    multiplier: float | None
    multiplier_words: str
    differences: tuple[float, ...]


class Ranked(Model):
    """An entrant; `overlap` is with the others of its keep rate: tokens that both kept, of those that either kept."""

    name: str
    selector: str
    keep: float
    role: Role
    kept: Kept
    gains: Mapping[Objective, ObjectiveGain]
    overlap: Mapping[str, float]


class Confirmation(Interval):
    """The winner against its twin with seeds that had no part in choosing it."""

    winner: str
    seeds: tuple[int, ...]
    confirmed: bool


class ProxyWeights(Model):
    """A proxy of a search: the weights that its documents were selected by, and its gain on the search split."""

    weights: Mapping[str, float]
    gain: float


class SearchedWeights(Model):
    """The weights of scores that were searched at a keep rate, and every proxy in the order in which they were measured."""

    selector: str
    keep: float
    weights: Mapping[str, float]
    proxies: tuple[ProxyWeights, ...]


class Leaderboard(Published):
    """All entrants, the best by its gain in the target first; twins have no gains, for they are what is compared with."""

    FILE: ClassVar[str] = "leaderboard.json"

    format: Literal[1] = 1
    objectives: Mapping[Objective, tuple[str, ...]]
    confidence: float
    tokens: PositiveInt
    seeds: tuple[int, ...]
    entrants: tuple[Ranked, ...]
    twins: Mapping[str, Kept]
    curves: Mapping[str, Mapping[Objective, Mapping[int, float]]]
    confirmation: Confirmation | None
    searched: SearchedWeights | None = None
    statements: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    runs: tuple[ArmRun, ...]
