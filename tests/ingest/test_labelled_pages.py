"""Pages of documentation, forums, tables, code and maths, written for this test and labelled by hand before they were read.

Beside each page stands its main text as a person would copy it: without menus, names of posters, numbers of lines; formulas
as TeX. Scores are those of the benchmark: 4-grams of words.
"""

import pytest

from benchmarks.extraction import Overlap, overlap, score
from benchmarks.losses import labelled, loss, single_readings
from tasks.ingest.config import IngestParams
from tasks.ingest.extraction.kinds import extract

PAGES = labelled()
found: dict[str, Overlap] = {}


def scored(name: str) -> Overlap:
    html, truth = PAGES[name]
    if name not in found:
        found[name] = overlap(truth, extract(html, IngestParams().extraction).text)
    return found[name]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_loses_much_against_the_better_single_reading(name: str) -> None:
    html, truth = PAGES[name]
    others = {kind: overlap(truth, read(html)) for kind, read in single_readings().items()}
    assert not (lost := loss(name, scored(name), others)).too_much, lost


def test_labelled_pages_score_as_measured() -> None:
    assert len(PAGES) >= 30
    # Measured: 0.964, where trafilatura has 0.880, its recall reading 0.890 and resiliparse 0.896.
    assert score([scored(name) for name in PAGES]).f1 >= 0.955


def test_a_loss_is_told_against_the_best_reading() -> None:
    lost = loss("page", (0.5, 0.5, 0.0), {"one": (0.0, 0.5, 0.5), "other": (0.8, 0.1, 0.1)})
    assert (round(lost.ours, 3), round(lost.best, 3), lost.reading, lost.too_much) == (0.667, 0.889, "other", True)
    assert not loss("page", (0.8, 0.1, 0.1), {"one": (0.9, 0.1, 0.0)}).too_much
