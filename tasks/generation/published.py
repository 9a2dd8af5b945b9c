"""What is published of documents that models wrote, beside the documents themselves (`documents/*.jsonl`)."""

from typing import ClassVar, Literal

from pydantic import NonNegativeInt

from tasks.core.published import Published

DOCUMENTS_FOLDER = "documents"


class Generated(Published):
    """How many documents there are, and what became of them.

    `models` are the digests of the models' weights; several wrote as one, by the mean of their probabilities. `cut` did not
    end within `max_tokens`; `not_text` hold U+FFFD where tokens were no UTF-8; `empty` have no text and were left out.
    """

    FILE: ClassVar[str] = "generated.json"

    format: Literal[1] = 1
    models: tuple[str, ...]
    documents: NonNegativeInt
    empty: NonNegativeInt
    cut: NonNegativeInt
    not_text: NonNegativeInt
    tokens: NonNegativeInt
    bytes: NonNegativeInt
