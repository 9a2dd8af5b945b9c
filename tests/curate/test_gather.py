"""Small shards are curated together: the same fates, in few units."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import NothingKeptError
from tasks.core.manifest import FileRecord, Manifest
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.dedup.config import Duplicates
from tasks.curate.gather import GATHERED_BYTES, SMALL_BYTES, neighbours
from tasks.curate.published.funnel import Funnel
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop
from tests.curate.test_stage import prose
from tests.in_process import InProcess


def records(*sizes: int) -> list[FileRecord]:
    return [FileRecord(f"documents/{i:05d}.parquet", f"{i}", size) for i, size in enumerate(sizes)]


def sizes(*given_sizes: int) -> list[list[int]]:
    return [[record.bytes for record in group] for group in neighbours(records(*given_sizes))]


def test_neighbours_that_are_small_go_together_and_others_stay_alone() -> None:
    assert sizes(1, 2, SMALL_BYTES, 3, 4) == [[1, 2], [SMALL_BYTES], [3, 4]]
    assert sizes(*[SMALL_BYTES - 1] * 6) == [[SMALL_BYTES - 1] * 4, [SMALL_BYTES - 1] * 2]
    assert sizes() == []


@given(st.lists(st.integers(0, 2 * SMALL_BYTES), max_size=40))
def test_no_shard_is_lost_and_no_group_is_large(given_sizes: list[int]) -> None:
    groups = list(neighbours(records(*given_sizes)))
    assert [record for group in groups for record in group] == records(*given_sizes)
    assert all(len(group) == 1 or sum(record.bytes for record in group) <= GATHERED_BYTES for group in groups)


def test_hundreds_of_small_sources_take_as_many_units_as_one(tmp_path: Path) -> None:
    done, kept = [], []
    for number, shards in enumerate(
        ([[document(f"d{i:03d}", prose(i), f"s{i}")] for i in range(60)], [[document("d000", prose(0), "s0")]])
    ):
        folder, executor = tmp_path / str(number), InProcess()
        ingest_folder(folder / "ingest", shards)
        run(
            CurateParams(),
            inputs={"ingest": folder / "ingest"},
            output=folder / "out",
            workshop=workshop(folder, executor),
        )
        done.append(sorted(executor.done))
        kept.append({row["id"]: row["source"] for row in rows(folder / "out", "kept")})
        account = Manifest.read(folder / "out").account
        assert account is not None and account.taken.documents == len(shards)
        assert len(Funnel.read(folder / "out").counts.sources) == len(shards)
    assert done[0] == sorted([*done[1], "gather_shards"])
    assert kept[0] == {f"d{i:03d}": f"s{i}" for i in range(60)}


def test_every_gathered_shard_publishes_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "GATHERED_BYTES", 12_000)
    ingest_folder(tmp_path / "ingest", [[document(f"d{i:03d}", prose(i), f"s{i}")] for i in range(12)])
    curated = {"inputs": {"ingest": tmp_path / "ingest"}, "workshop": workshop(tmp_path)}
    run(CurateParams(), output=tmp_path / "v1", **curated)
    names = {
        kind: sorted(path.name for path in (tmp_path / "v1" / kind).iterdir()) for kind in ("kept", "fingerprints")
    }
    assert names["kept"] == names["fingerprints"] and 1 < len(names["kept"]) < 12
    # A later version meets every one of them again.
    later = CurateParams(duplicates=Duplicates(against=(str(tmp_path / "v1"),)))
    with pytest.raises(NothingKeptError, match="kept none of 12 documents: 12 exact_duplicate"):
        run(later, output=tmp_path / "v2", **curated)
