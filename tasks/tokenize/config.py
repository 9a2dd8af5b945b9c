"""Params of the tokenize stage."""

from typing import Annotated

from pydantic import Field

from tasks.core.params import Params
from tasks.tokenize.learning import TrainedBpe
from tasks.tokenize.prefixed import Metadata
from tasks.tokenize.taking import TokenizerFile
from tasks.tokenize.tokenizer import DOCUMENT_END

TokenizerChoice = Annotated[TrainedBpe | TokenizerFile, Field(discriminator="kind")]


class TokenizeParams(Params):
    """Params of the tokenize stage: which tokenizer, and the seed of the order in which documents are packed."""

    seed: int = 0
    tokenizer: TokenizerChoice = TrainedBpe()
    document_columns: tuple[str, ...] = Field(
        default=(),
        description="numbers of each kept document that training may weight or sort by, such as `weight` or a score",
    )

    metadata: Metadata | None = Field(
        default=None,
        description="what is written before each document for stages that are trained with metadata: the host of its "
        "address, or its source; null = nothing",
    )

    @property
    def document_end(self) -> str:
        """The special token that ends a document."""
        return self.tokenizer.document_end if isinstance(self.tokenizer, TokenizerFile) else DOCUMENT_END
