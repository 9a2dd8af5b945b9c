"""The stage `search`, on a pool of random tokens and proxies of a few steps, in this process."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.executors import Call, Resources
from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import ConfirmParams
from tasks.mixture.decide import DecisionParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.published import Recipe
from tasks.mixture.published_candidates import Candidates
from tasks.mixture.runs import read_runs
from tasks.mixture.stage import run
from tasks.mixture.strategies.baselines import Natural, Uniform
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.transfer import TransferParams
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.tokenize.pool import train_digest, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.types import DivergedError
from tests.in_process import ANY, InProcess, Listener
from tests.mixture.real_pool import described

VOCABULARY = 32
PROXY = TrainingConfig(
    model=ModelConfig(
        hidden_size=8, num_layers=1, num_heads=1, num_kv_heads=1, intermediate_size=8, sequence_length=16
    ),
    optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=1),
    num_tokens=4 * 64,
    sequences_per_step=4,
    precision="float32",
)
PARAMS = SearchParams(
    proxy=PROXY,
    search_tokens_per_domain=64,
    num_runs=16,
    num_noise_seeds=1,
    confirm=ConfirmParams(num_candidates=1, num_seeds=3),
    strategy=Default(num_first=5, batch=2),
    selection=Selection(zoo=(GpSqrt(), RidgeSqrt()), num_folds=3),
    target_tokens=512,
    target_sequence_length=16,
)


class Here(InProcess):
    """Works in this process; stops like a killed run after `limit` units."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = ANY, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        for index, item in enumerate(items):
            if self.limit is not None and len(self.done) >= self.limit:
                raise KeyboardInterrupt
            for _, result in super().map(function, [item], resources, warm=warm):
                yield index, result


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_pool(
    folder: Path,
    test_seed: int = 0,
    tokens: tuple[int, ...] = (600, 900, 1500),
    first_letter: str = "d",
    train_seed: int = 0,
) -> Path:
    def text(domain: int, split: str, seed: int = 0) -> Any:
        size = {"train": tokens[domain], "search": 100, "test": 100}[split]
        return generator(seed, "pool", domain, split).integers(1, 4 + 6 * domain, size)

    domains = {
        f"{first_letter}{index if first_letter == 'd' else 9 - index}": {
            "train": text(index, "train", train_seed),
            "search": text(index, "search"),
            "test": text(index, "test", test_seed),
        }
        for index in range(len(tokens))
    }
    folder.mkdir(parents=True)
    write_pool(folder, domains, vocab_size=VOCABULARY, document_end=0)
    described(folder)
    return folder


def search(
    root: Path, pool: Path, executor: Here, params: SearchParams = PARAMS, output: str = "search"
) -> tuple[Manifest, Listener]:
    listener = Listener()
    workshop = Workshop(executor, FolderStore(root / "store"), listener)
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
    assert len(runs.rows) == len({unit.name for unit in listener.units}) == len(listener.units)
    kinds = Counter(row.kind for row in runs.rows)
    # UniMax is uniform here; both baselines are run again with another seed. What confirms depends on the pick.
    assert (kinds["natural"], kinds["uniform"], kinds["unimax"], kinds["repeat"]) == (1, 1, 0, 2)
    assert kinds["confirm"] >= 4 and len(runs.rows) <= PARAMS.num_runs
    assert {row.instruction_set for row in runs.rows} == {manifest.environment["instruction_set"]}
    assert {row.model_parameters for row in runs.rows} == {int(read(root, "forecast.json")["model_parameters"])}
    pool = published(FolderStore(root / "store"), str(root / "tokenize")).tree()
    assert read(root, "recipe.json")["data"] == train_digest(pool)
    unit = listener.units[0]
    assert unit.name == "proxy-000-natural"
    assert len(unit.curves["loss"]) == PROXY.num_steps
    assert {"weight.d0", "kind", "round"} <= set(unit.params) and {"objective", "bpb.d2"} <= set(unit.metrics)
    assert set(manifest.summary["weights"]) == {"searched", "natural", "uniform", "unimax"}


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
    for limit in (3, 9):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, pool, Here(limit))
        assert not (tmp_path / "search").exists()
    executor, whole = Here(), Here()
    again, _ = search(tmp_path, pool, executor)
    assert again.output == manifest.output
    # 3 and then 9 units were finished before; all together are those of a search that nobody killed.
    search(tmp_path / "another", pool, whole)
    assert executor.done == whole.done[12:]


def test_where_natural_is_uniform_there_is_one_baseline(tmp_path: Path) -> None:
    executor = Here()
    search(tmp_path, make_pool(tmp_path / "tokenize", tokens=(900, 900, 900)), executor)
    runs = read_runs(tmp_path / "search" / "runs.csv")
    assert [row.kind for row in runs.rows[:2]] == ["natural", "repeat"]
    assert {"uniform", "unimax"}.isdisjoint(row.kind for row in runs.rows)
    assert (
        executor.done.count("search_proxies") == len(runs.rows) == len({(row.weights, row.seed) for row in runs.rows})
    )


def test_workers_in_processes_give_the_same_bytes_as_this_one(
    finished: tuple[Path, Manifest, Listener], tmp_path: Path
) -> None:
    root, manifest, _ = finished
    executor = LocalExecutor(2)
    workshop = Workshop(executor, FolderStore(tmp_path / "store"))
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
    runs = read_runs(tmp_path / "search" / "runs.csv")
    before = {(row.weights, row.seed) for row in read_runs(root / "search" / "runs.csv").rows}
    fresh = [row for row in runs.rows if (row.weights, row.seed) not in before]
    assert executor.done.count("search_proxies") == len(fresh) < len(runs.rows) == len(listener.units)


def test_another_test_split_changes_no_weight_and_another_train_split_changes_proxies(
    finished: tuple[Path, Manifest, Listener], tmp_path: Path
) -> None:
    """The search may not look at what the decision is made on."""
    root, _, _ = finished
    other = make_pool(tmp_path / "tokenize", test_seed=9)
    search(tmp_path, other, Here())
    assert (tmp_path / "search" / "runs.csv").read_bytes() == (root / "search" / "runs.csv").read_bytes()
    assert (tmp_path / "search" / "recipe.json").read_bytes() == (root / "search" / "recipe.json").read_bytes()
    retrained, executor = make_pool(tmp_path / "retrained", train_seed=9), Here()
    search(tmp_path, retrained, executor, PARAMS.model_copy(update={"strategy": Natural()}), output="again")
    proxies, before = (read_runs(folder / "runs.csv").rows for folder in (tmp_path / "again", root / "search"))
    assert executor.done.count("search_proxies") == len(proxies) == 4
    assert {row.data for row in proxies}.isdisjoint(row.data for row in before)
    assert {row.losses for row in proxies}.isdisjoint(row.losses for row in before)


def test_mixtures_with_one_seed_start_alike(finished: tuple[Path, Manifest, Listener]) -> None:
    """Common random numbers: natural with another seed is another run, the same mixture with the same seed is not."""
    runs = read_runs(finished[0] / "search" / "runs.csv")
    natural = [row for row in runs.rows if row.weights == runs.rows[0].weights]
    assert [row.seed for row in natural] == [0, 1, 2, 3]
    assert len({row.losses for row in natural}) == 4
    assert {row.seed for row in runs.rows if row.kind not in {"repeat", "confirm"}} == {0}


def test_a_proxy_that_diverges_is_a_named_error(tmp_path: Path) -> None:
    optimizer = OptimizerConfig(learning_rate=1e9, warmup_steps=0, gradient_clip=None)
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


def test_a_target_is_whole_samples() -> None:
    with pytest.raises(ValueError, match="not a whole number of samples"):
        SearchParams(target_tokens=1000, target_sequence_length=128)


def test_a_search_of_the_same_pool_takes_earlier_runs_as_measured_wherever_they_come_from(
    finished: tuple[Path, Manifest, Listener],
    tmp_path: Path,
) -> None:
    root = finished[0]
    table, executor = root / "search" / "runs.csv", Here()
    params = PARAMS.model_copy(update={"earlier_runs": str(table)})
    # An empty store: only the table knows.
    _, listener = search(tmp_path, root / "tokenize", executor, params)
    before, runs = read_runs(table), read_runs(tmp_path / "search" / "runs.csv")
    same_seed = [row for row in before.rows if row.seed == 0]
    assert any(f"{len(same_seed)} runs are taken as measured" in said for said in listener.said)
    assert [row.losses for row in runs.rows[: len(same_seed)]] == [row.losses for row in same_seed]
    assert executor.done.count("search_proxies") == len(runs.rows) - len(same_seed) > 0


def test_runs_of_another_training_config_inform_but_do_not_count_as_measured(
    finished: tuple[Path, Manifest, Listener],
    tmp_path: Path,
) -> None:
    root = finished[0]
    optimizer = PROXY.optimizer.model_copy(update={"learning_rate": 2 * PROXY.optimizer.learning_rate})
    changes = {"earlier_runs": str(root / "search" / "runs.csv")}
    params = PARAMS.model_copy(
        update={**changes, "proxy": PROXY.model_copy(update={"optimizer": optimizer})},
    )
    executor = Here()
    _, listener = search(tmp_path, root / "tokenize", executor, params)
    assert any("0 runs are taken as measured" in said for said in listener.said)
    runs, before = (read_runs(folder / "search" / "runs.csv") for folder in (tmp_path, root))
    assert executor.done.count("search_proxies") == len(runs.rows)
    assert {row.data for row in runs.rows}.isdisjoint(row.data for row in before.rows)


def test_a_second_search_with_a_second_size_starts_from_the_table_of_the_first(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "tokenize")
    second = PROXY.model_copy(update={"num_tokens": 2 * PROXY.num_tokens})
    transfer = TransferParams(training=second, num_mixtures=5, num_seeds=2)
    params = PARAMS.model_copy(update={"transfer": transfer, "seed": 3})
    search(tmp_path, pool, Here(), params)
    table = tmp_path / "search" / "runs.csv"
    before = read_runs(table)
    assert len({row.data for row in before.rows}) == 2
    # As if the first pick had not been measured before it was judged.
    table.write_text(table.read_text().replace(",proposal,", ",transfer,", 1))
    again = params.model_copy(update={"earlier_runs": str(table), "num_runs": 24})
    search(tmp_path / "again", pool, Here(), again)
    after = read_runs(tmp_path / "again" / "search" / "runs.csv")
    # What judged the first pick at the proxies' own size and seed is evidence now, not judgement.
    assert {row.kind for row in after.rows if row.round == 0} <= {
        "natural", "uniform", "unimax", "repeat", "design", "proposal", "imported"
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["natural", "uniform"])
def test_a_baseline_ships_as_configured_and_nothing_is_confirmed(tmp_path: Path, kind: str) -> None:
    strategy: Natural | Uniform = Natural() if kind == "natural" else Uniform()
    search(tmp_path, make_pool(tmp_path / "tokenize"), Here(), PARAMS.model_copy(update={"strategy": strategy}))
    recipe = json.loads((tmp_path / "search" / "recipe.json").read_text())
    assert recipe["stages"][0]["weights"] == pytest.approx(recipe["baselines"][kind])
    assert "confirm" not in {row.kind for row in read_runs(tmp_path / "search" / "runs.csv").rows}


def test_a_budget_below_what_a_baseline_measures_is_refused_before_any_proxy(tmp_path: Path) -> None:
    executor = Here()
    params = PARAMS.model_copy(update={"strategy": Natural(), "num_runs": 1})
    with pytest.raises(ConfigError, match=r"search\.num_runs: of 1 proxies 4 are baselines and repeats, 0 confirm: -3"):
        search(tmp_path, make_pool(tmp_path / "tokenize"), executor, params)
    assert executor.done == []


def test_losses_that_are_the_same_for_every_mixture_are_refused_before_the_first_round(tmp_path: Path) -> None:
    pool, executor = tmp_path / "tokenize", Here()
    pool.mkdir()
    sizes = {"d0": 600, "d1": 900}
    same = {
        name: {"train": np.ones(size), "search": np.ones(100), "test": np.ones(100)} for name, size in sizes.items()
    }
    write_pool(pool, same, vocab_size=VOCABULARY, document_end=0)
    described(pool)
    with pytest.raises(
        DataError, match=r"the objective \(search\.objective\) is .* in all 2 runs, so there is nothing"
    ):
        search(tmp_path, pool, executor)
    assert executor.done == ["search_proxies"] * 4


def test_caps_that_leave_one_mixture_are_a_named_error(tmp_path: Path) -> None:
    pool, executor = make_pool(tmp_path / "tokenize", tokens=(161, 481)), Here()
    # 10 and 30 samples, four times each, are the 160 of the run: natural alone fits.
    params = PARAMS.model_copy(update={"target_tokens": 160 * 16})
    with pytest.raises(ConfigError, match=r"the caps leave 1 different mixture\(s\) .* search\.max_epochs"):
        search(tmp_path, pool, executor, params)


def test_a_new_domain_is_searched_while_what_is_not_coupled_keeps_its_relative_share(
    finished: tuple[Path, Manifest, Listener],
    tmp_path: Path,
) -> None:
    table = finished[0] / "search" / "runs.csv"
    pool = make_pool(tmp_path / "tokenize", tokens=(600, 900, 1500, 700))
    # Nothing is as strongly coupled as this.
    changes: dict[str, Any] = {"earlier_runs": str(table), "changed_domains": ("d3",), "coupling_threshold": 1e9}
    # Without caution and confirmation the best that is predicted or measured ships.
    changes |= {"confirm": None, "decision": DecisionParams(caution=0.0)}
    search(tmp_path, pool, Here(), PARAMS.model_copy(update=changes))
    runs = read_runs(tmp_path / "search" / "runs.csv")
    proposed_MD = np.array([row.weights for row in runs.rows if row.kind in {"design", "proposal"}])
    assert len(proposed_MD) >= 4
    some_MD = proposed_MD[proposed_MD[:, 3] < 0.99]
    old_MD = some_MD[:, :3] / some_MD[:, :3].sum(axis=1, keepdims=True)
    assert np.ptp(old_MD, axis=0).max() < 1e-6
    assert np.ptp(proposed_MD[:, 3]) > 0.05
    # The budget holds, and what ships keeps the shares as well.
    assert len(runs.rows) <= PARAMS.num_runs
    assert Candidates.read(tmp_path / "search").decision.source != "natural"
    shipped_D = np.array(Recipe.read(tmp_path / "search").searched)
    assert shipped_D[:3] / shipped_D[:3].sum() == pytest.approx(old_MD[0], abs=1e-6)


def test_an_earlier_table_that_is_not_there_or_names_no_domain_is_refused_before_any_proxy(tmp_path: Path) -> None:
    pool, executor = make_pool(tmp_path / "tokenize"), Here()
    with pytest.raises(DataError, match=r"search\.earlier_runs: .*: there is no such file"):
        search(tmp_path, pool, executor, PARAMS.model_copy(update={"earlier_runs": str(tmp_path / "runs.csv")}))
    with pytest.raises(ConfigError, match=r"search\.held_out_only: 1 of 1 domains do not exist; first: d9"):
        search(tmp_path, pool, executor, PARAMS.model_copy(update={"held_out_only": ("d9",)}))
    with pytest.raises(ConfigError, match=r"search\.max_increase: 1 of 1 domains do not exist; first: d9"):
        search(tmp_path, pool, executor, PARAMS.model_copy(update={"max_increase": {"d9": 0.1}}))
    assert executor.done == []


def test_a_domain_that_is_only_held_out_is_measured_and_never_trained_on(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "tokenize")
    params = PARAMS.model_copy(update={"held_out_only": ("d2",), "objective": {"d2": 1.0}})
    search(tmp_path, pool, Here(), params)
    runs = read_runs(tmp_path / "search" / "runs.csv")
    assert {row.weights[2] for row in runs.rows} == {0.0}
    assert {row.objective for row in runs.rows} == {row.losses[2] for row in runs.rows}
