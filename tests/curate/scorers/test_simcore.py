"""SimCore: a coreset that ends where nearness ends, and is all of a pool that is its own target."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import ConfigError
from tasks.curate import gather
from tasks.curate.published.scored import Scored
from tasks.curate.scorers import simcore
from tasks.curate.scorers.simcore import SimCore, taken
from tests.curate.scorers.embedded_folders import EMBEDDING, curate, documents, scores, topical, write_items

CONFIG = SimCore(name="core", target=("x",))


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_stops_within_a_fifth_of_the_planted_neighbours(seed: int) -> None:
    # The check of the recipe: a tenth of the pool are neighbours of the target, at cosines of about 0.96 (of neighbours that
    # lie as wide as 0.83 to 0.93 it leaves a fifth, because their own nearness falls by a twentieth).
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(10, 32)))
    planted = unit(np.repeat(centres, 60, axis=0) + 0.05 * random.normal(size=(600, 32)))
    pool = np.concatenate([planted, unit(random.normal(size=(5_400, 32)))])
    order = random.permutation(len(pool))
    found = taken(centres, pool[order], CONFIG, most=5_000)
    assert found.ended == "nearness fell"
    assert 0.8 * 600 <= len(found.rows) <= 1.2 * 600
    assert np.mean(order[list(found.rows)] < 600) > 0.9


def test_of_a_pool_that_is_its_own_target_all_is_taken_up_to_the_most() -> None:
    pool = unit(np.random.default_rng(0).normal(size=(300, 16)))
    assert sorted(taken(pool, pool, CONFIG, most=1_000).rows) == list(range(300))
    some = taken(pool, pool, CONFIG, most=120)
    assert (len({*some.rows}), some.ended) == (120, "as many as asked for")


def test_every_centre_takes_the_nearest_that_is_left() -> None:
    centres = np.eye(2, dtype=np.float32)
    pool = unit(np.array([[1, 0.1], [1, 0.2], [1, 0.9], [0.3, 1]]))
    found = taken(centres, pool, CONFIG, most=4)
    assert (found.rows, found.rounds) == ((0, 3, 1, 2), (1, 1, 2, 2))
    assert found.cosines[0] == pytest.approx(1 / np.hypot(1, 0.1), abs=2e-4)


def test_documents_near_to_a_target_are_taken_whatever_their_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = write_items(tmp_path / "target.jsonl", [{"text": topical("med", 100 + i)} for i in range(4)])
    scorer = {"kind": "simcore", "name": "core", "target": [str(target)], "embedding": EMBEDDING}
    small = {**scorer, "num_centres": 2, "most_per_target": 1.5}
    found = []
    for number, bounds in enumerate(((), (5, 11))):
        output, _ = curate(tmp_path / str(number), [small], documents(), bounds)
        found.append(scores(output, "core"))
    assert repr(found[0]) == repr(found[1])
    of_core = {name for name, row in found[0].items() if not np.isnan(row["core"])}
    assert len(of_core) == 6 and {name[:3] for name in of_core} == {"med"}
    assert {found[0][name]["core"] for name in of_core} == {1, 1 / 2, 1 / 3}
    told = Scored.read(output).scorers["core"]
    assert told.learned == {
        **{"target_texts": 4, "warning": "the target has 4 texts", "centres": 2, "taken": 6, "rounds": 3},
        "ended": "as many as asked for",
    }
    monkeypatch.setattr(simcore, "_MOST_PAIRS", 40)
    with pytest.raises(ConfigError, match=r"2 centres times 24 documents .* Set num_centres to at most 1"):
        curate(tmp_path / "2", [small], documents())
