"""Which n-grams of a text are looked for: the params that every search for known texts has."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.core.params import Params


class NgramParams(Params):
    """Texts are found by n consecutive words that they share with a document (13: Brown et al. 2020, appendix C).

    Attributes:
        ngram_words: words of an n-gram.
        whole_text_words: a text of fewer words than an n-gram is looked for as a whole if it has at least so many;
            None: never. Shorter ones are counted, and never found. 8 is the shortest Brown et al. use.
    """

    ngram_words: Annotated[int, Field(ge=2, le=100)] = 13
    whole_text_words: Annotated[int, Field(ge=2, le=100)] | None = 8

    @model_validator(mode="after")
    def _shorter_than_an_ngram(self) -> Self:
        if self.whole_text_words is not None and self.whole_text_words > self.ngram_words:
            raise ValueError(
                f"whole_text_words is {self.whole_text_words}, an n-gram has {self.ngram_words} words: texts between "
                "the two would never be looked for. Lower the first, or leave it out (null)."
            )
        return self
