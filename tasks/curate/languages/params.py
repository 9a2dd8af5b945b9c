"""Thresholds by language, in params: reference texts, how a threshold follows from them, and for which rules."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from tasks.core.params import Params
from tasks.curate.rules.table import INDEX, RULES

# "tail": what drops a share of the reference. The others carry an English threshold over: as many standard deviations from
# the mean, at the same quantile, or in proportion to the median.
Method = Literal["tail", "mean_sd", "quantile", "median_ratio"]
Share = Annotated[float, Field(ge=0, le=1)]
ENGLISH = "en"
_REPEATS = (
    *("max_duplicate_line_fraction", *(f"max_top_{n}_gram_char_fraction" for n in (2, 3, 4))),
    *(f"max_duplicate_{n}_gram_char_fraction" for n in (5, 6, 7, 8, 9, 10)),
)
_QUALITY = ("min_mean_word_chars", "max_mean_word_chars", "min_alphabetic_word_fraction")


class Languages(Params):
    """Thresholds for each language, as FineWeb2 has them (Penedo et al. 2025, arXiv 2506.20920).

    `references`: JSONL files of good text (an encyclopedia, say) by the language that the identifier names; `fields` of
    their records are the text. `method` says how the thresholds of `rules` follow from them, `tail` which share of a
    reference a rule may drop. The others carry Gopher's English thresholds over, and need a reference called `en`.
    `min_documents`: a reference with fewer says too little (a guess).
    The least confidence of a language is the median of its documents in the pool less one standard deviation, no less than
    `lowest_confidence` and no more than `highest_confidence`.
    `profiles`: those whose documents are judged by their language. A language without a reference has the profile's own
    thresholds.
    """

    references: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]
    method: Method
    tail: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    rules: Annotated[tuple[str, ...], Field(min_length=1)] = (*_QUALITY, *_REPEATS)
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = ("text",)
    min_documents: Annotated[int, Field(ge=2)] = 30
    lowest_confidence: Share = 0.3
    highest_confidence: Share = 0.9
    profiles: Annotated[tuple[str, ...], Field(min_length=1)] = ("fineweb2",)

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with the values together."""
        if (self.method == "tail") != (self.tail is not None):
            yield "languages.tail, the share of a reference that a rule may drop, belongs to `method: tail`: both or none."
        if self.method != "tail" and ENGLISH not in self.references:
            yield f"languages.method {self.method} carries English thresholds over: give a reference called {ENGLISH}."
        if strangers := [name for name in self.rules if name not in INDEX or RULES[INDEX[name]].group != "gopher"]:
            yield f"languages.rules: {strangers[0]!r} is no rule on Gopher's statistics, which references are counted by."
        if self.lowest_confidence > self.highest_confidence:
            yield "languages.lowest_confidence is above highest_confidence."
