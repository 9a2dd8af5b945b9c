"""MinHash: signatures alone, cold and warm, and near duplicates end to end, beside datatrove, rensa and text-dedup.

Cold: the first call in a fresh process. Warm: the same texts again in the same process, with every cache filled.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks.commands import Peer, missing, mixwright, peer, python_module, version_of
from benchmarks.inputs import Corpus, every_nth, whole_corpus
from benchmarks.measure import Line, Note, Spread, ratio, spread_of
from benchmarks.options import Options

KINDS = ("datatrove", "fast")
# Every document passes, so that all are compared.
_NO_RULES: dict[str, dict[str, list[str]]] = {"everything": {"filters": []}}


def run(options: Options) -> Iterator[Line | Note]:
    """Measure both kinds on everything and on the sample that the peers get."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # With id and text only: text-dedup takes files of one schema.
        whole = every_nth(whole_corpus(folder / "found"), 1, folder / "whole")
        sample = every_nth(whole, options.every, folder / "sample")
        for corpus in (whole, sample):
            yield Note(f"{corpus.name}: {corpus.documents:,} documents, {corpus.megabytes:.1f} MB of raw text")
        for kind in KINDS:
            yield from _signatures(kind, whole, "all of it", options)
        warm = {}
        for kind in KINDS:
            lines = list(_signatures(kind, sample, "the sample", options))
            warm[kind] = lines[-1].spread
            yield from lines
        yield from _peer_signatures(sample, warm["datatrove"], options, folder)
        yield from _end_to_end(whole, options, folder)


def _signatures(kind: str, corpus: Corpus, told: str, options: Options) -> Iterator[Line]:
    found = [python_module("benchmarks.signing", kind, *corpus.files) for _ in range(options.rounds)]
    yield Line(f"{kind}: {told}, fresh process with reading", "MB/CPU-s", _rate(corpus, found, None))
    yield Line(f"{kind}: {told}, signatures, cold", "MB/CPU-s", _rate(corpus, found, "first_s"))
    yield Line(f"{kind}: {told}, signatures, warm", "MB/CPU-s", _rate(corpus, found, "again_s"))


def _rate(corpus: Corpus, found: Sequence[Peer], part: str | None) -> Spread:
    seconds = [one.told[part] if part else one.spent.cpu_s for one in found]
    return spread_of(seconds).per(corpus.megabytes)


def _peer_signatures(sample: Corpus, ours: Spread, options: Options, folder: Path) -> Iterator[Line | Note]:
    if (absent := missing("datatrove_signatures")) is not None:
        yield absent
        return
    found = _rounds("datatrove_signatures", sample, options, folder)
    process, work = _rate(sample, found, None), _rate(sample, found, "cpu_s")
    name = f"datatrove {version_of('datatrove')}"
    yield Line(f"{name}: the sample, fresh process with reading", "MB/CPU-s", process)
    yield Line(f"{name}: the sample, its signature stage", "MB/CPU-s", work)
    yield Line("kind datatrove, warm / datatrove's signature stage", "ratio", ratio(ours, work))


def _rounds(script: str, sample: Corpus, options: Options, folder: Path) -> list[Peer]:
    source = sample.files[0].parent
    return [peer(script, source, folder / f"{script}-{i}", folder=folder) for i in range(options.peer_rounds)]


def _end_to_end(corpus: Corpus, options: Options, folder: Path) -> Iterator[Line | Note]:
    """Measure finding near duplicates from gz JSONL to what is kept, in fresh processes."""
    ours = {kind: _curate(kind, corpus, options, folder) for kind in KINDS}
    for kind, found in ours.items():
        yield Line(f"{kind}: curate with no rules, fresh process", "MB/CPU-s", found)
    for script, package in (("rensa_minhash", "rensa"), ("text_dedup_minhash", "text-dedup")):
        if (absent := missing(script)) is not None:
            yield absent
            continue
        name, theirs = f"{package} {version_of(package)}", _rounds(script, corpus, options, folder)
        process = _rate(corpus, theirs, None)
        if "again_s" in theirs[0].told:
            yield Line(f"{name}: signatures and LSH alone, warm", "MB/CPU-s", _rate(corpus, theirs, "again_s"))
        yield Line(f"{name}: all of it, fresh process", "MB/CPU-s", process)
        yield Line(f"fast, curate with no rules / {package}", "ratio", ratio(ours["fast"], process))


def _curate(kind: str, corpus: Corpus, options: Options, folder: Path) -> Spread:
    near = {"kind": kind} | ({"verify": None, "min_jaccard": None} if kind == "datatrove" else {})
    section = {"profiles": _NO_RULES, "profile": "everything", "duplicates": {"near": near, "documents": True}}
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump({"curate": section}), encoding="utf-8")
    found = []
    for i in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            command = ("curate", "--input", corpus.pattern, "--params", params, "--workers", "1", "--json")
            spent = mixwright(*command, "--output", Path(fresh) / "out", home=Path(fresh) / f"home-{i}")
            found.append(spent.cpu_s)
    return spread_of(found).per(corpus.megabytes)
