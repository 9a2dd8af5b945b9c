"""What all studies have in common: options, a result that says how it was made, and paired differences."""

from pathlib import Path

import pytest

from benchmarks.studies import study
from benchmarks.studies.bytes_of_text import END, stream
from benchmarks.studies.study import SEEDS, Option, Study, run, table, verdict

OPTIONS = (SEEDS, Option("keep", (0.1, 0.3)), Option("check", None, choices=("a", "b")))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command line of a study, with data and results in a folder."""
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "shared", lambda: tmp_path)
    monkeypatch.setattr("sys.argv", ["toy", str(tmp_path / "made"), "--check", "b", "--keep", "0.5"])
    return tmp_path


def test_a_result_begins_with_the_command_that_makes_it_again(asked: Path) -> None:
    def work(given: Study) -> str:
        assert given.data == asked and given.scratch().parent == given.folder == asked / "made"
        return f"{given.options.seeds} seeds, {given.options.keep}"

    run("toy", "A toy.", work, *OPTIONS, result="{name}_{check}")
    told = (asked / "benchmarks/results/toy_b.txt").read_text().splitlines()
    assert told[0].startswith("toy: ")
    assert told[0].endswith("`python -m benchmarks.studies.toy FOLDER --seeds 3 --keep 0.5 --check b`")
    assert told[1:] == ["3 seeds, [0.5]"]


def test_without_the_corpus_it_says_that_it_was_skipped(
    asked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "shared", lambda: None)
    run("toy", "A toy.", lambda given: "never made", *OPTIONS)
    assert capsys.readouterr().out.startswith("skipped: no shared data here.")
    assert not (asked / "made").exists()


def test_a_table_has_paired_differences_with_intervals_where_there_are_seeds_enough() -> None:
    base, own = {"bits": [4.0, 4.1, 4.2]}, {"bits": [3.8, 4.0, 4.1]}
    told = table({"plain": base, "other": own}, "plain").splitlines()
    assert told[2:] == ["| plain | 4.1000 |  |", "| other | 3.9667 | -0.1333 (-0.2768 to +0.0101) |"]
    assert study.difference([1.0, 2.0], [0.5, 1.0]) == "+0.7500"


@pytest.mark.parametrize(
    ("ours", "told"),
    [([1.0, 1.1, 1.2], "shown"), ([3.0, 3.1, 3.3], "the opposite is shown"), ([1.0, 2.0, 3.0], "not shown")],
)
def test_a_verdict_asks_for_an_interval_on_one_side_of_zero(ours: list[float], told: str) -> None:
    assert verdict(ours, [2.0, 2.1, 2.2]) == told
    assert verdict(ours[:2], [2.0, 2.1]).startswith("no verdict")


def test_a_stream_has_an_end_behind_each_text_and_reads_no_more_than_asked() -> None:
    texts = iter(["ab", b"c", "never read"])
    assert stream(texts, 4).tolist() == [97, 98, END, 99]
    assert next(texts) == "never read"
