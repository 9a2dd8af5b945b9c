"""What the page tells of selections: how scores lie, what was selected of each source, and how near it came to a target."""

from pathlib import Path

import numpy as np

from tasks.curate.published.scored import Scored
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.documents import Candidates, write_candidates
from tasks.report.selection import read_selection


def folder_with(folder: Path, dropped: list[str]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 100
    scores = np.arange(float(number))
    scores[0] = np.nan
    sources = np.array(["web" if i < 80 else "law" for i in range(number)], dtype=object)
    candidates = Candidates(
        np.array(["p"] * number, dtype=object),
        {"source": sources, "language": np.array(["en"] * number, dtype=object)},
        np.full(number, 10),
        np.array([number_of(f"d{i}") for i in range(number)]),
        {"s": scores, "none": np.full(number, np.nan), "same": np.ones(number)},
    )
    for name in ("candidates", "dropped"):
        (folder / name).mkdir()
    write_candidates(candidates, folder / "candidates/0.parquet")
    rows = [{"id": name, "filter": "selection"} for name in dropped] + [{"id": "d99", "filter": "words"}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "dropped/0.parquet")
    Scored(scorers={}, selections=()).write(folder)
    return folder


def test_what_was_selected_is_counted_by_score_and_by_source(tmp_path: Path) -> None:
    found = read_selection(folder_with(tmp_path, [f"d{i}" for i in range(50)]))
    assert found is not None
    assert [(one.name, one.passed, one.selected, one.selected_tokens) for one in found.sources] == [
        ("web", 80, 30, 300),
        ("law", 20, 20, 200),
    ]
    scores, same = found.histograms
    assert (scores.name, scores.without, sum(scores.passed), sum(scores.selected)) == ("s", 1, 99, 50)
    middle = sum(edge < 50 for edge in scores.edges) - 1
    assert sum(scores.selected[:middle]) == 0 and scores.selected[middle + 1 :] == scores.passed[middle + 1 :]
    # Where all have the same, one bin has all.
    assert sorted(same.passed)[-2:] == [0, 100] and same.edges[0] == 0.5


def test_a_folder_in_which_nothing_was_scored_tells_nothing(tmp_path: Path) -> None:
    assert read_selection(tmp_path) is None


def test_the_page_shows_each_score_and_the_nearness_to_the_target(page: str) -> None:
    assert '<section id="selection">' in page and 'href="#selection"' in page
    assert page.count("documents that have it were selected.") == 2
    assert "Documents by med, of which 1 have none." in page
    assert "0.250 nats nearer to the target of med than the pool" in page


def test_the_page_shows_each_language_with_its_thresholds(page: str) -> None:
    assert '<section id="languages">' in page and 'href="#languages"' in page
    table = page.partition('<section id="languages">')[2].partition("</section>")[0]
    assert "<td>de</td>" in table and ">0.62<" in table
    # What is called as markup is text.
    assert "&lt;b&gt;" in table and "<b>" not in table
