"""Filters end to end: MB of raw text per CPU second of `mixwright curate`, beside datatrove and NeMo Curator.

All of a fresh process with an empty home is counted: start, reading gz JSONL, deciding, writing, its worker. The peers
get every n-th document, which ours gets too; with `--every 1` they get all of it (datatrove needs five minutes).
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.commands import missing, mixwright, peer, version_of
from benchmarks.inline import steps_of
from benchmarks.inputs import Corpus, every_nth, lines_of, whole_corpus
from benchmarks.measure import Line, Note, Spread, cpu_seconds, ratio, spread_of
from benchmarks.options import Options
from tasks.curate.config import CurateParams
from tasks.curate.rewriting.c4 import C4Lines, rewrite_and_count
from tasks.curate.stage import run as curate
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.texts import Texts, texts_of
from tasks.ingest.config import IngestParams
from tasks.ingest.snapshot import raw_input
from tasks.ingest.stage import run as ingest
from tasks.runtime.context import Workshop

PROFILES = ("datatrove", "gopher")


@dataclass(frozen=True)
class _Place:
    """Where a benchmark works: a folder of its own for everything, gone afterwards."""

    folder: Path

    def new(self, name: str) -> Path:
        """Return a path where nothing lies."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path


def run(options: Options) -> Iterator[Line | Note]:
    """Measure fresh processes, then the same work again in one process, then where it goes."""
    with tempfile.TemporaryDirectory() as folder:
        place = _Place(Path(folder))
        whole = whole_corpus(place.new("whole"))
        sample = every_nth(whole, options.every, place.new("sample"))
        yield from (_described(corpus) for corpus in (whole, sample))
        yield _start(options, place)
        everything = {profile: _fresh(whole, profile, options, place) for profile in PROFILES}
        for profile, found in everything.items():
            yield Line(f"{profile}: all of it, fresh process", "MB/CPU-s", found)
        ours = _fresh(sample, "datatrove", options, place)
        yield Line("datatrove: the sample, fresh process", "MB/CPU-s", ours)
        yield from _peers(sample, (ours, everything["datatrove"]), options, place)
        yield from _in_one_process(whole, options, place)
        texts = texts_of(sample.texts())
        yield from _kernels(texts, sample.megabytes)


def _described(corpus: Corpus) -> Note:
    return Note(f"{corpus.name}: {corpus.documents:,} documents, {corpus.megabytes:.1f} MB of raw text")


def _start(options: Options, place: _Place) -> Line:
    """Measure a curation of one short document: what every fresh process pays before it works."""
    one = place.new("one")
    one.mkdir()
    (one / "one.jsonl").write_text('{"id": "1", "text": "One line."}\n', encoding="utf-8")
    command = (
        "curate",
        "--input",
        one / "one.jsonl",
        "--profile",
        "datatrove",
        "--no-dedup",
        "--workers",
        "1",
        "--json",
    )
    rounds = [
        mixwright(*command, "--output", place.new("curated"), home=place.new("home")).cpu_s
        for _ in range(options.rounds)
    ]
    return Line("one document, fresh process: the start, of all that follows", "CPU-s", spread_of(rounds))


def _fresh(corpus: Corpus, profile: str, options: Options, place: _Place) -> Spread:
    """Return the rate of the command with an empty home; what it published stays in `curated`."""
    command = ("curate", "--input", corpus.pattern, "--profile", profile, "--no-dedup", "--workers", "1", "--json")
    rounds = [
        mixwright(*command, "--output", place.new("curated"), home=place.new("home")).cpu_s
        for _ in range(options.rounds)
    ]
    return spread_of(rounds).per(corpus.megabytes)


def _peers(sample: Corpus, ours: tuple[Spread, Spread], options: Options, place: _Place) -> Iterator[Line | Note]:
    """Measure the systems beside ours (the sample, all of it) on the sample, where `curated` holds our decisions."""
    source = sample.files[0].parent
    for name, script in (("datatrove", "datatrove_filters"), ("nemo-curator", "nemo_filters")):
        if (absent := missing(script)) is not None:
            yield absent
            continue
        found = [
            peer(script, source, place.new(script), folder=place.folder).spent.cpu_s for _ in range(options.peer_rounds)
        ]
        theirs = spread_of(found).per(sample.megabytes)
        yield Line(f"{name} {version_of(name)}: the sample, fresh process", "MB/CPU-s", theirs)
        yield Line(f"ours (profile datatrove) / {name}, both on the sample", "ratio", ratio(ours[0], theirs))
        yield Line(f"ours on all of it / {name} on the sample", "ratio", ratio(ours[1], theirs))
        if script == "datatrove_filters":
            yield _agreement(place.folder / "curated", place.folder / script)


def _agreement(ours: Path, theirs: Path) -> Note:
    """Return whether both kept the same documents with texts of the same length."""
    tables = [pq.read_table(path, columns=["id", "text"]) for path in sorted((ours / "kept").glob("*.parquet"))]
    mine = {row["id"]: len(row["text"]) for table in tables for row in table.to_pylist()}
    rows = (json.loads(line) for path in theirs.rglob("*.jsonl.gz") for line in lines_of(path))
    other = {row["id"]: len(row["text"]) for row in rows}
    differ = len({*mine.items()} ^ {*other.items()})
    told = "the same documents and lengths of text" if not differ else f"{differ} entries DIFFER"
    return Note(f"kept of the sample: ours {len(mine):,}, datatrove {len(other):,}; {told}")


def _in_one_process(corpus: Corpus, options: Options, place: _Place) -> Iterator[Line]:
    """Measure ingest and curate in this process, caches warm and imports done, and the share of every kind of unit."""
    for profile in PROFILES:
        params = CurateParams(profile=profile, duplicates=None)

        def end_to_end(workshop: Workshop, params: CurateParams = params) -> None:
            raw = raw_input([corpus.pattern], place.new("inputs"), IngestParams())
            ingest(IngestParams(), inputs={"raw": raw.folder}, output=place.new("ingested"), workshop=workshop)
            curate(params, inputs={"ingest": place.folder / "ingested"}, output=place.new("out"), workshop=workshop)

        steps_of(end_to_end, place.new("store"))
        found = [steps_of(end_to_end, place.new("store")) for _ in range(options.rounds)]
        total = spread_of([sum(steps.values()) for steps in found])
        yield Line(f"{profile}: all of it, again in one process", "MB/CPU-s", total.per(corpus.megabytes))
        for step in found[0]:
            share = spread_of([steps[step] for steps in found])
            yield Line(f"  of this, {step}", "CPU-s", share)


def _kernels(texts: Texts, megabytes: float) -> Iterator[Line]:
    """Measure the statistics alone on texts in memory, beside the plain limit of splitting them into words."""
    works = {
        "statistics of gopher, in memory, warm": lambda: gopher_statistics(texts),
        "statistics of datatrove, in memory, warm": lambda: english_statistics(texts),
        "lines and statistics of C4 and FineWeb, in memory, warm": lambda: rewrite_and_count(texts, C4Lines()),
    }
    for name, work in works.items():
        yield Line(name, "MB/CPU-s", cpu_seconds(work).per(megabytes))
    strings = texts.to_list()
    splitting = cpu_seconds(lambda: [text.split() for text in strings]).per(megabytes)
    yield Line("limit: str.split of the same texts", "MB/CPU-s", splitting)
