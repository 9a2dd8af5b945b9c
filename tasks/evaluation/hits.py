"""Units that find task items in the documents that models are trained on: the n-grams of the items, and where they stand.

The text of a document is what its tokens stand for. What is found does not depend on any run: which of it a run trained
on, and how often, is worked out from its plan (`item_exposure`).

Axes: T tokens of a batch, D documents of it, M matches (a place in a document where an n-gram of an item stands).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from tasks.core.errors import DataError
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.curate.decontaminate.benchmarks import Benchmark
from tasks.curate.decontaminate.contamination import matches
from tasks.curate.decontaminate.index import NgramIndex, index_of, read_index, word_places, write_index
from tasks.curate.decontaminate.params import NgramParams
from tasks.curate.statistics.texts import Texts
from tasks.evaluation.matches import Integers, planted_items, write_matches
from tasks.evaluation.tasks.kinds import TaskConfig
from tasks.evaluation.tasks.shown import item_texts
from tasks.tokenize.pool import Tokens, mapped, token_dtype
from tasks.tokenize.published import PackedSplit, TokenBits
from tasks.tokenize.tokenizer import Codec, load

# Of one unit, some 16 MB of text; and those that are in memory at once. Both are guesses.
TOKENS_PER_UNIT = 1 << 22
_TOKENS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class TaskFile:
    """A task with its file: its items are those that are measured."""

    file: Handle
    task: TaskConfig


@dataclass(frozen=True)
class IndexArgs:
    """The tasks whose items are looked for, and by which n-grams."""

    tasks: tuple[TaskFile, ...]
    params: NgramParams


def index_items(args: IndexArgs, here: Here) -> UnitResult:
    """Write the index of the n-grams of all items, each a benchmark of its own, task by task in the order of items.

    The summary has, for each of them, its n-grams and those that are not looked for because they are numbers.
    """
    found = [
        Benchmark(f"{number} {name}", (texts,))
        for number, each in enumerate(args.tasks)
        for name, texts in item_texts(each.task, each.file.text(), each.file.name).items()
    ]
    index = index_of(found, args.params)
    write_index(index, here.folder)
    return UnitResult(summary={"ngrams": [one.ngrams for one in index.coverage]})


@dataclass(frozen=True)
class Searched:
    """What a worker holds to look for items: the tokenizer by which tokens become text, and the index."""

    tokenizer: Handle
    document_end: int
    index: Tree


@dataclass(frozen=True)
class SearchArgs:
    """The tokens of one domain, and which part of its documents is searched (see `TOKENS_PER_UNIT`)."""

    searched: Searched
    tokens: Tree
    split: PackedSplit
    token_bits: TokenBits
    part: int


searched_of = attrgetter("searched")


def hold(searched: Searched) -> tuple[Codec, NgramIndex]:
    """Return tokenizer and index, for a worker to hold.

    Raises:
        DataError: the tokenizer is not that of the pool.
    """
    from tokenizers import Tokenizer

    path = searched.tokenizer.local()
    if (end := Tokenizer.from_file(str(path)).id_to_token(searched.document_end)) is None:
        raise DataError(
            f"{searched.tokenizer.name}: it has no token {searched.document_end}, which ends the documents of the pool. Run "
            "tokenize again."
        )
    return load(path, end), read_index(searched.index.local())


def search_documents(args: SearchArgs, here: Here) -> UnitResult:
    """Write every match in these documents: document and tokens by their places in the domain, and the n-gram.

    The summary counts documents and those with a match.
    """
    codec, index = here.held
    folder = args.tokens.local()
    tokens = mapped(folder / args.split.file, args.split.tokens, token_dtype(args.token_bits))
    starts = mapped(folder / args.split.starts, args.split.documents, np.dtype("<u8")).astype(np.int64)
    limits = np.searchsorted(starts, [args.part * TOKENS_PER_UNIT, (args.part + 1) * TOKENS_PER_UNIT])
    first, last = (int(limit) for limit in limits)
    found = [np.empty((0, 4), np.int64)]
    for low, high in _batches(starts, first, last):
        stop = int(starts[high]) if high < len(starts) else tokens.size
        begins = starts[low:high] - starts[low]
        places = places_of_matches(np.asarray(tokens[int(starts[low]) : stop]), begins, codec, index)
        found.append(places + np.array([low, starts[low], starts[low], 0]))
        here.progress(high - first, last - first)
    rows_M4 = np.concatenate(found)
    write_matches(rows_M4, here.folder)
    hit = len(np.unique(rows_M4[:, 0]))
    return UnitResult(summary={"documents": last - first, "documents_hit": hit})


@dataclass(frozen=True)
class PlantedArgs:
    """The plan of what was planted into runs of one seed."""

    searched: Searched
    plan: Handle


def search_planted(args: PlantedArgs, here: Here) -> UnitResult:
    """Write every match in the texts that were planted into a run; each of them is a document."""
    codec, index = here.held
    texts = [[*map(int, item.tokens.split()), codec.document_end] for item in planted_items(args.plan)]
    starts = np.cumsum([0, *map(len, texts)])[:-1]
    write_matches(places_of_matches(np.concatenate(texts).astype(codec.dtype), starts, codec, index), here.folder)
    return UnitResult()


def places_of_matches(tokens_T: Tokens, starts_D: Integers, codec: Codec, index: NgramIndex) -> Integers:
    """Return every match in documents, shape [M, 4]: the document, its first and last token [T], the n-gram."""
    # The bytes that come before each token, and behind the last one.
    before_T = np.concatenate([[0], np.cumsum(codec.token_bytes[tokens_T])])
    offsets = np.append(before_T[starts_D], before_T[-1])
    data = readable(b"".join(map(codec.pieces.__getitem__, tokens_T.tolist())))
    matches_M3 = matches(Texts(data, offsets), index)
    found = [np.empty((0, 4), np.int64)]
    hit, first = np.unique(matches_M3[:, 0], return_index=True)
    for document, own in zip(hit.tolist(), np.split(matches_M3, first[1:]), strict=False):
        begins, stop = int(offsets[document]), int(offsets[document + 1])
        words_W2 = word_places(data[begins:stop].decode()) + begins
        _, words, entries = own.T
        ends = words_W2[words + index.num_words_E[entries] - 1, 1] - 1
        places = [np.searchsorted(before_T, side, "right") - 1 for side in (words_W2[words, 0], ends)]
        found.append(np.stack([np.full(len(own), document), *places, entries], axis=1))
    return np.concatenate(found)


def readable(data: bytes) -> bytes:
    """Return bytes with a blank for each that belongs to no character of UTF-8: a document may have been cut anywhere.

    >>> readable("é".encode()[:1] + "é".encode()) == b" " + "é".encode()
    True
    """
    while True:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            data = data[: error.start] + b" " * (error.end - error.start) + data[error.end :]
        else:
            return data


def _batches(starts: Integers, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield runs of documents that together have about as many tokens as are held at once, or one longer document."""
    low = first
    while low < last:
        high = int(np.searchsorted(starts, starts[low] + _TOKENS_AT_ONCE, "right"))
        high = min(max(high - 1, low + 1), last)
        yield low, high
        low = high
