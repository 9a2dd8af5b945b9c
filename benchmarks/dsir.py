"""DSIR: fitting on the pool and scoring it, beside its authors' package; the sample that the peer gets, and all of it.

Both read the same JSONL, in a process of their own. The target is every 50th document.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.commands import Peer, missing, peer, python_module, version_of
from benchmarks.inputs import Corpus, every_nth, lines_of, whole_corpus
from benchmarks.measure import Line, Note, Spread, ratio, spread_of
from benchmarks.options import Options

_PEER = "data_selection_scores"
_TARGET_EVERY = 50


def run(options: Options) -> Iterator[Line | Note]:
    """Measure both on the sample, then ours on everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = whole_corpus(folder / "found")
        target = _lines(every_nth(whole, _TARGET_EVERY, folder / "target"), folder / "target.jsonl")
        sample = every_nth(whole, options.every, folder / "sample")
        pool = _lines(sample, folder / "pool.jsonl")
        yield Note(f"{sample.name}: {sample.documents:,} documents, {sample.megabytes:.1f} MB of raw text")
        ours = [
            python_module("benchmarks.dsir_scores", pool, target, folder / "ours.npy") for _ in range(options.rounds)
        ]
        rates = {part: _rate(sample, ours, part) for part in ("fit_s", "score_s")}
        yield Line("ours: reading and fitting", "MB/CPU-s", rates["fit_s"])
        yield Line("ours: scoring", "MB/CPU-s", rates["score_s"])
        if (absent := missing(_PEER)) is None:
            theirs = [
                peer(_PEER, pool, target, folder / "theirs.npy", folder=folder) for _ in range(options.peer_rounds)
            ]
            peers = {part: _rate(sample, theirs, part) for part in ("fit_s", "score_s")}
            package = f"data-selection {version_of('data-selection')}"
            yield Line(f"{package}: reading and fitting", "MB/CPU-s", peers["fit_s"])
            yield Line(f"{package}: scoring", "MB/CPU-s", peers["score_s"])
            yield Line("fitting, ours / data-selection", "ratio", ratio(rates["fit_s"], peers["fit_s"]))
            yield Line("scoring, ours / data-selection", "ratio", ratio(rates["score_s"], peers["score_s"]))
            found = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("ours", "theirs")]
            yield Note(
                f"largest difference of a score: {np.abs(found[0] - found[1]).max():.1e} of {np.ptp(found[0]):,.0f}"
            )
        else:
            yield absent
        every = _lines(whole, folder / "whole.jsonl")
        found_all = [
            python_module("benchmarks.dsir_scores", every, target, folder / "all.npy") for _ in range(options.rounds)
        ]
        yield Line(f"ours: scoring {whole.megabytes:.0f} MB", "MB/CPU-s", _rate(whole, found_all, "score_s"))


def _rate(corpus: Corpus, found: list[Peer], part: str) -> Spread:
    return spread_of([one.told[part] for one in found]).per(corpus.megabytes)


def _lines(corpus: Corpus, file: Path) -> Path:
    with file.open("wb") as stream:
        for one in corpus.files:
            stream.writelines(line.rstrip(b"\n") + b"\n" for line in lines_of(one))
    return file
