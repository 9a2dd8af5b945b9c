"""The table of runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.mixture.runs import Run, Runs, read_runs, to_csv


def run(number: int = 0, seed: int = 0, first: float = 0.5, bpb: tuple[float, float] = (2.0, 3.0)) -> Run:
    return Run(number, 0, "design", seed, 1000, 2048, 10**9, sum(bpb) / 2, (first, 1 - first), bpb)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 20), st.floats(0.1, 20)), max_size=6))
def test_the_table_reads_back_as_the_same_bits(values: list[tuple[float, float, float]]) -> None:
    import tempfile

    rows = tuple(run(i, seed=i, first=w, bpb=(a, b)) for i, (w, a, b) in enumerate(values))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        path.write_text(to_csv(Runs(("a", "b"), rows)), encoding="utf-8")
        assert read_runs(path) == Runs(("a", "b"), rows)


def test_the_columns_are_those_of_the_seam() -> None:
    header = to_csv(Runs(("a", "b"), (run(),))).splitlines()[0]
    assert header == "run,round,kind,seed,model_parameters,tokens,flops,objective,w:a,w:b,bpb:a,bpb:b"


def test_a_mixture_measured_twice_with_different_results_is_refused() -> None:
    with pytest.raises(DataError, match="runs 0 and 3 are the same mixture, seed and size but measured"):
        Runs(("a", "b"), (run(0), run(3, bpb=(2.0, 3.1))))
    Runs(("a", "b"), (run(0), run(3)))
    Runs(("a", "b"), (run(0), run(3, seed=1, bpb=(2.0, 3.1))))


def test_nan_and_weights_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(DataError, match="no finite number"):
        run(bpb=(2.0, float("nan")))
    with pytest.raises(DataError, match=r"sum to 1\.1"):
        replace(run(), weights=(0.5, 0.6))


def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(to_csv(Runs(("a", "b"), (run(),))).replace("2048", "many"), encoding="utf-8")
    with pytest.raises(DataError, match="line 2: not a run"):
        read_runs(path)
    path.write_text("run,w:a\n", encoding="utf-8")
    with pytest.raises(DataError, match="columns"):
        read_runs(path)


def test_predictors_see_one_seed_with_each_mixture_once() -> None:
    table = Runs(("a", "b"), (run(0), run(1, first=0.2), run(2), run(3, seed=1, bpb=(2.1, 3.1))))
    assert [row.run for row in table.paired(0).rows] == [0, 1]


def test_noise_is_the_spread_of_one_mixture_over_seeds_and_unknown_without_repeats() -> None:
    rows = (run(0), run(1, seed=1, bpb=(2.2, 3.0)), run(2, seed=2, bpb=(2.4, 3.0)), run(3, first=0.1, bpb=(9.0, 9.0)))
    assert Runs(("a", "b"), rows).noise_sd() == pytest.approx(np.std([2.5, 2.6, 2.7], ddof=1))
    assert Runs(("a", "b"), rows[:1]).noise_sd() is None
