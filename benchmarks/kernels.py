"""Each compiled kernel beside its Python fallback on the same texts: what a machine without a compiler pays."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.inputs import every_nth, whole_corpus
from benchmarks.measure import Line, Note, rate, ratio
from benchmarks.options import Options
from tasks.curate.dedup.signing.datatrove import DatatroveMinHash
from tasks.curate.dedup.signing.fast import FastMinHash
from tasks.curate.dedup.signing.kinds import ngram_sets, sign
from tasks.curate.dedup.signing.signatures import shape_of
from tasks.curate.english.tokens import words
from tasks.curate.native import kernel
from tasks.curate.rewriting import c4, refinedweb
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.texts import Texts, texts_of

# The fallback of the English tokenizer needs seconds per megabyte: a few megabytes say enough.
_FEWER = 8


def run(options: Options) -> Iterator[Line | Note]:
    """Measure every kernel and its fallback, warm."""
    with tempfile.TemporaryDirectory() as folder:
        sample = every_nth(whole_corpus(Path(folder)), _FEWER * options.every, Path(folder) / "sample")
        texts, megabytes = texts_of(sample.texts()), sample.megabytes
    yield Note(f"{sample.name}: {sample.documents:,} documents, {megabytes:.1f} MB")
    for name, (module, work) in _works(texts).items():
        if kernel(module) is None:
            yield Note(f"left out: {name}; this installation has no kernel {module}.")
            continue
        native = rate(megabytes, work, options.rounds)
        with without_kernels():
            fallback = rate(megabytes, work, min(options.rounds, 3))
        yield Line(f"{name}: kernel {module}", "MB/CPU-s", native)
        yield Line(f"{name}: Python", "MB/CPU-s", fallback)
        yield Line(f"{name}: kernel / Python", "ratio", ratio(native, fallback))


def _works(texts: Texts) -> dict[str, tuple[str, Callable[[], object]]]:
    fast, datatrove = shape_of(FastMinHash(), 0), shape_of(DatatroveMinHash(), 0)
    assert fast is not None and datatrove is not None

    return {
        "statistics of gopher": ("gopher", lambda: gopher_statistics(texts)),
        "pre-tokens": ("gopher", lambda: pretokens(texts)),
        "statistics of datatrove": ("datatrove", lambda: english_statistics(texts)),
        "lines of C4, with FineWeb": ("datatrove", lambda: c4.rewrite_and_count(texts, c4.C4Lines())),
        "lines of RefinedWeb": (
            "refinedweb",
            lambda: refinedweb.rewrite_and_count(texts, refinedweb.RefinedWebLines()),
        ),
        "English tokens": ("english", lambda: _tokens(texts)),
        "signatures of kind fast": ("minhash", lambda: sign(texts, fast)),
        "signatures of kind datatrove": ("minhash", lambda: sign(texts, datatrove)),
        "sets of 5-grams of kind fast": ("minhash", lambda: ngram_sets(texts, fast)),
    }


def _tokens(texts: Texts) -> object:
    if (native := kernel("english")) is not None:
        return native.tokens(texts.data, texts.offsets)
    return [words(text) for text in texts.to_list()]


@contextmanager
def without_kernels() -> Iterator[None]:
    """Work with the fallbacks only."""
    before = os.environ.get("MIXWRIGHT_KERNELS")
    os.environ["MIXWRIGHT_KERNELS"] = "python"
    kernel.cache_clear()
    try:
        yield
    finally:
        if before is None:
            del os.environ["MIXWRIGHT_KERNELS"]
        else:
            os.environ["MIXWRIGHT_KERNELS"] = before
        kernel.cache_clear()
