"""One large document: its memory is bounded, and its numbers are those of the plain way."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tasks.core.rng import generator
from tasks.curate.native import kernel
from tasks.curate.rewriting.refinedweb import RefinedWebLines, refinedweb_statistics
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.texts import Columns, Texts, texts_of

# Bytes of memory per byte of a text, at most, whatever stands in it.
MOST_TIMES = 36
GROWTH = """
import os, resource
from itertools import product
from tests.curate.test_large_texts import STATISTICS, letters
from tasks.curate.statistics.texts import texts_of
for statistics in STATISTICS.values():
    statistics(texts_of(["the quick brown fox"]))
for name, between in product(STATISTICS, " \\n"):
    if os.fork() == 0:
        texts = texts_of([letters(1_000_000, between)])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        STATISTICS[name](texts)
        print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2_000_000, flush=True)
        os._exit(0)
    os.wait()
"""


def _refinedweb(texts: Texts) -> Columns:
    return refinedweb_statistics(texts, RefinedWebLines())


STATISTICS: dict[str, Callable[[Texts], Columns]] = {
    "gopher": gopher_statistics,
    "english": english_statistics,
    "refinedweb": _refinedweb,
}


def letters(number: int, between: str, alphabet: int = 26) -> str:
    """Single letters, of which hardly five in a row come twice."""
    chosen = generator(0, "letters").integers(0, alphabet, number)
    return between.join(map(chr, (97 + chosen).tolist()))


def test_a_document_of_single_letters_takes_a_bounded_multiple_of_its_bytes() -> None:
    # In processes of their own: a peak never falls.
    run = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": "."}
    )
    assert [float(line) < MOST_TIMES for line in run.stdout.split()] == [True] * 2 * len(STATISTICS), run.stdout


@pytest.mark.parametrize("name", STATISTICS)
def test_a_document_of_very_many_words_has_the_numbers_of_the_fallback(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than the kernels take for usual, and a small text behind it, which must not see what is left of it.
    large = letters(140_000, " ") + "\n\n" + letters(60_000, " ", alphabet=3) + "\n" + letters(1_000, "\n")
    texts = texts_of([large, "the river and the house " * 9])
    found = {}
    for which in ("compiled", "python"):
        monkeypatch.setenv("MIXWRIGHT_KERNELS", which)
        kernel.cache_clear()
        found[which] = STATISTICS[name](texts)
    kernel.cache_clear()
    assert found["compiled"].keys() == found["python"].keys()
    for column, values in found["compiled"].items():
        np.testing.assert_array_equal(values, found["python"][column], column)
