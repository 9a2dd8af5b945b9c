"""The params of decontamination."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.core.params import Params


class Decontaminate(Params):
    """A document that shares n consecutive words with a benchmark is contaminated (13: Brown et al. 2020, appendix C).

    Attributes:
        benchmarks: JSONL files (.jsonl, .jsonl.gz), paths or globs; each is one benchmark, called as its file.
        fields: the fields of an item whose text counts; None: every string, also in lists and mappings.
        ngram_words: words of an n-gram.
        whole_text_words: a text of fewer words than an n-gram is looked for as a whole if it has at least so many;
            None: never. Shorter ones are counted, and never found. 8 is the shortest Brown et al. use.
        min_hits: n-grams of one benchmark that a document must hold.
    """

    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)]
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    ngram_words: Annotated[int, Field(ge=2, le=100)] = 13
    whole_text_words: Annotated[int, Field(ge=2, le=100)] | None = 8
    min_hits: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _shorter_than_an_ngram(self) -> Self:
        if self.whole_text_words is not None and self.whole_text_words > self.ngram_words:
            raise ValueError(
                f"whole_text_words is {self.whole_text_words}, an n-gram has {self.ngram_words} words: texts between "
                "the two would never be looked for. Lower the first, or leave it out (null)."
            )
        return self
