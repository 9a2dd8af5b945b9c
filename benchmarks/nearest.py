"""The nearest search behind BETR, embeddings given: best ranks of documents over 5,000 examples, and how its cost grows.

10,000 and 60,000 documents are real: WordLlama's vectors of the shared corpus, examples those of its benchmarks' items (both
repeated with noise where there are fewer). 600,000 are ten times these, each copy with noise of a tenth of its length.
What embedding costs is told apart.
"""

import json
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import lines_of, shared
from benchmarks.measure import Line, Note, cpu_seconds, spread_of
from benchmarks.options import Options
from tasks.core.rng import generator
from tasks.core.threads import one_thread
from tasks.curate.scorers.examples import item_texts
from tasks.embedding import kinds
from tasks.embedding.nearest import best_ranks
from tasks.embedding.wordllama import WordLlamaEmbedder

Floats = npt.NDArray[np.float32]
_EXAMPLES, _SIZES, _CHARS = 5_000, (10_000, 60_000, 600_000), 4_000
_NOISE = 0.1


def run(options: Options) -> Iterator[Line | Note]:
    """Embed what there is, then search."""
    if (data := shared()) is None or find_spec("wordllama") is None:
        yield Note("skipped: there is no shared corpus, or no wordllama, here")
        return
    files = kinds.model_files(WordLlamaEmbedder(kind="wordllama"))
    assert files is not None
    embed = kinds.load(WordLlamaEmbedder(kind="wordllama"), files.folder)
    corpus = chain.from_iterable(lines_of(file) for file in sorted((data / "corpus").glob("*.jsonl.gz")))
    texts = [json.loads(line)["text"][:_CHARS] for line in islice(corpus, _SIZES[1])]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with one_thread():
        start = time.process_time()
        real_ND = embed(texts)
        spent = time.process_time() - start
        yield Line(f"embedding of {len(texts):,} documents, {megabytes:.0f} MB", "CPU-s", spread_of([spent]))
        examples = _grown(embed(_items(data)), _EXAMPLES)
        for size in _SIZES:
            pool = _grown(real_ND, size)
            rounds = options.rounds if size <= _SIZES[1] else 1
            found = cpu_seconds(lambda pool=pool: best_ranks(examples, pool), rounds, warm=False)  # type: ignore[misc]
            yield Line(f"best ranks of {size:,} documents over {_EXAMPLES:,} examples", "CPU-s", found)


def _items(data: Path) -> list[str]:
    every = [item_texts(path.stem, path, None) for path in sorted((data / "evals").glob("*.jsonl"))]
    return [text[:_CHARS] for own in every for text in own[:300]][:_EXAMPLES]


def _grown(vectors_ND: Floats, size: int) -> Floats:
    """Return as many vectors of length 1: a spread of those that there are, or copies with noise."""
    if size <= len(vectors_ND):
        return vectors_ND[:: len(vectors_ND) // size][:size]
    grown = np.resize(vectors_ND, (size, vectors_ND.shape[1])).copy()
    random = generator(0, "benchmark", "nearest")
    grown[len(vectors_ND) :] += random.normal(
        scale=_NOISE / np.sqrt(grown.shape[1]), size=(size - len(vectors_ND), grown.shape[1])
    ).astype(np.float32)
    lengths = np.linalg.norm(grown, axis=1, keepdims=True)
    return (grown / np.where(lengths > 0, lengths, 1)).astype(np.float32)
