"""The table of runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.mixture.runs import PREFIXES, LossUnit, ProxyRun, RunTable, read_runs, to_csv


def run(number: int = 0, seed: int = 0, first: float = 0.5, losses: tuple[float, float] = (2.0, 3.0)) -> ProxyRun:
    return ProxyRun(number, 0, "design", seed, 1000, 2048, 10**9, sum(losses) / 2, (first, 1 - first), losses, "d0")


def table(*rows: ProxyRun, unit: LossUnit = "bits per byte", sets: tuple[str, ...] = ("a", "b")) -> RunTable:
    return RunTable(("a", "b"), sets, unit, rows)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 20), st.floats(0.1, 20)), min_size=1, max_size=6),
    st.sampled_from(list(PREFIXES)),
)
def test_the_table_reads_back_as_the_same_bits(values: list[tuple[float, float, float]], unit: LossUnit) -> None:
    import tempfile

    rows = tuple(run(i, seed=i, first=w, losses=(a, b)) for i, (w, a, b) in enumerate(values))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        path.write_text(to_csv(table(*rows, unit=unit, sets=("x", "w:y"))), encoding="utf-8")
        assert read_runs(path) == table(*rows, unit=unit, sets=("x", "w:y"))


def test_the_columns_are_those_of_the_seam_and_say_the_unit() -> None:
    fixed = "format,run,round,kind,seed,model_parameters,tokens,flops,data,instruction_set,objective,w:a,w:b"
    assert to_csv(table(run())).splitlines()[0] == f"{fixed},bpb:a,bpb:b"
    assert to_csv(table(run(), unit="nats per token")).splitlines()[0] == f"{fixed},nats:a,nats:b"
    assert to_csv(table(run(), unit="loss")).splitlines()[0] == f"{fixed},loss:a,loss:b"


def test_held_out_sets_need_not_be_the_domains() -> None:
    alone = replace(run(), losses=(2.0,))
    assert table(alone, sets=("code",)).losses_RS().tolist() == [[2.0]]
    with pytest.raises(DataError, match="run 0: 2 weights for 2 domains and 1 losses for 2 held-out sets"):
        table(alone)


EARLIER = "run,round,kind,seed,model_parameters,tokens,flops,{data}objective,w:a,w:b,bpb:a,bpb:b\n"


@pytest.mark.parametrize("data", ["", "d0"])
def test_tables_of_before_format_or_data_was_a_column_are_read(tmp_path: Path, data: str) -> None:
    cells = "0,0,design,0,1000,2048,1000000000,{data}2.5,0.5,0.5,2.0,3.0\n"
    columns = EARLIER.format(data="data," if data else "") + cells.format(data="d0," if data else "")
    (tmp_path / "runs.csv").write_text(columns, encoding="utf-8")
    assert read_runs(tmp_path / "runs.csv") == table(replace(run(), data=data))


def test_a_table_of_a_later_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(to_csv(table(run())).replace("\n2,0,0,", "\n3,0,0,"), encoding="utf-8")
    with pytest.raises(DataError, match="line 2: not a run: format 3, this version of Mixwright reads 2"):
        read_runs(tmp_path / "runs.csv")


def test_a_mixture_may_differ_between_instruction_sets() -> None:
    other = replace(run(3, losses=(2.0, 3.1)), instruction_set="AVX2")
    assert len(table(run(0), other).rows) == 2
    # Two sets are no pair: they say nothing of the noise between seeds.
    assert table(run(0), replace(other, seed=1)).noise_sd() is None


def test_a_mixture_measured_twice_with_different_results_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"runs 0 and 3 are the same mixture, seed, size and data but measured 3\.0 and 3\.1 on b: one"
    ):
        table(run(0), run(3, losses=(2.0, 3.1)))
    table(run(0), run(3))
    table(run(0), run(3, seed=1, losses=(2.0, 3.1)))
    table(run(0), replace(run(3, losses=(2.0, 3.1)), data="d1"))
    table(run(0), replace(run(3, losses=(2.0, 3.1)), tokens=4096))


def test_nan_and_weights_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(DataError, match="no finite number"):
        run(losses=(2.0, float("nan")))
    with pytest.raises(DataError, match=r"sum to 1\.1"):
        replace(run(), weights=(0.5, 0.6))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2048", "many", "line 2: not a run"),
        (",0.5,0.5", ",0.5,0.6", "line 2: run 0: its weights sum to 1.1"),
        (",0.5,0.5", ",-0.5,1.5", "line 2: run 0: it has a weight of -0.5, below 0"),
        (",2.0,3.0", ",2.0", "line 2: not a run: 14 cells"),
        (",2.0,3.0", ",2.0,nan", "line 2: run 0: it holds a value that is no finite number"),
        ("bpb:b", "loss:b", "columns are not those of a table of runs"),
        ("run,", "number,", "columns are not those of a table of runs"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(to_csv(table(run())).replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_runs(path)


def test_a_missing_file_an_empty_one_and_one_that_contradicts_itself_are_named(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    with pytest.raises(DataError, match=r"runs.csv: there is no such file"):
        read_runs(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"runs.csv: 0 line\(s\): a header and at least one row are needed"):
        read_runs(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"runs.csv: this is no CSV text in UTF-8"):
        read_runs(path)
    lines = to_csv(table(run(0))).splitlines()
    path.write_text("\n".join([*lines, lines[1].replace("0,", "3,", 1).replace(",3.0", ",3.5")]), encoding="utf-8")
    with pytest.raises(DataError, match=r"runs.csv: runs 0 and 3 are the same"):
        read_runs(path)


def test_predictors_see_one_seed_with_each_mixture_once() -> None:
    seen = table(run(0), run(1, first=0.2), run(2), run(3, seed=1, losses=(2.1, 3.1)))
    assert [row.run for row in seen.paired(0).rows] == [0, 1]


def test_sizes_are_told_apart() -> None:
    small, large = run(0), replace(run(1), model_parameters=9000, tokens=10)
    both = table(large, small)
    assert both.fidelities() == ((1000, 2048), (9000, 10))
    assert both.at(9000, 10).rows == (large,)


def test_noise_is_the_spread_of_one_mixture_over_seeds_and_unknown_without_repeats() -> None:
    rows = (run(0), run(1, seed=1, losses=(2.2, 3.0)), run(2, seed=2, losses=(2.4, 3.0)), run(3, first=0.1))
    assert table(*rows).noise_sd() == pytest.approx(np.std([2.5, 2.6, 2.7], ddof=1))
    assert table(*rows[:1]).noise_sd() is None


def test_another_size_or_other_data_is_no_noise() -> None:
    larger, elsewhere = replace(run(1, seed=1), tokens=10**6), replace(run(2, seed=2), data="d1")
    assert table(run(0), larger, elsewhere).noise_sd() is None
