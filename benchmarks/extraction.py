"""Extraction: how much of the main text of real pages is found, beside trafilatura and resiliparse called directly.

Scores are those of scrapinghub/article-extraction-benchmark (evaluate.py): 4-grams of words, with their multiplicity,
each page with the same weight, F1 of mean precision and mean recall. Then the pages that lose much are named (`losses`).
"""

import gzip
import json
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.commands import mixwright
from benchmarks.inputs import shared
from benchmarks.losses import labelled, loss, single_readings, told
from benchmarks.measure import Line, Note, Spread, cpu_seconds, spread_of
from benchmarks.options import Options
from tasks.core.rng import generator

_WORD = re.compile(r"\w+")
_BLANKS = re.compile(r"\s+")
_NGRAM = 4
_RESAMPLED = 1000

Overlap = tuple[float, float, float]


@dataclass(frozen=True)
class Score:
    """Mean precision and recall over pages, and the F1 of these two means."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean; 0 if both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Page:
    """A page as it was served, and what is known of its text: the whole, or segments that must (not) be in it."""

    url: str
    html: bytes
    text: str | None
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Return the 4-grams of words of a text; of a shorter text, itself.

    >>> shingles("a b c d e") == Counter({("a", "b", "c", "d"): 1, ("b", "c", "d", "e"): 1})
    True
    """
    words = _WORD.findall(text)
    starts = range(max(1, len(words) - _NGRAM + 1))
    return Counter(found for i in starts if (found := tuple(words[i : i + _NGRAM])))


def overlap(truth: str, found: str) -> Overlap:
    """Return the shares of shingles that are (in both, only in what was found, only in the truth); they sum to 1.

    >>> overlap("a b c d e", "a b c d x")
    (0.3333333333333333, 0.3333333333333333, 0.3333333333333333)
    """
    left, right = shingles(truth), shingles(found)
    parts = ((left & right).total(), (right - left).total(), (left - right).total())
    total = sum(parts) or 1
    return parts[0] / total, parts[1] / total, parts[2] / total


def score(overlaps: Sequence[Overlap]) -> Score:
    """Return precision and recall over pages: pages without a text found have no precision, and without truth no recall.

    >>> score([(0.5, 0.5, 0.0), (0.5, 0.0, 0.5)])
    Score(precision=0.75, recall=0.75)
    """
    precision = [both / (both + extra) for both, extra, _ in overlaps if both + extra > 0]
    recall = [both / (both + missed) for both, _, missed in overlaps if both + missed > 0]
    return Score(float(np.mean(precision)), float(np.mean(recall)))


def segments(page: Page, found: str) -> tuple[int, int, int]:
    """Return (wanted segments found, unwanted ones found, wanted ones missed), blanks collapsed on both sides."""
    text = _BLANKS.sub(" ", found)
    right = sum(_BLANKS.sub(" ", segment).strip() in text for segment in page.wanted)
    wrong = sum(_BLANKS.sub(" ", segment).strip() in text for segment in page.unwanted)
    return right, wrong, len(page.wanted) - right


def segment_score(counts: Sequence[tuple[int, int, int]]) -> Score:
    """Return precision and recall over all segments of all pages.

    >>> segment_score([(3, 1, 1)])
    Score(precision=0.75, recall=0.75)
    """
    right, wrong, missed = (sum(part) for part in zip(*counts, strict=True))
    return Score(right / max(right + wrong, 1), right / max(right + missed, 1))


def difference(one: Sequence[Overlap], other: Sequence[Overlap]) -> Spread:
    """Return F1 of one - F1 of the other, and its 2.5 and 97.5 % points over pages drawn with replacement."""
    draws = generator(0, "benchmark", "extraction").integers(0, len(one), (_RESAMPLED, len(one)))
    found = [score([one[i] for i in draw]).f1 - score([other[i] for i in draw]).f1 for draw in draws]
    low, high = np.quantile(found, (0.025, 0.975))
    return Spread(score(one).f1 - score(other).f1, float(low), float(high))


def run(options: Options) -> Iterator[Line | Note]:
    """Score ours and the others on both sets of pages, then measure pages per CPU second."""
    data = shared()
    if data is None or not (data / "html").is_dir():
        yield Note("left out: extraction; there are no real pages here (set MIXWRIGHT_SHARED).")
        return
    # trafilatura logs every page it finds nothing in.
    logging.disable(logging.CRITICAL)
    articles, others = pages(data / "html", "aeb"), pages(data / "html", "trafilatura")
    yield Note(f"{len(articles)} articles with their whole text; {len(others)} pages with segments")
    overlaps = {}
    for name, extractor in _extractors().items():
        texts = [extractor(page.html) for page in articles]
        overlaps[name] = [overlap(page.text or "", text) for page, text in zip(articles, texts, strict=True)]
        yield _told(f"{name}: articles", score(overlaps[name]))
        counts = [segments(page, extractor(page.html)) for page in others]
        yield _told(f"{name}: segments", segment_score(counts))
    mine = overlaps.pop("ours")
    for name, theirs in overlaps.items():
        yield Line(f"F1 of articles: ours - {name}", "", difference(mine, theirs))
    yield from _losses(articles, others)
    yield from _speed([*articles, *others], options)
    yield from _end_to_end(data / "html" / "pages-aeb.warc.gz", articles, options)


def _losses(articles: Sequence[Page], others: Sequence[Page]) -> Iterator[Note]:
    """Compare page by page with the better single reading: articles, pages with segments, labelled pages."""
    ours, single = _extractors()["ours"], single_readings()
    wholes = [(page.url, page.html, lambda text, page=page: overlap(page.text or "", text)) for page in articles]
    parts = [(page.url, page.html, lambda text, page=page: segments(page, text)) for page in others]
    kept = labelled().items()
    own = [(name, html.encode(), lambda text, truth=truth: overlap(truth, text)) for name, (html, truth) in kept]
    for title, every in (("articles", wholes), ("pages with segments", parts), ("labelled pages", own)):
        found = []
        overlaps: dict[str, list[Overlap]] = {}
        for name, html, scored in every:
            text = _text(html)
            by = {"ours": scored(ours(html)), **{kind: scored(read(text)) for kind, read in single.items()}}
            for kind, one in by.items():
                overlaps.setdefault(kind, []).append(one)
            found.append(loss(name, by.pop("ours"), by))
        if every is own:
            yield from (_told(f"{kind}: labelled pages", score(values)) for kind, values in overlaps.items())
        yield from told(title, found)


def _text(html: bytes) -> str:
    from tasks.ingest.extraction.charset import decoded

    found = decoded(html, None)
    return found.text if found else ""


def pages(folder: Path, name: str) -> list[Page]:
    """Return the pages of a WARC file beside their truth, in the order of the truth."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with (folder / f"pages-{name}.warc.gz").open("rb") as raw:
        records = ArchiveIterator(raw, record_types=WarcRecordType.response)
        html = {record.headers["WARC-Target-URI"].strip(): record.reader.read() for record in records}
    with gzip.open(folder / f"truth-{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [_page(json.loads(line), html) for line in file]


def _page(truth: Mapping[str, Any], html: Mapping[str, bytes]) -> Page:
    url = str(truth["url"]).strip()
    wanted, unwanted = truth.get("text_must_contain", ()), truth.get("text_must_not_contain", ())
    return Page(url, html[url], truth["text"], tuple(wanted), tuple(unwanted))


def _extractors() -> dict[str, Callable[[bytes], str]]:
    """Return ours (the default) first, then the two libraries as their documentation calls them."""
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    from tasks.ingest.config import IngestParams
    from tasks.ingest.extraction.charset import decoded
    from tasks.ingest.extraction.kinds import extract

    extraction = IngestParams().extraction

    def ours(html: bytes) -> str:
        found = decoded(html, None)
        return extract(found.text, extraction).text if found else ""

    def resiliparse(html: bytes) -> str:
        return str(extract_plain_text(bytes_to_str(html, detect_encoding(html) or "utf-8"), main_content=True))

    return {
        "ours": ours,
        "trafilatura": lambda html: trafilatura.extract(html) or "",
        "trafilatura without comments": lambda html: trafilatura.extract(html, include_comments=False) or "",
        "trafilatura, favor_precision": lambda html: trafilatura.extract(html, favor_precision=True) or "",
        "resiliparse": resiliparse,
    }


def _told(name: str, found: Score) -> Note:
    return Note(f"{name:<56} F1 {found.f1:.4f}, precision {found.precision:.4f}, recall {found.recall:.4f}")


def _speed(every: Sequence[Page], options: Options) -> Iterator[Line]:
    for name, extractor in _extractors().items():
        if "," in name or " " in name:
            # Another option of the same library: as fast.
            continue
        spent = cpu_seconds(lambda work=extractor: [work(page.html) for page in every], options.rounds, warm=False)
        yield Line(f"{name}: extraction in memory", "pages/CPU-s", spent.per(len(every)))


def _end_to_end(archive: Path, articles: Sequence[Page], options: Options) -> Iterator[Line | Note]:
    """Measure `mixwright ingest` of the WARC file as a fresh process, and score what it published."""
    seconds = []
    with tempfile.TemporaryDirectory() as name:
        for i in range(options.rounds):
            place, out = Path(name) / f"home-{i}", Path(name) / f"out-{i}"
            command = ("ingest", "--input", archive, "--output", out, "--workers", "1", "--json")
            seconds.append(mixwright(*command, home=place).cpu_s)
        tables = [pq.read_table(path, columns=["url", "text"]) for path in sorted(out.glob("documents/*.parquet"))]
    texts = {row["url"].strip(): row["text"] for table in tables for row in table.to_pylist()}
    yield Line("mixwright ingest of the WARC file, fresh process", "pages/CPU-s", spread_of(seconds).per(len(articles)))
    published = [overlap(page.text or "", texts.get(page.url, "")) for page in articles]
    yield _told("what it published", score(published))
