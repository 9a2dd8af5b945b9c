"""A profile: the thresholds of one kind of text. None turns a rule off."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.core.params import Params

Words = Annotated[int, Field(ge=0)]
Chars = Annotated[float, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Profile(Params):
    """Thresholds over the statistics of `annotate`; a value equal to its threshold passes.

    Words are whitespace words, fractions lie in [0, 1]; what each is a fraction of stands with its statistic.
    """

    min_words: Words | None = None
    max_words: Words | None = None
    min_mean_word_chars: Chars | None = None
    max_mean_word_chars: Chars | None = None
    max_hash_word_ratio: Ratio | None = None
    max_ellipsis_word_ratio: Ratio | None = None
    max_bullet_line_fraction: Fraction | None = None
    max_ellipsis_line_fraction: Fraction | None = None
    min_alphabetic_word_fraction: Fraction | None = None
    min_stop_words: Annotated[int, Field(ge=0, le=8)] | None = None
    max_duplicate_line_fraction: Fraction | None = None
    max_duplicate_paragraph_fraction: Fraction | None = None
    max_duplicate_line_char_fraction: Fraction | None = None
    max_duplicate_paragraph_char_fraction: Fraction | None = None
    max_top_2_gram_char_fraction: Fraction | None = None
    max_top_3_gram_char_fraction: Fraction | None = None
    max_top_4_gram_char_fraction: Fraction | None = None
    max_duplicate_5_gram_char_fraction: Fraction | None = None
    max_duplicate_6_gram_char_fraction: Fraction | None = None
    max_duplicate_7_gram_char_fraction: Fraction | None = None
    max_duplicate_8_gram_char_fraction: Fraction | None = None
    max_duplicate_9_gram_char_fraction: Fraction | None = None
    max_duplicate_10_gram_char_fraction: Fraction | None = None

    @model_validator(mode="after")
    def _a_document_can_pass(self) -> Self:
        ranges = (
            ("words", self.min_words, self.max_words),
            ("mean_word_chars", self.min_mean_word_chars, self.max_mean_word_chars),
        )
        for name, low, high in ranges:
            if low is not None and high is not None and not low <= high:
                raise ValueError(f"min_{name} is {low} but max_{name} is {high}: no document can pass both.")
        return self
