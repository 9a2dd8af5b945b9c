"""What each token counts passes one place in both engines; the ledger tells it, and a step of nothing is refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.core.errors import ConfigError, DataError
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.exposure import tokens_seen
from tasks.training.ledger import WEIGHT_UNIT, ledger_rows, rebuilt_ledger
from tasks.training.objectives.lin_upper import LinUpper
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.kinds import ParallelKind
from tasks.training.published_run import LEDGER_FILE, ledger_text, read_ledger
from tasks.training.run import train
from tasks.training.transforms.goldfish import Goldfish
from tasks.training.types import Phase, RunSpec
from tests.training.conftest import LENGTH, VOCAB_SIZE, domain, small_spec, small_training

SIZES = {"alpha": 4000, "beta": 3000, "gamma": 600}
FEW: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0}
WEIGHED = DataConfig(loss_weights="weight")
ENGINES = (None, Ddp())


def scores(name: str) -> np.ndarray:
    return np.arange(-(-SIZES[name] // 50)) % 4 / 2


def weighted_pool(folder: Path, prefix_tokens: int = 1, **columns: Sequence[float]) -> TokenPool:
    """Return a pool with documents of 50 tokens that weigh 0 to 1.5, and columns of one number for every document."""
    numbers = {
        name: {"weight": scores(name)} | {key: [value[0]] * -(-size // 50) for key, value in columns.items()}
        for name, size in SIZES.items()
    }
    return write_pool(
        folder,
        {name: {"train": domain(name, 1 + step, size)} for step, (name, size) in enumerate(SIZES.items())},
        vocab_size=VOCAB_SIZE,
        document_end=VOCAB_SIZE - 1,
        columns=numbers,
        prefixes={name: [np.full(prefix_tokens, 7)] * -(-size // 50) for name, size in SIZES.items()},
    )


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> TokenPool:
    return weighted_pool(tmp_path_factory.mktemp("pool"), ones=[1.0], zeros=[0.0], wrong=[-1.0])


def of_metadata(**changes: object) -> RunSpec:
    training = small_training(**FEW, **changes)
    return RunSpec("small", (Phase(training.num_tokens, (0.5, 0.3, 0.2), metadata=True),), 0, training)


@pytest.mark.parametrize("parallel", ENGINES)
def test_weights_of_1_are_no_weights_to_the_bit(weighted: TokenPool, parallel: ParallelKind | None) -> None:
    options: dict[str, object] = {**FEW, "parallel": parallel}
    plain, ones = (
        train(small_spec(**options, data=each), weighted) for each in (None, DataConfig(loss_weights="ones"))
    )
    assert ones.losses == plain.losses
    assert all(torch.equal(ones.model.weights[name], one) for name, one in plain.model.weights.items())


def test_a_token_counts_what_its_document_weighs_in_both_engines_and_in_the_ledger(
    weighted: TokenPool, tmp_path: Path
) -> None:
    one, other = (train(small_spec(**FEW, data=WEIGHED, parallel=each), weighted) for each in ENGINES)
    assert other.losses == pytest.approx(one.losses, abs=1e-4)
    assert one.losses != pytest.approx(train(small_spec(**FEW), weighted).losses, abs=1e-4)
    data = run_data(small_spec(**FEW, data=WEIGHED), weighted)
    assert one.ledger == other.ledger == rebuilt_ledger(data) and one.ledger.weights is not None
    told = np.array(one.ledger.weights)[0] * WEIGHT_UNIT
    assert told.tolist() == [(tokens_seen(data, place) * scores(name)).sum() for place, name in enumerate(SIZES)]
    (tmp_path / LEDGER_FILE).write_text(ledger_text(ledger_rows(one.ledger, data)))
    rows = read_ledger(tmp_path)
    assert rows == tuple(ledger_rows(one.ledger, data)) and [row.weight for row in rows] == told.tolist()
    assert [row.masked for row in rows] == [None] * 3


def test_packed_and_weighted_by_document_a_row_counts_what_lies_in_it(weighted: TokenPool) -> None:
    data = run_data(small_spec(**FEW, data=DataConfig(loss_weights="weight", packing="best_fit")), weighted)
    batch = data.read(0, 24)
    assert batch.weights is not None
    for place, (number, row) in enumerate(zip(batch.samples.domains, batch.samples.rows, strict=True)):
        rows = data.parts[0].rows[number]
        assert rows.pieces is not None
        some = slice(rows.pieces.first[row], rows.pieces.first[row + 1])
        own = np.repeat(scores(list(SIZES)[number])[rows.pieces.documents[some]], rows.pieces.lengths[some])
        assert batch.weights[place, : own.size].tolist() == own.tolist()


def test_what_an_objective_makes_tokens_count_multiplies_what_the_data_says(weighted: TokenPool) -> None:
    both: dict[str, object] = {**FEW, "data": WEIGHED, "objective": LinUpper(burn_in_steps=5)}
    runs = [train(small_spec(**both, parallel=each), weighted) for each in ENGINES]
    burning = rebuilt_ledger(run_data(small_spec(**both), weighted), 5)
    assert runs[1].losses == pytest.approx(runs[0].losses, abs=1e-4)
    assert burning.weights is not None and runs[0].ledger.weights is not None
    alone = train(small_spec(**FEW, objective=LinUpper()), weighted)
    assert alone.ledger.weights is not None
    # LinUpper's weights are 1 on average over the samples of a step, and differ between domains.
    assert np.sum(alone.ledger.weights) * WEIGHT_UNIT == pytest.approx(sum(alone.ledger.token_totals), rel=1e-5)
    shares = np.array(alone.ledger.weights)[0] * WEIGHT_UNIT / np.array(alone.ledger.token_totals)
    assert np.ptp(shares) > 0.01


@pytest.mark.parametrize("parallel", ENGINES)
@pytest.mark.parametrize("objective", [None, LinUpper()])
def test_a_step_in_which_nothing_is_predicted_is_refused_and_a_sample_is_counted(
    tmp_path: Path, parallel: ParallelKind | None, objective: LinUpper | None
) -> None:
    long = weighted_pool(tmp_path, prefix_tokens=40)
    run = train(of_metadata(parallel=parallel, objective=objective), long)
    batch = run_data(of_metadata(), long).read(0, 24)
    masked = (batch.pairs[:, 1] == -1).all(axis=1)
    assert masked.any() and run.ledger.masked is not None and np.sum(run.ledger.masked) == masked.sum()
    single = of_metadata(parallel=parallel, objective=objective, sequences_per_step=1, micro_batches=1)
    step = int(np.flatnonzero(masked)[0])
    with pytest.raises(
        DataError, match=rf"the 1 samples of step {step} have no token that is predicted, with metadata"
    ):
        train(single, long)


@pytest.mark.parametrize("parallel", ENGINES)
def test_weights_of_nothing_and_wrong_ones_are_refused_by_name(
    weighted: TokenPool, parallel: ParallelKind | None
) -> None:
    with pytest.raises(DataError, match=r"all 64 tokens predicted in .* of step 0 count 0 in the loss by .* \(zeros\)"):
        train(small_spec(**FEW, parallel=parallel, data=DataConfig(loss_weights="zeros")), weighted)
    with pytest.raises(DataError, match=r"80 of 80 documents have a weight that is negative"):
        train(small_spec(**FEW, parallel=parallel, data=DataConfig(loss_weights="wrong")), weighted)
    with pytest.raises(ConfigError, match="no number called gone"):
        train(small_spec(**FEW, parallel=parallel, data=DataConfig(loss_weights="gone")), weighted)


def test_a_run_that_was_killed_goes_on_to_the_same_ledger(weighted: TokenPool, tmp_path: Path) -> None:
    options = {**FEW, "data": DataConfig(loss_weights="weight", transform=Goldfish()), "objective": LinUpper()}
    whole = train(small_spec(**options), weighted)

    def die(step: int, _: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small_spec(**options), weighted, checkpoints=tmp_path, on_step=die)
    resumed = train(small_spec(**options), weighted, checkpoints=tmp_path)
    assert resumed.losses == whole.losses and resumed.ledger == whole.ledger
