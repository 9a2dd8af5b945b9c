"""Stages whose documents are interleaved in chunks: every document comes back in order, and every count stays exact."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ConfigError, StoppedError
from tasks.core.identity import reads_of
from tasks.tokenize.pool import TokenPool
from tasks.training.chunks import Interleave, in_turn
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.exposure import samples_seen, tokens_seen
from tasks.training.ledger import rebuilt_ledger
from tasks.training.parallel.ddp import Ddp
from tasks.training.rebuilt import trained_phase
from tasks.training.result import identity
from tasks.training.rows import rows_of
from tasks.training.run import train
from tasks.training.segments import Layout, share_of_step
from tasks.training.types import Phase, RunSpec, Trunk
from tests.training.conftest import LENGTH, small_training
from tests.training.documents import memory_pool
from tests.training.test_recipe_stages import planned, recipe
from tests.training.test_segments import same, stopping

STEP = 4 * LENGTH
SHARES = (0.5, 0.3, 0.2)
CHUNKS = Interleave(chunk_tokens=3, documents=2)


def long_spec(**changes: object) -> RunSpec:
    """A run of 12 steps; the last four have samples of twice the length, of chunks of two documents in turn."""
    last = Phase(4 * STEP, SHARES, sequence_length=2 * LENGTH, rope_base=1e5, interleave=CHUNKS)
    return RunSpec("long", (Phase(8 * STEP, SHARES), last), 0, small_training(**changes))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 2)), min_size=1, max_size=12),
    st.integers(2, 9), st.integers(1, 7), st.integers(2, 4),
)  # fmt: skip
def test_deinterleaving_gives_every_document_back(
    documents: list[tuple[int, int]], length: int, chunk: int, together: int
) -> None:
    sizes, weights = zip(*documents, strict=True)
    pool = memory_pool({"a": sizes}, {"a": {"weight": list(map(float, weights))}})
    config = Interleave(chunk_tokens=chunk, documents=together)
    (rows,) = rows_of(pool, Layout(length, interleave=config), DataConfig(document_weights="weight"))
    pieces, starts = rows.pieces, rows.starts.astype(np.int64)
    assert pieces is not None
    assert rows.count == sum(size * times for size, times in documents) // length
    assert np.bincount(pieces.rows, pieces.lengths, minlength=rows.count).tolist() == [length] * rows.count
    found = defaultdict[int, list[int]](list)
    for document, start, size in zip(pieces.documents, pieces.starts, pieces.lengths, strict=True):
        found[int(document)] += range(int(start - starts[document]), int(start - starts[document] + size))
    left = sum(size * times for size, times in documents) - rows.count * length
    for document, (size, times) in enumerate(documents):
        places = found[document]
        # Two copies may stand in one group: each of them is in order.
        assert len(places) <= size * times and left >= size * times - len(places) >= 0
        if times == 1:
            assert places == list(range(len(places)))


def test_chunks_of_neighbours_stand_in_turn_and_a_rows_first_token_has_its_own_documents_before_it() -> None:
    pool = memory_pool({"a": [5, 7, 4]})
    (rows,) = rows_of(pool, Layout(8, interleave=CHUNKS), None)
    assert [rows.row(index).tolist() for index in range(rows.count)] == [
        [0, 1, 1, 1, 2, 2, 2, 1, 0],
        [2, 2, 2, 2, 0, 3, 3, 3, 0],
    ]
    assert rows.tokens_seen(np.array([1, 2])).tolist() == [5, 3 + 2 * 4, 8]


def test_a_long_stage_is_exact_in_ledger_exposure_and_seek(pool: TokenPool) -> None:
    spec = long_spec()
    data, run = run_data(spec, pool), train(spec, pool)
    assert [one.layout.interleave for one in data.segments] == [None, CHUNKS]
    assert run.ledger == rebuilt_ledger(data) and sum(run.ledger.token_totals) == 12 * STEP
    seen = np.zeros_like(tokens_seen(data, 2))
    for step in range(12):
        first, stop = share_of_step(data.segments, step)
        batch = data.read(first, stop)
        part = data.of(data.segments[step >= 8].layout).rows[2]
        for number, domain, row in zip(range(first, stop), batch.samples.domains, batch.samples.rows, strict=True):
            if domain == 2:
                documents = np.flatnonzero(part.tokens_seen(np.arange(part.count) == row))
                seen += part.tokens_seen((np.arange(part.count) == row).astype(np.int64))
                for document in documents.tolist():
                    ends = samples_seen(data, 2, document)
                    assert ends is not None and ends[0] <= number <= ends[1]
    assert seen.tolist() == tokens_seen(data, 2).tolist()
    # A seek into the stage is what a run that gets there reads.
    assert data.read(37, 38).tokens.tolist() == data.read(36, 38).tokens[1:].tolist()


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_a_run_stopped_around_the_switch_ends_with_the_same_bits_in_both_engines(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    spec = long_spec(parallel=parallel, checkpoint_every_steps=100)
    whole = train(spec, pool)
    for steps in (8, 1):
        with pytest.raises(StoppedError):
            train(spec, pool, checkpoints=tmp_path, asked_to_stop=stopping(steps))
    assert same(train(spec, pool, checkpoints=tmp_path), whole)
    assert whole.losses == pytest.approx(train(long_spec(), pool).losses, abs=1e-4)


def test_it_is_identity_where_it_is_asked_for_and_nowhere_else(pool: TokenPool) -> None:
    spec = long_spec()
    plain = replace(spec, phases=(spec.phases[0], replace(spec.phases[1], interleave=None)))
    assert "interleave" not in reads_of(plain)["phases"][1] and identity(spec, pool) != identity(plain, pool)
    branch = RunSpec("branch", (replace(spec.phases[1], num_tokens=2 * STEP),), 0, spec.training, trunk=Trunk(spec, 10))
    assert branch.segments == spec.segments
    assert trained_phase(spec.phases[1], SHARES).interleave == CHUNKS


def test_a_recipe_names_it_for_its_own_runs_and_its_baselines(pool: TokenPool) -> None:
    stage: dict[str, Any] = {"sequence_length": 32, "interleave": {"chunk_tokens": 3, "documents": 2}}
    given = recipe({}, stage)
    for one in planned(given, pool):
        assert [phase.interleave for phase in one.spec.phases] == [None, CHUNKS]
    assert given.stages[1].settings == "samples of 32 tokens, chunks of 3 tokens of 2 documents in turn"
    with pytest.raises(ConfigError, match=r"stages\.1: it interleaves documents, and data\.packing"):
        planned(given, pool, data={"packing": "best_fit"})


def test_more_chunks_than_can_be_laid_out_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"a: interleave\.chunk_tokens 1 splits its documents into 300,000,000 chunks"
    ):
        in_turn(Interleave(chunk_tokens=1, documents=2), np.array([300_000_000]), "a")
