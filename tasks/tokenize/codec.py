"""The tokenizer of a run as its units read it: a file, and the special token that ends a document."""

from dataclasses import dataclass
from operator import attrgetter

from tasks.core.handles import Handle
from tasks.tokenize.tokenizer import Codec, load

# What a worker holds for the units that encode and pack: reading a large vocabulary takes longer than a small shard.
codec_of = attrgetter("codec")


@dataclass(frozen=True)
class CodecFile:
    """A `tokenizer.json`, and the special token that ends a document."""

    tokenizer: Handle
    document_end: str


def load_codec(file: CodecFile) -> Codec:
    """Return the codec, for a worker to hold."""
    return load(file.tokenizer.local(), file.document_end)
