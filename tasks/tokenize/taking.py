"""The user's tokenizer: its params, and the unit that checks it."""

import shutil
from typing import Literal

from pydantic import Field

from tasks.core.params import Params
from tasks.core.results import Here, UnitResult
from tasks.tokenize.codec import CodecFile, load_codec
from tasks.tokenize.published import TOKENIZER_FILE


class TokenizerFile(Params):
    """The user's tokenizer: a byte-level `tokenizer.json`, of any size, that changes no byte of a text."""

    kind: Literal["file"]
    path: str = Field(min_length=1, description="a tokenizer.json")
    document_end: str = Field(min_length=1, description="the special token that ends a document")


def take(args: CodecFile, here: Here) -> UnitResult:
    """Check the user's tokenizer, and take it as it is."""
    load_codec(args)
    shutil.copyfile(args.tokenizer.local(), here.folder / TOKENIZER_FILE)
    return UnitResult()
