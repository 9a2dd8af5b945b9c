"""Tables of RegMix and olmix in, and ours out in their form."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError, DataError
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.tables.fit import measurements_of_runs, measurements_of_tables
from tasks.mixture.tables.imports import Imported, Origin, export_tables, import_tables
from tasks.mixture.tables.table import paired, read_table

MIXTURES = "index,train_a,train_b\n7,0.25,0.75\n3,0.501,0.5\n"
LOSSES = "index,metric/x_val_loss,metric/y_val_loss\n3,1.5,2.5\n7,2.0,4.0\n"
RATIOS = "run,name,a,b\nswarm-7,seven,0.25,0.75\nswarm-3,three,0.501,0.5\n"
METRICS = ",name,x,run_id,y\n0,three,1.5,swarm-3,2.5\n1,seven,2.0,swarm-7,4.0\n"


def brought(
    folder: Path,
    mixtures: str = MIXTURES,
    losses: str = LOSSES,
    origin: Origin = Origin(),  # noqa: B008 (frozen)
    target: str = "mean",
    only: tuple[str, ...] = (),
) -> Imported:
    for name, text in (("A.csv", mixtures), ("B.csv", losses)):
        (folder / name).write_text(text, encoding="utf-8")
    return import_tables(read_table(folder / "A.csv"), read_table(folder / "B.csv", only), origin, target)


def test_the_form_of_regmix_becomes_runs_with_the_names_of_its_columns(tmp_path: Path) -> None:
    found = brought(tmp_path, origin=Origin(1000, 50, 4, "nats per token"))
    assert (found.normalised, found.paired_by) == (1, "index")
    assert found.runs.domains == ("train_a", "train_b")
    assert (found.runs.sets, found.runs.unit) == (("metric/x_val_loss", "metric/y_val_loss"), "nats per token")
    first, second = found.runs.rows
    assert first == ProxyRun(7, 0, "imported", 4, 1000, 50, 300_000, 3.0, (0.25, 0.75), (2.0, 4.0))
    assert second.run == 3 and sum(second.weights) == pytest.approx(1.0, abs=1e-15) and second.losses == (1.5, 2.5)


def test_the_form_of_olmix_is_the_same_table_with_other_names_of_rows(tmp_path: Path) -> None:
    ours = brought(tmp_path).runs
    found = brought(tmp_path, RATIOS, METRICS)
    assert found.paired_by == "run"
    assert (found.runs.domains, found.runs.sets) == (("a", "b"), ("x", "y"))
    assert [row.run for row in found.runs.rows] == [0, 1]
    assert [(r.weights, r.losses) for r in found.runs.rows] == [(r.weights, r.losses) for r in ours.rows]


def test_what_was_imported_is_fitted_as_the_pair_of_tables_is(tmp_path: Path) -> None:
    found = brought(tmp_path)
    tables = read_table(tmp_path / "A.csv"), read_table(tmp_path / "B.csv")
    for target in ("mean", "metric/x_val_loss"):
        ours = measurements_of_runs(found.runs, target, "runs.csv").measured
        theirs = measurements_of_tables(*tables, target).measured
        assert np.array_equal(np.sort(ours.objective_R), np.sort(theirs.objective_R))
        assert np.array_equal(
            ours.weights_RD[np.argsort(ours.objective_R)], theirs.weights_RD[np.argsort(theirs.objective_R)]
        )


def test_rows_pair_by_name_where_there_is_nothing_else(tmp_path: Path) -> None:
    found = brought(tmp_path, "name,a,b\nu,1,0\nv,0,1\n", "name,x\nv,2.0\nu,1.0\n")
    assert found.paired_by == "name" and [row.losses for row in found.runs.rows] == [(1.0,), (2.0,)]


def test_rows_that_are_one_by_index_and_another_by_run_are_refused(tmp_path: Path) -> None:
    """An index of a data frame counts lines, whatever run stands there."""
    with pytest.raises(
        DataError, match=r"rows that `index` pairs have another `run` in 2 of 2 cases; first: .*A.csv, line 2"
    ):
        brought(tmp_path, "index,run,a,b\n0,u,1,0\n1,v,0,1\n", "index,run,x\n0,v,2.0\n1,u,1.0\n")


def test_a_run_that_stands_twice_and_a_run_that_is_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"A.csv, line 3 \(run u\): line 2 has the same run \(u\)"):
        brought(tmp_path, "run,a,b\nu,1,0\nu,0,1\n", "run,x\nu,2.0\nv,1.0\n")
    with pytest.raises(DataError, match=r"B.csv lacks 1 of 2 rows of .*A.csv; first: .*A.csv, line 3 \(run v\)"):
        brought(tmp_path, "run,a,b\nu,1,0\nv,0,1\n", "run,x\nu,2.0\nw,1.0\n")
    with pytest.raises(DataError, match=r"names its rows in a column `run`, .*B.csv has no such column"):
        brought(tmp_path, "run,a,b\nu,1,0\nv,0,1\n", "x\n2.0\n1.0\n")


def test_a_nameless_column_is_left_out_when_it_counts_rows_and_refused_when_it_does_not(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("Unnamed: 0,a\n1,0.5\n2,0.7\n", encoding="utf-8")
    assert read_table(tmp_path / "A.csv").columns == ("a",)
    (tmp_path / "A.csv").write_text(",a\n0.5,0.5\n0.3,0.7\n", encoding="utf-8")
    with pytest.raises(DataError, match="column 1 has no name"):
        read_table(tmp_path / "A.csv")


def test_the_objective_is_the_mean_or_a_column_and_others_can_be_left_out(tmp_path: Path) -> None:
    assert [row.objective for row in brought(tmp_path).runs.rows] == [3.0, 2.0]
    assert [row.objective for row in brought(tmp_path, target="metric/y_val_loss").runs.rows] == [4.0, 2.5]
    one = brought(tmp_path, losses=LOSSES.replace("4.0", "nan"), only=("metric/x_val_loss",))
    assert one.runs.sets == ("metric/x_val_loss",) and [row.objective for row in one.runs.rows] == [2.0, 1.5]
    with pytest.raises(ConfigError, match=r"no column z\. There are: mean \(of all\), metric/x_val_loss"):
        brought(tmp_path, target="z")
    with pytest.raises(ConfigError, match=r"B.csv: there is no column z\. There are: index, metric/x"):
        brought(tmp_path, only=("z",))


@pytest.mark.parametrize(
    ("mixtures", "losses", "message"),
    [
        (MIXTURES.replace("0.501", "0.521"), LOSSES, r"A.csv, line 3 \(index 3\) sums to 1.021000. Correct its weights"),
        (MIXTURES.replace("0.25,0.75", "1.2,-0.2"), LOSSES, r"A.csv, line 2 \(index 7\), column train_b: -0.2"),
        (MIXTURES, LOSSES.replace("4.0", "nan"), r"B.csv, line 3 \(index 7\), column metric/y_val_loss: 'nan'. Measure"),
        (MIXTURES, LOSSES.replace("4.0", "2.5"), r"1 of 2 losses are the same in all 2 runs; first: column metric/y"),
        (
            MIXTURES.replace("0.501,0.5", "0.25,0.75"),
            LOSSES,
            r"A.csv, line 3 \(index 3\): the same mixture as line 2, but other losses \(metric/x_val_loss: 2.0 and 1.5\)",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_row_and_the_remedy(
    tmp_path: Path, mixtures: str, losses: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        brought(tmp_path, mixtures, losses)


def runs(*rows: ProxyRun) -> RunTable:
    return RunTable(("a", "b"), ("x", "y"), "loss", rows)


def run(number: int, first: float, seed: int = 0) -> ProxyRun:
    return ProxyRun(number, 0, "imported", seed, 0, 0, 0, 2.0, (first, 1 - first), (1.0 + first, 3.0 - first))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5, unique_by=lambda value: round(value, 6)))
def test_what_is_written_reads_back_as_the_same_bits(firsts: list[float]) -> None:
    import tempfile

    table = runs(*(run(10 * number, first) for number, first in enumerate(firsts)))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("A.csv", "B.csv")]
        for path, text in zip(paths, export_tables(table), strict=True):
            path.write_text(text, encoding="utf-8")
        mixtures, losses = map(read_table, paths)
        assert np.array_equal(mixtures.values_RC, table.weights_RD())
        assert np.array_equal(paired(mixtures, losses).values_RC, table.losses_RS())
        assert import_tables(mixtures, losses, Origin()).runs.rows == table.rows


def test_one_seed_and_one_size_are_written() -> None:
    table = runs(run(0, 0.2), run(1, 0.3), run(2, 0.2, seed=1), replace(run(3, 0.9), tokens=5))
    with pytest.raises(DataError, match=r"2 sizes \(0 parameters on 0 tokens; 0 parameters on 5 tokens\).*--tokens"):
        export_tables(table)
    assert export_tables(table, tokens=0)[0].splitlines() == ["index,a,b", "0,0.2,0.8", "1,0.3,0.7"]
    assert export_tables(table, seed=1, tokens=0)[0].splitlines() == ["index,a,b", "2,0.2,0.8"]
    with pytest.raises(
        DataError, match=r"no run has this size and seed; the table has 4 runs, with the seeds \[0, 1\]"
    ):
        export_tables(table, seed=9, tokens=0)


def test_a_domain_called_like_a_name_of_rows_cannot_be_written() -> None:
    with pytest.raises(DataError, match="column name would be read as names of rows"):
        export_tables(RunTable(("a", "name"), ("x", "y"), "loss", (run(0, 0.2),)))


def test_the_published_tables_of_regmix_come_in_with_their_rounding_counted(shared_data: Path) -> None:
    folder = shared_data / "tables" / "regmix"
    mixtures, losses = (read_table(folder / f"train_{name}_1m.csv") for name in ("mixture", "pile_loss"))
    found = import_tables(
        mixtures, losses, Origin(10**6, 10**9, 42, "nats per token"), "metric/the_pile_pile_cc_val_loss"
    )
    assert (len(found.runs.rows), len(found.runs.domains), len(found.runs.sets)) == (512, 17, 13)
    assert found.normalised == 303 and found.runs.rows[0].run == 1
    assert found.runs.rows[0].objective == 5.169477939605713
