"""Stages with a sequence length, a RoPE base or a schedule of their own: exact in every number, off the same as before."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.core.errors import ConfigError, StoppedError
from tasks.core.identity import reads_of
from tasks.tokenize.pool import TokenPool
from tasks.training.data import run_data
from tasks.training.data_config import EvaluationConfig
from tasks.training.exposure import samples_seen, tokens_seen
from tasks.training.ledger import ledger_rows, rebuilt_ledger
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.result import RunResult, identity
from tasks.training.run import train
from tasks.training.segments import flops_of, share_of_step, steps_of_samples
from tasks.training.types import Phase, RunSpec, Trunk
from tests.training.conftest import LENGTH, small_spec, small_training

STEP = 4 * LENGTH
SHARES = (0.5, 0.3, 0.2)


def longer_spec(**changes: object) -> RunSpec:
    """A run of 12 steps: four samples of 16 tokens, from step 5 on two of 32 at another base, from step 9 on as before."""
    phases = (
        Phase(5 * STEP, SHARES),
        Phase(4 * STEP, (0.2, 0.2, 0.6), sequence_length=2 * LENGTH, rope_base=1e5),
        Phase(3 * STEP, SHARES),
    )
    return RunSpec("longer", phases, 0, small_training(**changes))


def test_steps_keep_their_tokens_and_samples_are_numbered_over_all_lengths() -> None:
    spec = longer_spec()
    segments = spec.segments
    told = [
        (one.first_step, one.stop_step, one.first_sample, one.sequences_per_step, one.model.rope_base)
        for one in segments
    ]
    assert told == [(0, 5, 0, 4, 1e4), (5, 9, 20, 2, 1e5), (9, 12, 28, 4, 1e4)]
    assert share_of_step(segments, 6) == (22, 24) and share_of_step(segments, 9, 1, 1, 2) == (30, 32)
    assert steps_of_samples(segments, np.array([0, 19, 20, 27, 28, 39])).tolist() == [0, 4, 5, 8, 9, 11]
    parts = [flops_of(spec, 64, first, stop) for first, stop in ((0, 5), (5, 12))]
    assert sum(parts) == flops_of(spec, 64, 0, 12) > flops_of(small_spec(), 64, 0, 12)


def test_the_ledger_counts_both_lengths_and_every_document_is_found_where_it_was_seen(pool: TokenPool) -> None:
    spec = longer_spec()
    data, run = run_data(spec, pool), train(spec, pool)
    assert run.ledger == rebuilt_ledger(data) and sum(run.ledger.token_totals) == 12 * STEP
    # 16 of 20, 8 and 12 samples: the largest remainders of each phase.
    assert sum(run.ledger.totals) == 20 + 8 + 12 and run.ledger.totals[2] == 4 + 5 + 2
    rows = {row.domain: row for row in ledger_rows(run.ledger, data)}
    short, long = (part.order for part in data.parts)
    assert rows["gamma"].epochs == round(6 / short.rows[2] + 5 / long.rows[2], 6)
    seen = np.zeros_like(tokens_seen(data, 2))
    starts = np.append(data.parts[0].rows[2].starts, 600)
    for step in range(12):
        first, stop = share_of_step(data.segments, step)
        batch = data.read(first, stop)
        for number, domain, row in zip(range(first, stop), batch.samples.domains, batch.samples.rows, strict=True):
            length = batch.tokens.shape[1] - 1
            places = np.arange(length) + row * length + 1
            if domain == 2:
                documents = np.searchsorted(starts, places, "right") - 1
                np.add.at(seen, documents, 1)
                for document in set(documents.tolist()):
                    ends = samples_seen(data, 2, document)
                    assert ends is not None and ends[0] <= number <= ends[1]
    assert seen.tolist() == tokens_seen(data, 2).tolist()


def same(one: RunResult, other: RunResult) -> bool:
    weights = other.model.weights
    equal = all(torch.equal(weight, weights[name]) for name, weight in one.model.weights.items())
    return equal and (one.losses, one.ledger, one.evaluations) == (other.losses, other.ledger, other.evaluations)


def stopping(at: int) -> Callable[[], bool]:
    """Return what asks a run to stop before step `at`."""
    asked = iter(range(at))
    return lambda: next(asked, None) is None


CHANGES = {"evaluations": EvaluationConfig(every_steps=4, tokens_per_domain=64), "checkpoint_every_steps": 100}


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_a_run_stopped_at_in_and_behind_a_switch_of_lengths_ends_with_the_same_bits_in_both_engines(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    spec = longer_spec(parallel=parallel, **CHANGES)
    whole = train(spec, pool)
    for steps in (5, 2, 3):
        with pytest.raises(StoppedError):
            train(spec, pool, checkpoints=tmp_path, asked_to_stop=stopping(steps))
    assert same(train(spec, pool, checkpoints=tmp_path), whole)
    assert [step for step, _ in whole.evaluations] == [4, 8, 12]
    assert whole.model.config == spec.training.model


def test_both_engines_give_the_losses_of_one_and_the_base_matters(pool: TokenPool) -> None:
    stacked, spread = train(longer_spec(), pool), train(longer_spec(parallel=Ddp()), pool)
    assert spread.losses == pytest.approx(stacked.losses, abs=1e-4)
    spec = longer_spec()
    plain = replace(spec, phases=(spec.phases[0], replace(spec.phases[1], rope_base=None), spec.phases[2]))
    other = train(plain, pool)
    assert other.losses[:5] == stacked.losses[:5] and other.losses[5] != stacked.losses[5]


def test_other_micro_batches_and_muon_go_over_a_switch(pool: TokenPool) -> None:
    spec = longer_spec(micro_batches=1, method=Muon())
    assert train(spec, pool).losses == pytest.approx(train(longer_spec(method=Muon()), pool).losses, abs=1e-4)


def test_stages_that_name_what_the_run_has_are_those_that_name_nothing(pool: TokenPool) -> None:
    spec = small_spec()
    assert "sequence_length" not in reads_of(spec)["phases"][0] and "rope_base" not in reads_of(spec)["phases"][0]
    assert identity(spec, pool) != identity(longer_spec(), pool)


def test_a_branch_goes_on_over_a_switch_and_may_have_a_length_that_its_trunk_had_not(pool: TokenPool) -> None:
    spec = longer_spec(micro_batches=1)
    same_end = (replace(spec.phases[1], num_tokens=2 * STEP), spec.phases[2])
    branch = RunSpec("branch", same_end, 0, spec.training, trunk=Trunk(spec, 7))
    assert branch.segments == spec.segments
    ours, theirs = run_data(branch, pool), run_data(spec, pool)
    assert ours.drawn_before(22)[1].tolist() == theirs.drawn_before(22)[1].tolist()
    third = Phase(5 * STEP, SHARES, sequence_length=4 * LENGTH)
    other = RunSpec("other", (third,), 0, spec.training, trunk=Trunk(spec, 7))
    assert [one.model.sequence_length for one in other.segments] == [16, 32, 64]
    assert [sum(each) for each in run_data(other, pool).drawn_before(29)] == [20, 4, 5]
    assert rebuilt_ledger(run_data(other, pool), 7) == rebuilt_ledger(run_data(spec, pool), 7)


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ((Phase(STEP + LENGTH, SHARES), Phase(11 * STEP - LENGTH, SHARES, rope_base=1e5)), "begin behind 80 tokens"),
        ((Phase(12 * STEP, SHARES, sequence_length=48),), "no whole number of samples of 48"),
        ((Phase(12 * STEP, SHARES, sequence_length=64),), "a step has 1 samples of 64, which micro_batches 2 do not"),
    ],
)
def test_a_length_that_no_step_holds_is_refused(phases: tuple[Phase, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RunSpec("run", phases, 0, small_training(micro_batches=2))


def test_epoch_caps_count_the_samples_of_all_lengths(pool: TokenPool) -> None:
    # gamma has 37 rows of 16 tokens or 18 of 32.
    phases = (Phase(8 * STEP, (0.0, 0.0, 1.0)), Phase(4 * STEP, (0.0, 0.0, 1.0), sequence_length=32))
    spec = RunSpec("often", phases, 0, small_training(), 1.4)
    run_data(spec, pool)
    with pytest.raises(ConfigError, match=r"32 samples asked of 37 .* and 8 samples asked of 18 .* = 1\.31 epochs"):
        run_data(replace(spec, max_epochs=1.3), pool)
