"""The main text of real pages: at least as good as the better of the two libraries called directly.

Pages, main texts and the score (4-gram shingles, precision and recall averaged over pages) are those of
scrapinghub/article-extraction-benchmark.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import pytest

from tasks.ingest.config import IngestParams
from tasks.ingest.extraction.charset import decoded
from tasks.ingest.extraction.kinds import Trafilatura, extract
from tasks.ingest.readers.members import GzipMembers
from tasks.ingest.readers.warc import read_warc
from tasks.ingest.records import Page


def f1(truths: Sequence[str], found: Sequence[str]) -> float:
    """The benchmark's F1, from precision and recall averaged over pages."""
    pairs = [(_shingles(truth), _shingles(text)) for truth, text in zip(truths, found, strict=True)]
    common = [(truth & text).total() for truth, text in pairs]
    precision = mean(one / text.total() for one, (_, text) in zip(common, pairs, strict=True) if text)
    recall = mean(one / truth.total() for one, (truth, _) in zip(common, pairs, strict=True) if truth)
    return 2 * precision * recall / (precision + recall)


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    grams = [tuple(words[start : start + 4]) for start in range(max(1, len(words) - 3))]
    return Counter(gram for gram in grams if gram)


@pytest.mark.slow
def test_f1_is_at_least_that_of_the_better_library(shared_data: Path) -> None:
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    with gzip.open(shared_data / "html" / "truth-aeb.jsonl.gz", "rt", encoding="utf-8") as stream:
        truths = [json.loads(line)["text"] for line in stream]
    data = (shared_data / "html" / "pages-aeb.warc.gz").read_bytes()
    pages = [one for one in read_warc(GzipMembers(iter([data]), None), IngestParams()) if isinstance(one, Page)]
    texts = [found.text for one in pages if (found := decoded(one.html, one.charset))]
    assert len(texts) == len(truths) == 181
    methods: dict[str, Callable[[str], str | None]] = {
        "ours": lambda html: extract(html, Trafilatura()).text,
        "trafilatura": lambda html: trafilatura.extract(html, include_comments=False),
        "trafilatura, for precision": lambda html: trafilatura.extract(
            html, include_comments=False, favor_precision=True
        ),
        "resiliparse": lambda html: extract_plain_text(html, main_content=True, alt_texts=False),
    }
    scores = {name: f1(truths, [method(html) or "" for html in texts]) for name, method in methods.items()}
    assert scores["ours"] >= max(scores.values()), scores
    assert scores["ours"] >= 0.966
