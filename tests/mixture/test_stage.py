"""The stage `search`, on a pool of random tokens and proxies of a few steps, in this process."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.executors import LocalExecutor
from infra.progress import SilentObserver, UnitReport
from infra.storage import AttemptStore
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.core.rng import generator
from tasks.core.stage import Workshop
from tasks.mixture.config import SearchParams
from tasks.mixture.runs import read_runs
from tasks.mixture.stage import run
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.tokenize.pool import write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.types import DivergedError
from tests.mixture.real_pool import described

VOCABULARY = 32
PROXY = TrainingConfig(
    model=ModelConfig(
        hidden_size=8, num_layers=1, num_heads=1, num_kv_heads=1, intermediate_size=8, sequence_length=16
    ),
    optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=1),
    num_tokens=4 * 64,
    sequences_per_step=4,
)
PARAMS = SearchParams(
    proxy=PROXY,
    search_tokens_per_domain=64,
    num_initial=5,
    num_repeats_natural=1,
    rounds=1,
    runs_per_round=2,
    target_tokens=512,
    target_sequence_length=16,
)


class Here:
    """Works in this process; stops like a killed run after `limit` proxies."""

    workers = 1

    def __init__(self, limit: int | None = None) -> None:
        self.done: list[str] = []
        self.limit = limit

    def map(self, function: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for index, item in enumerate(items):
            if self.limit is not None and len(self.done) >= self.limit:
                raise KeyboardInterrupt
            self.done.append(item.stage)
            yield index, function(item)


class Listener(SilentObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.units: list[UnitReport] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def unit(self, report: UnitReport) -> None:
        self.units.append(report)


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_pool(folder: Path, test_seed: int = 0, tokens: tuple[int, ...] = (600, 900, 1500)) -> Path:
    def text(domain: int, split: str, seed: int = 0) -> Any:
        size = {"train": tokens[domain], "search": 100, "test": 100}[split]
        return generator(seed, "pool", domain, split).integers(1, 4 + 8 * domain, size)

    domains = {
        f"d{index}": {
            "train": text(index, "train"),
            "search": text(index, "search"),
            "test": text(index, "test", test_seed),
        }
        for index in range(3)
    }
    folder.mkdir(parents=True)
    write_pool(folder, domains, vocab_size=VOCABULARY, document_end=0)
    described(folder)
    return folder


def search(
    root: Path, pool: Path, executor: Here, params: SearchParams = PARAMS, output: str = "search"
) -> tuple[Manifest, Listener]:
    listener = Listener()
    workshop = Workshop(executor, AttemptStore(root / "store"), listener)  # type: ignore[arg-type]
    return run(params, inputs={"tokenize": pool}, output=root / output, workshop=workshop), listener


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest, Listener]:
    root = tmp_path_factory.mktemp("stage")
    manifest, listener = search(root, make_pool(root / "tokenize"), Here())
    return root, manifest, listener


def test_a_search_publishes_the_four_files_and_reports_every_proxy(finished: tuple[Path, Manifest, Listener]) -> None:
    root, manifest, listener = finished
    assert [file.path for file in manifest.files] == ["candidates.json", "forecast.json", "recipe.json", "runs.csv"]
    runs = read_runs(root / "search" / "runs.csv")
    assert len(runs.rows) == len(listener.units) == PARAMS.num_runs == 8
    assert {row.model_parameters for row in runs.rows} == {int(read(root, "forecast.json")["model_parameters"])}
    unit = listener.units[0]
    assert unit.name == "proxy-000-natural"
    assert len(unit.curves["loss"]) == PROXY.num_steps
    assert {"weight.d0", "kind", "round"} <= set(unit.params) and {"objective", "bpb.d2"} <= set(unit.metrics)
    assert set(manifest.summary["weights"]) == {"searched", "natural", "uniform"}


def read(root: Path, name: str) -> Any:
    return json.loads((root / "search" / name).read_text(encoding="utf-8"))


def test_a_finished_search_is_taken_as_it_is(finished: tuple[Path, Manifest, Listener]) -> None:
    root, manifest, _ = finished
    executor = Here()
    again, listener = search(root, root / "tokenize", executor)
    assert again == manifest and executor.done == []
    assert "unchanged" in listener.said[0]


def test_a_killed_search_goes_on_where_it_was_to_the_same_bytes(
    finished: tuple[Path, Manifest, Listener], tmp_path: Path
) -> None:
    root, manifest, _ = finished
    pool = tmp_path / "tokenize"
    shutil.copytree(root / "tokenize", pool)
    for limit in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, pool, Here(limit))
        assert not (tmp_path / "search").exists()
    executor = Here()
    again, _ = search(tmp_path, pool, executor)
    assert again.output == manifest.output
    # 3 and then 5 units were finished: the first 6 proxies, the proposal, 1 of its 2 proxies.
    assert executor.done == ["search.proxy", "search.conclude"]


def test_where_natural_is_uniform_the_table_has_both_from_one_proxy(tmp_path: Path) -> None:
    executor = Here()
    search(tmp_path, make_pool(tmp_path / "tokenize", tokens=(900, 900, 900)), executor)
    runs = read_runs(tmp_path / "search" / "runs.csv")
    assert [row.kind for row in runs.rows[:2]] == ["natural", "uniform"]
    assert runs.rows[0].bpb == runs.rows[1].bpb
    assert executor.done.count("search.proxy") == len(runs.rows) - 1 == 7


@pytest.mark.integration
def test_workers_in_processes_give_the_same_bytes_as_this_one(
    finished: tuple[Path, Manifest, Listener], tmp_path: Path
) -> None:
    root, manifest, _ = finished
    executor = LocalExecutor(2)
    workshop = Workshop(executor, AttemptStore(tmp_path / "store"))
    try:
        again = run(PARAMS, inputs={"tokenize": root / "tokenize"}, output=tmp_path / "search", workshop=workshop)
    finally:
        executor.close()
    assert again.output == manifest.output


def test_another_strategy_takes_the_proxies_that_are_there(
    finished: tuple[Path, Manifest, Listener], tmp_path: Path
) -> None:
    root, _, _ = finished
    shutil.copytree(root / "store", tmp_path / "store")
    executor = Here()
    _, listener = search(tmp_path, root / "tokenize", executor, PARAMS.model_copy(update={"strategy": RandomSearch()}))
    assert executor.done == ["search.propose", *["search.proxy"] * 2, "search.conclude"]
    assert len(listener.units) == 8


def test_another_test_split_changes_no_weight_and_another_train_split_changes_proxies(
    finished: tuple[Path, Manifest, Listener], tmp_path: Path
) -> None:
    """The search may not look at what the decision is made on."""
    root, _, _ = finished
    other = make_pool(tmp_path / "tokenize", test_seed=9)
    search(tmp_path, other, Here())
    assert (tmp_path / "search" / "runs.csv").read_bytes() == (root / "search" / "runs.csv").read_bytes()
    assert (tmp_path / "search" / "recipe.json").read_bytes() == (root / "search" / "recipe.json").read_bytes()


def test_mixtures_with_one_seed_start_alike(finished: tuple[Path, Manifest, Listener]) -> None:
    """Common random numbers: natural with another seed is another run, the same mixture with the same seed is not."""
    runs = read_runs(finished[0] / "search" / "runs.csv")
    natural = [row for row in runs.rows if row.weights == runs.rows[0].weights]
    assert [row.seed for row in natural] == [0, 1]
    assert natural[0].bpb != natural[1].bpb
    assert {row.seed for row in runs.rows if row.kind != "repeat"} == {0}


def test_a_proxy_that_diverges_is_a_named_error(tmp_path: Path) -> None:
    optimizer = OptimizerConfig(learning_rate=1e30, warmup_steps=0, gradient_clip=None)
    params = PARAMS.model_copy(update={"proxy": PROXY.model_copy(update={"optimizer": optimizer})})
    with pytest.raises(DivergedError, match="learning_rate"):
        search(tmp_path, make_pool(tmp_path / "tokenize"), Here(), params)


def test_a_pool_too_small_for_the_target_is_refused_before_any_proxy(tmp_path: Path) -> None:
    executor = Here()
    with pytest.raises(
        ConfigError, match="the target run asks for 32 samples, 3 domains with 3 samples give at most 12"
    ):
        search(tmp_path, make_pool(tmp_path / "tokenize", tokens=(30, 30, 30)), executor)
    assert executor.done == []


def test_a_folder_without_manifest_is_no_pool(tmp_path: Path) -> None:
    (tmp_path / "tokenize").mkdir()
    with pytest.raises(DataError, match=r"no manifest\.json"):
        search(tmp_path, tmp_path / "tokenize", Here())


def test_the_default_search_has_twenty_four_proxies_and_a_target_of_whole_samples() -> None:
    assert SearchParams().num_runs == 24
    with pytest.raises(ValueError, match="not a whole number of samples"):
        SearchParams(target_tokens=1000)
    assert np.isclose(SearchParams().max_epochs, 4.0)
