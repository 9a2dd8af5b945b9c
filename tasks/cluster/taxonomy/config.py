"""Params of domains that a language model finds and names."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from tasks.core.asking import Endpoint
from tasks.core.params import Params


class TaxonomyDomains(Params):
    """Topics that a language model finds in a sample, and a classifier of its labels that gives every document one.

    Attributes:
        endpoint: the language model that is asked; `answers` is a file of what it answered before, in its place.
        num_documents: the sample, chosen by a hash of ids; each of them is summarised and labelled.
        max_topics: topics at most, besides `other`.
        batch_size: summaries that are shown at a time: the first make the taxonomy, the others change it.
        labelled: a JSONL file of {"id": ID, "topic": NAME} by people, which corrects the shares of topics.
        num_to_label: how many documents are published for people to label, chosen by another hash.
        min_documents: a topic with fewer joins the likeliest others; null = a fiftieth of all, 3 to 100.
        num_buckets: words and pairs of words are told apart by their hash modulo this number.
    """

    kind: Literal["taxonomy"]
    endpoint: Endpoint | None = None
    answers: str | None = None
    num_documents: Annotated[int, Field(ge=10, le=1_000_000)] = 1_000
    max_topics: Annotated[int, Field(ge=2, le=100)] = 25
    batch_size: Annotated[int, Field(ge=2, le=1_000)] = 200
    labelled: str | None = None
    num_to_label: PositiveInt = 200
    min_documents: PositiveInt | None = None
    num_buckets: Annotated[int, Field(ge=2, le=10_000_000)] = 1 << 16

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with where topics come from."""
        if (self.endpoint is None) == (self.answers is None):
            yield "name an endpoint to be asked, or a file of its answers; one of them"
