"""Curation: MB of raw text per CPU second, beside the plain limit of splitting the same text into words."""

from collections.abc import Iterator

from benchmarks.measure import Line, rate, ratio
from tasks.curate.statistics.annotate import annotate


def run() -> Iterator[Line]:
    """Measure the statistics of Gopher's rules on prose that every Python has."""
    import pydoc_data.topics

    texts = list(pydoc_data.topics.topics.values())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    statistics = rate(megabytes, lambda: annotate(texts))
    splitting = rate(megabytes, lambda: [text.split() for text in texts])
    yield Line("statistics of Gopher's rules", "MB/CPU-s", statistics)
    yield Line("limit: str.split of the same text", "MB/CPU-s", splitting)
    yield Line("statistics / limit", "ratio", ratio(statistics, splitting))
