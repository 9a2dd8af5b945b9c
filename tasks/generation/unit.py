"""The unit that writes some documents: one file of JSON lines, as ingest reads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from tasks.core.account import Account, Count
from tasks.core.digest import digest_json
from tasks.core.handles import Handle, Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.evaluation.tasks.models import read_tokenizer
from tasks.generation.beginnings import Beginning, beginnings
from tasks.generation.config import WritingParams
from tasks.tokenize.pool import read_pool
from tasks.training.export import load_model
from tasks.training.generate import continuations
from tasks.training.model import Decoder
from tasks.training.rows import SPLIT

FILE = "documents.jsonl"
# What stands for bytes that are no UTF-8.
_NO_TEXT = "\ufffd"
_EMPTY = "empty"


@dataclass(frozen=True)
class Writers:
    """The config and weights of models that write as one, and the device that they are loaded on."""

    parts: tuple[tuple[Handle, Handle], ...]
    device: str = field(default="cpu", metadata=LABEL)

    @property
    def digest(self) -> str:
        """The digest of all their weights."""
        return digest_json([weights.digest for _, weights in self.parts])


@dataclass(frozen=True)
class WriteArgs:
    """Models, their tokenizer and the token that ends a document, and which documents are written: `count` from `first` on.

    `pool` is what is read of the token pool where documents begin with some of it; None = they do not.
    """

    writers: Writers
    tokenizer: Handle
    document_end: int
    pool: Tree | None
    params: WritingParams
    first: int
    count: int


writers_of = attrgetter("writers")


def load_writers(writers: Writers) -> tuple[Decoder, ...]:
    """Return the models, for a worker to hold."""
    return tuple(load_model(*(each.local() for each in part)).float().to(writers.device) for part in writers.parts)


def write_documents(args: WriteArgs, here: Here) -> UnitResult:
    """Write documents; those without text are left out and counted."""
    models, params = here.held, args.params
    pool = None if args.pool is None else read_pool(args.pool.local(), SPLIT)
    begun = beginnings(pool, params.prompt_tokens, params.seed, args.first, args.count)
    most = models[0].config.sequence_length if params.max_tokens is None else params.max_tokens
    added = continuations(
        models,
        [np.append(args.document_end, one.tokens) for one in begun],
        num_tokens=most - params.prompt_tokens,
        temperature=params.temperature,
        seed=seed_of(params.seed, "documents", args.first),
        end=args.document_end,
    )
    written = [
        _document(args, number, one, tokens, most)
        for number, (one, tokens) in enumerate(zip(begun, added, strict=True), start=args.first)
    ]
    texts = _decoded(args.tokenizer, [each.pop("tokens") for each in written])
    return _kept(here, [_with_text(each, text) for each, text in zip(written, texts, strict=True)])


def _document(args: WriteArgs, number: int, begun: Beginning, added: Sequence[int], most: int) -> dict[str, Any]:
    """Return what is said of a document, with its tokens in place of its text."""
    tokens, params = [*begun.tokens.tolist(), *added], args.params
    return {
        "id": f"{args.writers.digest[:12]}-{params.seed}-{number:08d}",
        "source": params.source,
        "tokens": tokens,
        "models": [weights.digest for _, weights in args.writers.parts],
        "seed": params.seed,
        "temperature": params.temperature,
        "prompt": begun.prompt,
        "num_tokens": len(tokens),
        "ended": len(tokens) < most,
    }


def _decoded(tokenizer: Handle, tokens: Sequence[list[int]]) -> list[str]:
    known = read_tokenizer(tokenizer.local())
    return [known.decode(each) for each in tokens]


def _with_text(document: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return a document with its text; where it was cut, without the beginning of a character whose end is missing."""
    return {**document, "text": text if document["ended"] else text.rstrip(_NO_TEXT)}


def _kept(here: Here, documents: Sequence[Mapping[str, Any]]) -> UnitResult:
    kept = [one for one in documents if one["text"].strip()]
    lines = [json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in kept]
    (here.folder / FILE).write_text("".join(lines), encoding="utf-8", newline="\n")
    empty = [one for one in documents if not one["text"].strip()]
    dropped = {_EMPTY: _count(empty)} if empty else {}
    summary = {
        "cut": sum(not one["ended"] for one in kept),
        "not_text": sum(_NO_TEXT in one["text"] for one in kept),
    }
    return UnitResult(account=Account(_count(documents), _count(kept), dropped), summary=summary)


def _count(documents: Sequence[Mapping[str, Any]]) -> Count:
    sizes = (len(one["text"].encode()) for one in documents)
    return Count(len(documents), sum(sizes), sum(one["num_tokens"] for one in documents))
