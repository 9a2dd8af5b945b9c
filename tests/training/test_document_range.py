"""Stages of a part of the documents, in an order or at random: disjoint, exact, seekable, off the same as before."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from infra.storage import FolderStore
from tasks.core.errors import ConfigError, StoppedError
from tasks.core.identity import reads_of
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.document_range import DocumentRange, inside
from tasks.training.exposure import tokens_seen
from tasks.training.ledger import rebuilt_ledger
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRuns
from tasks.training.rebuilt import rebuilt_specs
from tasks.training.result import identity
from tasks.training.rows import rows_of
from tasks.training.run import train
from tasks.training.segments import Layout
from tasks.training.stage import run
from tasks.training.types import Phase, RunSpec
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, make_pool, small_training
from tests.training.documents import memory_pool
from tests.training.test_segments import SHARES, STEP, same, stopping
from tests.training.test_stage import TOKENIZER, sign

FIRST, LAST = DocumentRange(high=0.75), DocumentRange(low=0.75)


def ranged_spec(**changes: object) -> RunSpec:
    """A run of 12 steps: the first 7 on three quarters of the documents, the others on the last quarter."""
    phases = (Phase(7 * STEP, SHARES, documents=FIRST), Phase(5 * STEP, SHARES, documents=LAST))
    return RunSpec("ranged", phases, 0, small_training(**changes))


@pytest.mark.parametrize("by", [None, "quality"])
def test_ranges_that_meet_have_every_document_once_and_the_share_of_tokens_that_they_say(by: str | None) -> None:
    lengths = np.arange(1, 301) % 37 + 1
    numbers = None if by is None else np.random.default_rng(0).normal(size=300)
    cuts = [0.0, 0.2, 0.5, 0.9, 1.0]
    parts = [inside(DocumentRange(by=by, low=low, high=high), lengths, numbers) for low, high in pairwise(cuts)]
    assert (np.sum(parts, axis=0) == 1).all()
    assert [part @ lengths / lengths.sum() for part in parts] == pytest.approx(np.diff(cuts), abs=0.01)
    if numbers is not None:
        assert all(numbers[low > 0].max() <= numbers[high > 0].min() for low, high in pairwise(parts))
    else:
        other = inside(DocumentRange(high=0.2, seed=1), lengths, None)
        assert 0.1 < (other & parts[0]).sum() / parts[0].sum() < 0.5


@pytest.mark.parametrize("metadata", [None, True])
def test_a_last_stage_of_other_documents_reads_nothing_of_those_before_whether_they_have_metadata_or_not(
    tmp_path: Path, metadata: bool | None
) -> None:
    pool = make_pool(tmp_path / "pool", metadata=True)
    spec = ranged_spec()
    spec = replace(spec, phases=(replace(spec.phases[0], metadata=metadata), spec.phases[1]))
    data = run_data(spec, pool)
    first, last = data.parts
    for domain, (before, behind) in enumerate(zip(first.rows, last.rows, strict=True)):
        seen = [rows.tokens_seen(np.ones(rows.count, dtype=np.int64)) > 0 for rows in (before, behind)]
        assert not (seen[0] & seen[1]).any() and seen[0].any() and seen[1].any()
        read = tokens_seen(data, domain)
        assert (read[~(seen[0] | seen[1])] == 0).all() and read.any()


def test_the_best_documents_are_those_with_the_highest_scores_and_are_counted_as_the_whole_of_an_epoch() -> None:
    pool = memory_pool({"a": [20] * 40}, {"a": {"quality": [(7 * place) % 40 for place in range(40)]}})
    rows = rows_of(pool, Layout(10, documents=DocumentRange(by="quality", low=0.75)), None)[0]
    best = rows.tokens_seen(np.ones(rows.count, dtype=np.int64)) > 0
    assert (rows.count, rows.distinct) == (20, 20)
    assert {(7 * place) % 40 for place in np.flatnonzero(best).tolist()} == set(range(30, 40))
    weighted = rows_of(pool, Layout(10, documents=LAST), DataConfig(document_weights="quality"))[0]
    assert weighted.distinct == pytest.approx(20, abs=2) and weighted.count > 2 * weighted.distinct


def test_a_range_may_be_of_some_domains_and_the_others_have_all_their_documents(pool: TokenPool) -> None:
    every, some = (
        [rows.count for rows in rows_of(pool, Layout(LENGTH, documents=documents), None)]
        for documents in (DocumentRange(), DocumentRange(high=0.5, domains=("beta",)))
    )
    assert (some[0], some[2]) == (every[0], every[2]) and some[1] == pytest.approx(every[1] / 2, abs=2)


def test_a_run_stopped_around_a_switch_of_documents_ends_with_the_same_bits(pool: TokenPool, tmp_path: Path) -> None:
    spec = ranged_spec(checkpoint_every_steps=100)
    whole = train(spec, pool)
    for steps in (7, 2):
        with pytest.raises(StoppedError):
            train(spec, pool, checkpoints=tmp_path, asked_to_stop=stopping(steps))
    assert same(train(spec, pool, checkpoints=tmp_path), whole)


def test_without_a_range_nothing_changes(pool: TokenPool) -> None:
    spec = ranged_spec()
    plain = replace(spec, phases=tuple(replace(phase, documents=None) for phase in spec.phases))
    assert "documents" not in reads_of(plain)["phases"][0] and identity(plain, pool) != identity(spec, pool)
    assert run_data(plain, pool).parts[0].rows[0].pieces is None


def test_ranges_that_cannot_be_had_are_refused(pool: TokenPool) -> None:
    with pytest.raises(ValidationError, match=r"the range from 0\.5 to 0\.5 has none"):
        DocumentRange(low=0.5, high=0.5)
    with pytest.raises(ConfigError, match="no number called quality of each document"):
        run_data(
            RunSpec("q", (Phase(12 * STEP, SHARES, documents=DocumentRange(by="quality")),), 0, small_training()), pool
        )
    with pytest.raises(ConfigError, match="interleave or documents would begin behind 464 tokens, within a step"):
        replace(ranged_spec(), phases=(Phase(464, SHARES, documents=FIRST), Phase(12 * STEP - 464, SHARES)))
    with pytest.raises(ConfigError, match="documents names the domains delta, which the pool has not"):
        rows_of(pool, Layout(LENGTH, documents=DocumentRange(high=0.5, domains=("alpha", "delta"))), None)
    narrow = Phase(12 * STEP, SHARES, documents=DocumentRange(high=0.01))
    with pytest.raises(ConfigError, match="have a weight but not one whole sample"):
        run_data(RunSpec("narrow", (narrow,), 0, small_training()), pool)


def test_a_recipe_of_ranges_is_trained_published_and_capped_stage_by_stage(pool: TokenPool, tmp_path: Path) -> None:
    tokens = tmp_path / "pool"
    (tokens / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tokens)
    params = TrainParams(training=small_training(), num_seeds=1)

    def trained(max_epochs: float) -> Any:
        late = {"documents": {"low": 0.75}, "max_epochs": max_epochs}
        stages = [
            {"tokens": 6 * STEP, "weights": SHARES, "documents": {"high": 0.75}},
            {"tokens": 6 * STEP, "weights": SHARES, **late},
        ]
        recipe = {"format": 4, "name": "ranged", "domains": pool.names, "stages": stages, "max_epochs": 4.0}
        (tmp_path / "recipe.json").write_text(json.dumps(recipe))
        inputs = {"tokenize": tokens, "recipe": tmp_path / "recipe.json"}
        place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
        run(params, inputs=inputs, output=tmp_path / "train", workshop=place)
        return TrainedRuns.read(tmp_path / "train").runs

    # A quarter of gamma's 600 tokens are 9 rows, and 5 samples are asked.
    with pytest.raises(
        ConfigError, match=r"more than 0\.5 times within the stage; first: gamma, 5 samples asked of 9 there"
    ):
        trained(0.5)
    (found,) = trained(1.0)
    assert [phase.documents for phase in found.phases] == [FIRST, LAST]
    ledger = rebuilt_ledger(run_data(rebuilt_specs((found,), params)[found.name], read_pool(tokens)))
    assert [one.tokens for one in found.consumed.values()] == list(ledger.token_totals)


@pytest.mark.parametrize("order", [None, "descending"])
def test_a_curriculum_feeds_the_documents_of_the_shuffled_run_in_the_order_of_their_scores(order: Any) -> None:
    scores = np.random.default_rng(1).normal(size=60)
    columns = {"score": scores.tolist(), "once": [1.0] * 60}
    pool = memory_pool({"a": [10 + place % 13 for place in range(60)]}, {"a": columns})
    config = DataConfig(curriculum="score", curriculum_order=order)
    steps = len(rows_of(pool, Layout(LENGTH), None)[0].tokens) // STEP
    specs = [
        RunSpec("run", (Phase(steps * STEP, (1.0,)),), 0, small_training(data=data, num_tokens=steps * STEP))
        for data in (config, DataConfig(document_weights="once"))
    ]
    sorted_, shuffled = (run_data(spec, pool) for spec in specs)
    # The ledgers of both count the same tokens of the same documents.
    assert tokens_seen(sorted_, 0).tolist() == tokens_seen(shuffled, 0).tolist()
    assert rebuilt_ledger(sorted_).token_totals == rebuilt_ledger(shuffled).token_totals
    rows = sorted_.parts[0].rows[0]
    assert rows.scores is not None
    means = rows.scores[sorted_.parts[0].order.samples(0, 4 * steps).rows] * (1 if order is None else -1)
    assert (np.diff(means) * (1 if order is None else -1) >= 0).all() and len({*means.tolist()}) > 20
    # Any part of the run is what it is in the whole: nothing is kept of the order.
    assert (sorted_.read(5, 9).tokens == sorted_.read(0, 4 * steps).tokens[5:9]).all()


def test_an_order_of_no_curriculum_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"data\.curriculum names none"):
        DataConfig(curriculum_order="descending")


def test_a_run_with_a_curriculum_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    scores = np.random.default_rng(2).normal(size=120).tolist()
    pool = memory_pool({"a": [9] * 120}, {"a": {"score": scores}})
    data = DataConfig(curriculum="score", curriculum_order="descending")
    spec = RunSpec("run", (Phase(12 * STEP, (1.0,)),), 0, small_training(data=data, checkpoint_every_steps=100))
    with pytest.raises(StoppedError):
        train(spec, pool, checkpoints=tmp_path, asked_to_stop=stopping(5))
    assert same(train(spec, pool, checkpoints=tmp_path), train(spec, pool))
