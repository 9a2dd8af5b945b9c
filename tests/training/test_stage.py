"""The train stage: what it publishes, what it shares, what it refuses, and that no placement changes a byte."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from infra.errors import SettingsError
from infra.executors import Executor
from infra.local_executor import LocalExecutor
from infra.ray_executor import RayExecutor, ray_closed_after
from infra.storage import FolderStore
from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import FileRecord, Manifest
from tasks.runtime.command import command_of
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.stages import stage_named
from tasks.tokenize.pool import read_pool, train_digest, write_pool
from tasks.training.data_config import EvaluationConfig
from tasks.training.export import read_model
from tasks.training.model import weight_shapes
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.kinds import state_bytes
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRuns
from tasks.training.published_run import read_ledger
from tasks.training.run import RunSpec, train
from tasks.training.stage import run
from tasks.training.types import Phase
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, make_pool, small_training

TOKENIZER = {"added_tokens": [{"id": 63, "content": "<|end|>"}], "model": {"vocab": {}}}


def sign(stage: str, folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    files = [FileRecord(p.relative_to(folder).as_posix(), digest_file(p), p.stat().st_size) for p in paths]
    Manifest(stage, {}, {}, "code", tuple(sorted(files, key=lambda record: record.path))).write(folder)


def write_recipe(folder: Path, weights: list[float], tokens: int, **changes: object) -> None:
    folder.mkdir(exist_ok=True)
    recipe = {
        "format": 2,
        "domains": ["alpha", "beta", "gamma"],
        "stages": [{"tokens": tokens, "weights": weights}],
        "max_epochs": 4.0,
        "baselines": {"natural": [0.5, 0.4, 0.1], "uniform": [1 / 3] * 3, "unimax": [1 / 3] * 3},
        "objective": [1 / 3] * 3,
    }
    (folder / "recipe.json").write_text(json.dumps(recipe | changes), encoding="utf-8")
    sign("search", folder)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A pool with a tokenizer, and a recipe."""
    make_pool(tmp_path / "tokenize")
    (tmp_path / "tokenize" / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tmp_path / "tokenize")
    write_recipe(tmp_path / "search", [0.2, 0.7, 0.1], 12 * 4 * LENGTH)
    return {"tokenize": tmp_path / "tokenize", "search": tmp_path / "search"}


def params(num_seeds: int = 2, **changes: object) -> TrainParams:
    return TrainParams(training=small_training(**changes), num_seeds=num_seeds)


def workshop(tmp_path: Path, executor: Executor | None = None, store: str = "store", world_size: int = 1) -> Workshop:
    return Workshop(executor or InProcess(), FolderStore(tmp_path / store), Listener(), world_size)


def test_every_mixture_is_trained_with_every_seed_and_the_searched_is_exported(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    place = workshop(tmp_path)
    manifest = run(params(skip_spikes={}), inputs=inputs, output=tmp_path / "train", workshop=place)
    names = [f"{mixture}-seed{seed}" for mixture in ("searched", "natural", "uniform") for seed in (0, 1)]
    assert [entry["name"] for entry in json.loads((tmp_path / "train/runs.json").read_text())["runs"]] == names
    for name in names:
        found = {path.name for path in (tmp_path / "train/models" / name).iterdir()}
        assert found == {"model.safetensors", "config.json", "losses.csv", "ledger.csv"}
    exported = {path.name for path in (tmp_path / "train/export").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} <= exported
    same = [
        digest_file(tmp_path / "train" / each / "model.safetensors") for each in ("export", "models/searched-seed0")
    ]
    assert same[0] == same[1]
    manifest.verify(tmp_path / "train")
    kind, shapes = AdamW(), weight_shapes(small_training().model, VOCAB_SIZE)
    assert (
        manifest.summary["optimizer_state_bytes"] == state_bytes(kind, shapes) == 2 * 4 * manifest.summary["parameters"]
    )
    assert sorted(report.name for report in place.observer.units) == sorted(names)
    steps = [[step for step, _ in report.curves["loss"]] for report in place.observer.units]
    assert steps == [list(range(1, 13))] * len(names)
    assert {report.metrics["skipped_steps"] for report in place.observer.units} == {0}
    assert not list((tmp_path / "store/checkpoints").glob("*"))


def test_a_published_model_is_the_one_that_train_gives(inputs: dict[str, Path], tmp_path: Path) -> None:
    run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    training = small_training()
    spec = RunSpec("any name", (Phase(training.num_tokens, (0.5, 0.4, 0.1)),), 0, training)
    ours, published = train(spec, read_pool(inputs["tokenize"])), read_model(tmp_path / "train/models/natural-seed0")
    assert all(torch.equal(published.weights[name], weight) for name, weight in ours.model.weights.items())


def test_a_gpu_that_is_not_there_is_named_before_anything_is_done(inputs: dict[str, Path], tmp_path: Path) -> None:
    place = replace(workshop(tmp_path, LocalExecutor(1)), gpus_per_trainer=1.0)
    with pytest.raises(SettingsError, match=r"A GPU is asked for \(MIXWRIGHT_DEVICE .* finds none here"):
        run(params(1), inputs=inputs, output=tmp_path / "train", workshop=place)


def test_a_second_run_does_nothing_and_says_so(inputs: dict[str, Path], tmp_path: Path) -> None:
    first = run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    place = workshop(tmp_path, store="empty")
    assert run(params(1), inputs=inputs, output=tmp_path / "train", workshop=place) == first
    assert "unchanged" in place.observer.said[0]
    assert not place.observer.steps


def test_another_recipe_trains_only_what_it_changes(inputs: dict[str, Path], tmp_path: Path) -> None:
    run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    write_recipe(inputs["search"], [0.1, 0.8, 0.1], 12 * 4 * LENGTH)
    place = workshop(tmp_path)
    run(params(1), inputs=inputs, output=tmp_path / "train", workshop=place)
    assert place.observer.steps[0] == (2, 3)


def test_a_searched_mixture_that_is_a_baseline_is_trained_once(inputs: dict[str, Path], tmp_path: Path) -> None:
    write_recipe(inputs["search"], [0.5, 0.4, 0.1], 12 * 4 * LENGTH)
    place = workshop(tmp_path)
    run(params(1), inputs=inputs, output=tmp_path / "train", workshop=place)
    assert place.observer.steps[-1] == (2, 2)
    assert sorted(report.name for report in place.observer.units) == [
        "natural-seed0",
        "searched-seed0",
        "uniform-seed0",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"max_epochs": 0.4}, ConfigError, "gamma, 16 samples asked of 37"),
        ({"domains": ["alpha", "beta", "delta"]}, ConfigError, "1 of its 3 domains are not in the pool: delta"),
        ({"stages": [{"tokens": 160, "weights": [0.2, 0.7, 0.1]}]}, ConfigError, "160 tokens and are shorter than"),
        ({"stages": [{"tokens": 16 << 60, "weights": [0.2, 0.7, 0.1]}]}, ConfigError, "cannot be shared exactly"),
        ({"stages": [{"tokens": 768, "weights": [0.2, 0.7, 0.2]}]}, DataError, r"stages\.0: .*sum to 1\.1"),
        ({"stages": None}, DataError, r"recipe\.json: 1 mistake\(s\): stages"),
        ({"data": "0" * 64}, ConfigError, "made for the tokens 000000000000, and the pool's train split is"),
        (
            {"data": "0" * 64, "max_epochs": 0.4, "stages": [{"tokens": 1000, "weights": [0.2, 0.7, 0.1]}]},
            ConfigError,
            r"(?s)4 mistake\(s\).*000000000000.*1,000 tokens and are longer.*992 or 1,008.*uniform: .*first: gamma",
        ),
    ],
)
def test_a_recipe_that_cannot_be_executed_is_refused_before_the_first_run(
    inputs: dict[str, Path], tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    write_recipe(inputs["search"], [0.2, 0.7, 0.1], 12 * 4 * LENGTH, **changes)
    place = workshop(tmp_path)
    with pytest.raises(error, match=message):
        run(params(), inputs=inputs, output=tmp_path / "train", workshop=place)
    assert not place.observer.steps


def test_a_weight_on_a_domain_without_a_sample_is_refused_before_the_first_run(tmp_path: Path) -> None:
    place, folder = workshop(tmp_path), tmp_path / "tokenize"
    tokens = {"train": [1] * 900, "search": [1], "test": [1]}
    write_pool(folder, {"alpha": tokens, "beta": tokens, "gamma": {}}, vocab_size=64, document_end=63)
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", folder)
    recipe = hand_written(tmp_path / "r.json", {"tokens": 12 * 4 * LENGTH, "weights": [0.9, 0.1]}, "alpha", "gamma")
    with pytest.raises(ConfigError, match=r"r\.json: 1 mistake.*\n.*1 of 3 domains have a weight but .*first: gamma"):
        run(params(), inputs={"tokenize": folder, "recipe": recipe}, output=tmp_path / "train", workshop=place)
    asked = params(evaluations=EvaluationConfig(every_steps=5))
    with pytest.raises(
        ConfigError, match=r"2 mistake.*\n.*3 of 3 domains have no text in the split 'search'; first: alpha"
    ):
        run(asked, inputs={"tokenize": folder, "recipe": recipe}, output=tmp_path / "train", workshop=place)
    assert not place.observer.steps


def hand_written(path: Path, stage: dict[str, object], *domains: str) -> Path:
    value = {"format": 2, "name": "by-hand", "domains": domains, "stages": [stage], "max_epochs": 4.0}
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_recipe_written_by_hand_is_trained_without_a_search(inputs: dict[str, Path], tmp_path: Path) -> None:
    stage = {"tokens": 12 * 4 * LENGTH, "weights": [0.1, 0.9], "end_weights": [0.9, 0.1]}
    recipe = hand_written(tmp_path / "mine.json", stage, "beta", "alpha")
    given = {"tokenize": inputs["tokenize"], "recipe": recipe}
    place = workshop(tmp_path)
    manifest = run(params(1), inputs=given, output=tmp_path / "train", workshop=place)
    assert place.observer.said == [f"{recipe}: it has no baselines, so that only its own stages are trained"]
    assert manifest.inputs["recipe"] == digest_file(recipe) and "search" not in manifest.inputs
    (trained,) = TrainedRuns.read(tmp_path / "train").runs
    assert (trained.name, trained.mixture, trained.phases[0].end_weights) == (
        "by-hand-seed0",
        "by-hand",
        (0.1, 0.9, 0.0),
    )
    consumed = {name: each.samples for name, each in trained.consumed.items()}
    assert consumed == {"alpha": 24, "beta": 24, "gamma": 0}
    rows = read_ledger(tmp_path / "train" / trained.folder)
    first = {row.domain: row.samples for row in rows if row.first_step == 0}
    assert first["alpha"] > first["beta"] > 0 and "gamma" not in first
    assert (tmp_path / "train/export/model.safetensors").is_file()


def test_a_recipe_that_names_the_tokens_it_was_made_for_is_trained_on_them(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    made_for = train_digest(published(FolderStore(tmp_path / "s"), str(inputs["tokenize"])).tree())
    write_recipe(inputs["search"], [0.2, 0.7, 0.1], 12 * 4 * LENGTH, data=made_for)
    given = {"tokenize": inputs["tokenize"], "recipe": inputs["search"] / "recipe.json"}
    by_file = run(params(1), inputs=given, output=tmp_path / "file", workshop=workshop(tmp_path))
    again = workshop(tmp_path)
    assert run(params(1), inputs=inputs, output=tmp_path / "stage", workshop=again).output == by_file.output
    assert again.observer.steps == [(3, 3)]


def test_a_weight_too_small_for_one_sample_is_said(inputs: dict[str, Path], tmp_path: Path) -> None:
    write_recipe(inputs["search"], [0.395, 0.6, 0.005], 12 * 4 * LENGTH)
    place = workshop(tmp_path)
    run(params(1), inputs=inputs, output=tmp_path / "train", workshop=place)
    assert place.observer.said == ["searched: too small a weight for a single sample: gamma"]


def test_local_processes_and_two_gloo_workers_give_the_same_bytes(inputs: dict[str, Path], tmp_path: Path) -> None:
    digests = {}
    for world_size in (1, 2):
        place = workshop(tmp_path, LocalExecutor(2), f"store-{world_size}", world_size)
        output = tmp_path / f"train-{world_size}"
        digests[world_size] = run(params(1), inputs=inputs, output=output, workshop=place).output
    here = run(params(1), inputs=inputs, output=tmp_path / "here", workshop=workshop(tmp_path, store="here")).output
    assert digests == {1: here, 2: here}


# Ray Train makes a context of Ray Data, which warns about its own settings.
# Ray Train calls what it has deprecated itself, and leaves the pipes of the processes it starts to the garbage collector.
RAYS_OWN = pytest.mark.filterwarnings(
    "ignore:.use_\\w+. is deprecated:DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A Ray that these tests share."""
    with ray_closed_after():
        yield


@pytest.mark.ray
@RAYS_OWN
@pytest.mark.usefixtures("ray_here")
@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2])
def test_ray_train_gives_the_same_samples_and_the_same_bytes(
    inputs: dict[str, Path], tmp_path: Path, world_size: int
) -> None:
    place = workshop(tmp_path, RayExecutor(2), world_size=world_size)
    on_ray = run(params(1), inputs=inputs, output=tmp_path / "ray", workshop=place)
    here = run(params(1), inputs=inputs, output=tmp_path / "here", workshop=workshop(tmp_path, store="here"))
    for name in ("ledger.csv", "losses.csv"):
        both = [(tmp_path / each / "models/natural-seed0" / name).read_text().splitlines() for each in ("ray", "here")]
        if name == "ledger.csv":
            assert both[0] == both[1]
        else:
            losses = [[float(line.split(",")[1]) for line in lines[1:]] for lines in both]
            assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    # More than is promised across machines, and what holds on one: the very same bits.
    assert on_ray.output == here.output
    assert not list((tmp_path / "store/groups").glob("*"))


@pytest.mark.slow
@pytest.mark.ray
@RAYS_OWN
@pytest.mark.usefixtures("ray_here")
def test_an_error_in_a_ray_train_worker_comes_out_by_its_name(inputs: dict[str, Path], tmp_path: Path) -> None:
    place = workshop(tmp_path, RayExecutor(2))
    broken = params(1, learning_rate=1e9, gradient_clip=None, precision="float32", warmup_steps=0)
    with pytest.raises(ConfigError, match="Lower learning_rate"):
        run(broken, inputs=inputs, output=tmp_path / "ray", workshop=place)


def test_an_error_in_one_of_two_gloo_workers_comes_out_by_its_name(inputs: dict[str, Path], tmp_path: Path) -> None:
    broken = params(1, learning_rate=1e9, gradient_clip=None, precision="float32", warmup_steps=0)
    with pytest.raises(ConfigError, match="Lower learning_rate"):
        run(broken, inputs=inputs, output=tmp_path / "out", workshop=workshop(tmp_path, LocalExecutor(2), world_size=2))


def drive(inputs: dict[str, Path], folder: Path) -> None:
    """Run the stage as a process of its own, to be killed."""
    run(
        long_params(), inputs=inputs, output=folder / "train", workshop=workshop(folder, LocalExecutor(2), world_size=2)
    )


def long_params() -> TrainParams:
    training = small_training(num_tokens=160 * 4 * LENGTH, checkpoint_every_steps=10)
    return TrainParams(training=training, num_seeds=1, mixtures=("natural",))


def test_a_stage_killed_within_a_run_of_two_workers_goes_on_from_its_checkpoint_to_the_same_bytes(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    write_recipe(inputs["search"], [0.4, 0.4, 0.2], 160 * 4 * LENGTH, max_epochs=1000.0)
    driver = multiprocessing.get_context("spawn").Process(target=drive, args=(inputs, tmp_path))
    driver.start()
    kept, deadline = "store/train.run/*/.blocks-*/step-*", time.monotonic() + 120
    while not list(tmp_path.glob(kept)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    assert not (tmp_path / "train").exists()
    assert list(tmp_path.glob(kept))
    place = workshop(tmp_path, LocalExecutor(2), world_size=2)
    resumed = run(long_params(), inputs=inputs, output=tmp_path / "train", workshop=place)
    whole = run(long_params(), inputs=inputs, output=tmp_path / "whole", workshop=workshop(tmp_path, store="other"))
    assert resumed.output == whole.output


def test_the_command_takes_a_recipe_in_place_of_a_search(inputs: dict[str, Path], tmp_path: Path) -> None:
    command = command_of(stage_named("train"))
    recipe = hand_written(tmp_path / "mine.json", {"tokens": 160, "weights": [0.5, 0.5]}, "alpha", "delta")
    asked = ["--input", f"tokenize={inputs['tokenize']}", "--output", str(tmp_path / "out"), "--recipe"]
    refused = CliRunner(env={"MIXWRIGHT_HOME": str(tmp_path / "home")}).invoke(command, [*asked, str(recipe)])
    assert refused.exit_code == 2 and "not in the pool: delta" in refused.output
    missing = CliRunner().invoke(command, [*asked, str(tmp_path / "none.json")])
    assert missing.exit_code == 2 and "does not exist" in missing.output
