"""How documents are written by models: how many, how long, how freely, and how each begins."""

from collections.abc import Iterator

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tasks.core.params import Params


class WritingParams(Params):
    """What decides a document besides the models and its number."""

    temperature: NonNegativeFloat = Field(
        default=1.0, description="tokens are drawn from softmax(logits / temperature) of each model; 0 = the likeliest"
    )
    max_tokens: PositiveInt | None = Field(
        default=None, description="of a document, with its beginning; null = the context of the models"
    )
    prompt_tokens: NonNegativeInt = Field(
        default=0, description="first tokens of a training document that each begins with; 0 = nothing is given"
    )
    seed: int = Field(default=0, ge=0, description="of what is drawn, and of which documents give the beginnings")
    source: str = Field(default="teacher", min_length=1, description="the `source` of each document")

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.max_tokens is not None and self.prompt_tokens >= self.max_tokens:
            yield (
                f"prompt_tokens {self.prompt_tokens} leave nothing to write of max_tokens {self.max_tokens}; lower them, or "
                "raise max_tokens"
            )


class GenerateParams(WritingParams):
    """How many documents models write, and how they are shared out."""

    num_documents: PositiveInt = 1000
    documents_per_file: PositiveInt = Field(
        default=256, description="written side by side and kept together: what a kill costs at most"
    )

    @property
    def writing(self) -> WritingParams:
        """What decides a document."""
        return WritingParams(**{name: getattr(self, name) for name in WritingParams.model_fields})
