"""A ladder in place of the law of all runs: how losses fall to the full run."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tasks.core.digest import digest_file
from tasks.core.errors import DataError, EvidenceError
from tasks.ladder.fall import ladder_fall
from tasks.ladder.forecast import COLUMNS
from tasks.mixture.config import SearchParams
from tasks.mixture.stage import digests_read
from tasks.mixture.third_size import Sizes, fall
from tasks.mixture.transfer import Size, TransferParams
from tasks.runtime.stages import StageInput
from tests.ladder.test_forecast import SETS, loss, rows, written

FIRST, SECOND, TARGET = Size(100_000, 500_000), Size(200_000, 1_000_000), Size(800_000, 4_000_000)


def test_losses_fall_as_the_ladders_runs_do(tmp_path: Path) -> None:
    found = ladder_fall(written(tmp_path, rows(4, noise=0.001)), FIRST, SECOND, TARGET)
    levels = [sum(loss(name, each.model_parameters, each.tokens) for name in SETS) for each in (FIRST, SECOND, TARGET)]
    assert found.factor == pytest.approx((levels[1] - levels[2]) / (levels[0] - levels[1]), rel=0.05)
    assert 0 < found.sd < found.factor
    # It stands in place of the law that holds for all runs.
    assert Sizes(FIRST, SECOND, TARGET, found).fall == found != fall(FIRST, SECOND, TARGET)
    assert Sizes(FIRST, told=found).fall is None


def test_a_ladder_whose_losses_do_not_fall_is_refused(tmp_path: Path) -> None:
    rising = [
        f"{n},{m * n},1,0,code,{2.0 + 0.1 * step}" for step, n in enumerate((1000, 2000, 4000)) for m in (5, 10, 20)
    ]
    (tmp_path / "runs.csv").write_text("\n".join([",".join(COLUMNS), *rising, ""]))
    with pytest.raises(EvidenceError):
        ladder_fall(tmp_path / "runs.csv", Size(1000, 5000), Size(2000, 10_000), Size(4000, 20_000))


def test_a_ladder_without_a_second_size_is_refused() -> None:
    with pytest.raises(ValueError, match="ladder without transfer"):
        SearchParams(ladder="runs.csv")
    assert SearchParams(ladder="runs.csv", transfer=TransferParams()).ladder == "runs.csv"


def test_a_search_reads_the_ladder_that_it_names(tmp_path: Path) -> None:
    pool = cast("StageInput", SimpleNamespace(digest="pool"))
    path = written(tmp_path, rows(2))
    params = SearchParams(ladder=str(path), transfer=TransferParams())
    assert digests_read(params, pool, ()) == {"tokenize": "pool", "ladder": digest_file(path)}
    with pytest.raises(
        DataError, match=r"search\.ladder: gone\.csv: there is no such file\. Name the runs\.csv of a lad"
    ):
        digests_read(params.model_copy(update={"ladder": "gone.csv"}), pool, ())
