"""A profile: which rules judge one kind of text, with which thresholds, and how its lines are rewritten."""

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tasks.core.params import Params
from tasks.curate.annotators.method import LanguageText, Reading, WordRule
from tasks.curate.rewriting.kinds import Rewriting
from tasks.curate.rules.rule import Rule, Threshold
from tasks.curate.rules.table import FILTERS, INDEX, RULES
from tasks.curate.selection.kinds import Selection


class Profile(Params):
    """Thresholds by the name of their rule; a value equal to its threshold passes. A rule that is not named is off.

    `filters` is the order of decision: the first rule that fails, filter by filter, gives a document its reason.
    `rewriting` removes lines before the rules behind it look; what it leaves is the text that is kept.
    `reasons`: in whose words a drop is told, Mixwright's or those of the tool whose rules these are.
    `words`: what a word is to Gopher's rules, what stands between `blanks`, or, in a `script` without them, what ICU
    finds. `language_text`: language is asked of the text `normalised` (blanks of every kind as spaces, no text all in
    capitals), or `as_it_is`.
    `select`: which of the documents that pass all else are kept by their scores, one selection after the other.
    """

    description: str = ""
    filters: tuple[str, ...] = FILTERS
    rules: dict[str, float | tuple[str, ...] | None] = Field(default_factory=dict)
    rewriting: Rewriting | None = None
    reasons: Literal["mixwright", "datatrove"] = "mixwright"
    words: WordRule = "blanks"
    language_text: LanguageText = "normalised"
    select: tuple[Selection, ...] = ()

    @model_validator(mode="after")
    def _can_be_applied(self) -> Self:
        if strangers := sorted({*self.filters} - {*FILTERS}):
            raise ValueError(f"filters: {strangers[0]!r} is no filter. Known: {', '.join(FILTERS)}.")
        for name, threshold in self.rules.items():
            if name not in INDEX:
                raise ValueError(f"rules: {name!r} is no rule. Like it: {', '.join(_like(name))}.")
            if threshold is not None:
                _require_sense(RULES[INDEX[name]], threshold, self)
        self._require_ranges()
        return self

    def _require_ranges(self) -> None:
        for name, low in self.rules.items():
            high = self.rules.get(f"max_{name.removeprefix('min_')}") if name.startswith("min_") else None
            if isinstance(low, float) and isinstance(high, float) and not low <= high:
                raise ValueError(f"rules: {name} is {low:g} but max_{name[4:]} is {high:g}: no document can pass both.")

    @property
    def active(self) -> list[tuple[int, Rule, Threshold]]:
        """(Index in `RULES`, rule, threshold) of every rule that is on, in the order of decision."""
        found = [(INDEX[name], threshold) for name, threshold in self.rules.items() if threshold is not None]
        order = sorted(found, key=lambda item: (self.filters.index(RULES[item[0]].filter), item[0]))
        return [(index, RULES[index], threshold) for index, threshold in order]

    @property
    def groups(self) -> frozenset[str]:
        """The groups of statistics that its rules look at."""
        return frozenset(rule.group for _, rule, _ in self.active)

    @property
    def reading(self) -> Reading:
        """How it has its documents read."""
        return Reading(self.words, self.language_text)


def deciding(profile: Profile) -> Profile:
    """Return what of a profile decides over statistics that were taken: without how texts are read and rewritten."""
    return profile.model_copy(
        update={"description": "", "rewriting": None, "words": "blanks", "language_text": "normalised", "select": ()}
    )


def laid_over(below: Mapping[str, Any], above: Any) -> Any:
    """Return the values of a profile with others laid over them: rules one by one, everything else whole."""
    if not isinstance(above, Mapping):
        return above
    rules = above.get("rules", {})
    merged = {**below.get("rules", {}), **rules} if isinstance(rules, Mapping) else rules
    return {**below, **above, "rules": merged}


def _require_sense(rule: Rule, threshold: Threshold, profile: Profile) -> None:
    place = f"rules.{rule.threshold}"
    if isinstance(threshold, tuple) != (rule.side == "one_of"):
        raise ValueError(f"{place}: expected {'a list of names' if rule.side == 'one_of' else 'a number'}.")
    if not isinstance(threshold, tuple) and not (0 <= threshold <= rule.largest and math.isfinite(threshold)):
        raise ValueError(f"{place} is {threshold:g}, expected a number from 0 to {rule.largest:g}.")
    if rule.filter not in profile.filters:
        raise ValueError(f"{place} belongs to the filter {rule.filter}, which `filters` leaves out. Name it there.")
    if rule.group == "rewriting" and (profile.rewriting is None or not rule.statistic.startswith(seen_by(profile))):
        raise ValueError(f"{place} looks at lines that `rewriting` has gone through. Set rewriting.kind for it.")


def seen_by(profile: Profile) -> tuple[str, ...]:
    """Return how the statistics begin that are taken of what the rewriting of a profile goes through."""
    assert profile.rewriting is not None
    return ("c4_", "fineweb_") if profile.rewriting.kind == "c4" else ("refinedweb_",)


def _like(name: str) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(name, list(INDEX), n=3, cutoff=0.0)
