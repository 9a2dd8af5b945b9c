"""What of a document is embedded, and by what: params of whoever looks at vectors."""

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.embedding.kinds import DEFAULT, Embedder


class Embedding(Params):
    """Vectors of documents. Scorers that name the same ones share them: each document is embedded once."""

    embedder: Embedder = DEFAULT
    max_chars: PositiveInt | None = Field(default=4_000, description="characters that are looked at; null = all")
    chunk_chars: PositiveInt | None = Field(
        default=None,
        description="a text is read in chunks of so many characters, each counting for its own; null = whole",
    )
