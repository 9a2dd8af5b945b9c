"""Proxies measured together: each has the numbers it has alone; held to as many repetitions as their target."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.storage import FolderStore
from tasks.core.code import code_of
from tasks.core.errors import ConfigError
from tasks.core.handles import Tree
from tasks.mixture.proxies.proxy import SPLIT, ProxyArgs, ProxyResult, ProxySpec, measure_proxies, row_share_of
from tasks.mixture.proxies.stage import PROXY
from tasks.tokenize.pool import read_pool
from tasks.training.data import run_data
from tasks.training.measure import bits_per_byte
from tasks.training.run import RunSpec, train
from tasks.training.types import DivergedError, Phase
from tests.training.conftest import make_pool, small_training

TRAINING = small_training()
WEIGHTS = ((0.5, 0.3, 0.2), (0.8, 0.2, 0.0), (0.1, 0.8, 0.1))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pool of three domains."""
    folder = tmp_path_factory.mktemp("pool")
    make_pool(folder)
    return folder


def spec(number: int, **changes: object) -> ProxySpec:
    values = {"weights": WEIGHTS[number], "seed": number, "training": TRAINING, "max_epochs": 4.0}
    return ProxySpec(**(values | {"tokens_per_domain": (64, 64, 32)} | changes))  # type: ignore[arg-type]


def measured_alone(asked: ProxySpec, pool: Path) -> ProxyResult | DivergedError:
    (result,) = measure_proxies([asked], pool)
    return result


def test_proxies_measured_together_have_the_numbers_of_separate_ones(pool: Path) -> None:
    together = measure_proxies([spec(number) for number in range(3)], pool)
    for number, result in enumerate(together):
        assert isinstance(result, ProxyResult)
        run = RunSpec("proxy", (Phase(TRAINING.num_tokens, WEIGHTS[number]),), number, TRAINING, 4.0)
        alone = train(run, read_pool(pool))
        assert result.losses == alone.losses
        assert result.bpb == tuple(bits_per_byte(alone.model, read_pool(pool), SPLIT, (64, 64, 32)).values())
        assert result == measured_alone(spec(number), pool)


def test_a_target_no_longer_than_the_proxy_changes_nothing(pool: Path) -> None:
    assert row_share_of(TRAINING, TRAINING.num_tokens // 2) == 1.0
    assert measured_alone(spec(0, row_share=1.0), pool) == measured_alone(spec(0), pool)
    assert row_share_of(TRAINING, 4 * TRAINING.num_tokens) == 0.25


def test_a_matched_proxy_repeats_a_domain_as_often_as_its_target(pool: Path) -> None:
    # 24 of 48 samples from 249 rows are 0.1 epochs; in a target 8 times as long 0.77, and so in its proxy.
    matched = spec(0, weights=(0.5, 0.5, 0.0), row_share=row_share_of(TRAINING, 8 * TRAINING.num_tokens))
    run = RunSpec("p", (Phase(TRAINING.num_tokens, matched.weights),), 0, TRAINING, None, matched.row_share)
    totals, rows = train(run, read_pool(pool)).ledger.totals, run_data(run, read_pool(pool)).parts[0].order.rows
    assert rows == (31, 23, 5)
    assert totals[0] / rows[0] == pytest.approx(8 * 24 / 249, rel=0.02)
    assert measured_alone(matched, pool) != measured_alone(replace(matched, row_share=None), pool)


def test_the_cap_on_epochs_holds_for_the_rows_that_may_be_used(pool: Path) -> None:
    matched = spec(
        0, weights=(0.5, 0.5, 0.0), row_share=row_share_of(TRAINING, 8 * TRAINING.num_tokens), max_epochs=1.0
    )
    with pytest.raises(ConfigError, match=r"beta, 24 samples asked of 23 there are"):
        measure_proxies([matched], pool)
    measure_proxies([replace(matched, row_share=None)], pool)


def test_a_proxy_that_predicts_no_numbers_gives_its_error_and_the_others_their_result(
    pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tasks.training.measure as measure

    calls = iter(range(9))

    def broken(*args: object) -> dict[str, float]:
        if next(calls) == 1:
            raise DivergedError("beta, split 'search': the model predicts no finite numbers.")
        return bits_per_byte(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(measure, "bits_per_byte", broken)
    results = measure_proxies([spec(number) for number in range(3)], pool)
    assert [type(result) for result in results] == [ProxyResult, DivergedError, ProxyResult]


def test_a_diverged_proxy_is_refused_by_name(pool: Path) -> None:
    wild = small_training(learning_rate=1e9, gradient_clip=None, precision="float32", warmup_steps=0)
    result = measured_alone(spec(0, training=wild), pool)
    assert isinstance(result, DivergedError) and "Lower learning_rate" in str(result)


def test_what_decides_a_result_stands_in_the_key_and_nothing_else(pool: Path) -> None:
    files = [(path.relative_to(pool).as_posix(), "digest", 1) for path in pool.rglob("*") if path.is_file()]
    tree = Tree.of(FolderStore(pool), str(pool), files)

    def key(one: ProxySpec, gpu_share: float = 0.0) -> str:
        return PROXY.identity(ProxyArgs(one, tree, gpu_share), "cpu").key

    assert key(spec(0)) == key(spec(0), gpu_share=0.5)
    for changes in ({"seed": 1}, {"row_share": row_share_of(TRAINING, 8 * TRAINING.num_tokens)}, {"max_epochs": 3.0}):
        assert key(spec(0, **changes)) != key(spec(0))


def test_what_proposes_a_proxy_is_no_part_of_its_code() -> None:
    modules = code_of(("tasks.mixture.proxies.proxy",)).modules
    mixture = {name for name in modules if name.startswith("tasks.mixture.")}
    assert mixture == {"tasks.mixture.proxies", "tasks.mixture.proxies.proxy"}
