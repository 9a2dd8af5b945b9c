"""The stage `evaluate` on models that were never trained, in this process."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.executors import Call, Resources
from infra.storage import FolderStore
from tasks.core.digest import digest_file
from tasks.core.errors import DataError
from tasks.core.manifest import FileRecord, Manifest
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.published import Decision, MeasuredModels, Samples
from tasks.evaluation.stage import run
from tasks.evaluation.tasks.published import Scores
from tasks.mixture.published import MixtureName
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.export import write_model
from tasks.training.model import initial_model
from tasks.training.published import TrainedRun, TrainedRuns
from tests.evaluation.made import forecast, recipe
from tests.in_process import ANY, InProcess
from tests.mixture.test_stage import PROXY, VOCABULARY, Listener, make_pool
from tests.training.made import trained_run

MIXTURES: tuple[MixtureName, ...] = ("searched", "natural", "uniform")
RECIPE = recipe((0.5, 0.3, 0.2), (0.2, 0.3, 0.5), tokens=512)


class Stopped(InProcess):
    """Works in this process, and stops like a killed run after `limit` units."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = ANY, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        for done, result in enumerate(super().map(function, items, resources, warm=warm), start=1):
            yield result
            if done == self._limit:
                raise KeyboardInterrupt


def publish(folder: Path, stage: str) -> Path:
    """Write the manifest of a stage's folder that was made by hand."""
    (folder / "manifest.json").unlink(missing_ok=True)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = tuple(FileRecord(p, digest_file(folder / p), (folder / p).stat().st_size) for p in paths)
    Manifest(stage, {}, {}, "test", files).write(folder)
    return folder


def pool_with_tokenizer(folder: Path, **changes: Any) -> Path:
    """Make a pool whose tokens are letters, and 0 the end of a document."""
    make_pool(folder, **changes)
    tokens = {"<end>": 0, **{chr(ord("a") + index): 1 + index for index in range(VOCABULARY - 1)}}
    text = json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": tokens, "merges": []}})
    (folder / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    return publish(folder, "tokenize")


def make_inputs(root: Path, seeds: int = 3) -> dict[str, Path]:
    pool_with_tokenizer(root / "tokenize")
    (root / "search").mkdir()
    RECIPE.write(root / "search")
    forecast(0.1, 0.05, 0.15).write(root / "search")
    runs = list[TrainedRun]()
    for number, mixture in enumerate(MIXTURES):
        for seed in range(seeds):
            run = trained_run(mixture, seed)
            folder = root / "train" / run.folder
            folder.mkdir(parents=True)
            write_model(initial_model(PROXY.model, VOCABULARY, 10 * number + seed), 0, folder)
            runs.append(run)
    TrainedRuns(runs=tuple(runs)).write(root / "train")
    publish(root / "search", "search")
    publish(root / "train", "train")
    return {name: root / name for name in ("tokenize", "search", "train")}


def evaluate(
    root: Path, inputs: Mapping[str, Path], executor: InProcess, output: str = "evaluate"
) -> tuple[Manifest, Listener]:
    listener = Listener()
    workshop = Workshop(executor, FolderStore(root / "store"), listener)
    return run(EvaluateParams(), inputs=inputs, output=root / output, workshop=workshop), listener


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Path], Manifest]:
    root = tmp_path_factory.mktemp("evaluate")
    inputs = make_inputs(root)
    return root, inputs, evaluate(root, inputs, InProcess())[0]


def test_every_model_is_measured_on_every_domain_and_untrained_models_give_no_claim(
    finished: tuple[Path, Mapping[str, Path], Manifest],
) -> None:
    root, _, manifest = finished
    assert [file.path for file in manifest.files] == ["decision.json", "epochs.json", "results.json", "samples.json"]
    results = MeasuredModels.read(root / "evaluate")
    assert {(model.mixture, model.seed) for model in results.models} == {(m, s) for m in MIXTURES for s in range(3)}
    for model in results.models:
        assert model.mean == pytest.approx(sum(model.bpb.values()) / 3)
        # One token is one byte and all 32 are as likely, so nothing is learned at 5 bits and a little.
        assert model.mean == pytest.approx(5, abs=0.2)
    assert not Decision.read(root / "evaluate").claim
    assert manifest.summary["claim"] is False


def test_the_first_model_of_each_mixture_continues_the_same_held_out_documents(
    finished: tuple[Path, Mapping[str, Path], Manifest],
) -> None:
    root, inputs, _ = finished
    samples, pool = Samples.read(root / "evaluate").samples, read_pool(inputs["tokenize"], "test")
    assert [sample.domain for sample in samples] == list(pool.names)
    for sample, domain in zip(samples, pool.domains, strict=True):
        letters = "".join(chr(ord("a") + token - 1) for token in domain.splits["test"].tokens[:64].tolist())
        assert sample.prompt.replace(" ", "") + sample.document.replace(" ", "") == letters
        assert [one.mixture for one in sample.continuations] == list(MIXTURES)
    assert len({one.text for sample in samples for one in sample.continuations}) > 3


def test_samples_are_an_option(finished: tuple[Path, Mapping[str, Path], Manifest], tmp_path: Path) -> None:
    _, inputs, _ = finished
    workshop = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    run(EvaluateParams(samples=None), inputs=inputs, output=tmp_path / "evaluate", workshop=workshop)
    assert not (tmp_path / "evaluate" / Samples.FILE).exists()


def test_trained_models_are_put_to_tasks_beside_the_decision(
    finished: tuple[Path, Mapping[str, Path], Manifest], tmp_path: Path
) -> None:
    _, inputs, _ = finished
    (tmp_path / "pairs.jsonl").write_text('{"sentence_good": "abc", "sentence_bad": "cba"}\n')
    task = {"name": "pairs", "file": str(tmp_path / "pairs.jsonl"), "task": {"kind": "minimal_pairs"}}
    params = EvaluateParams.model_validate({"samples": None, "tasks": [task]})
    workshop = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    run(params, inputs=inputs, output=tmp_path / "evaluate", workshop=workshop)
    scores = Scores.read(tmp_path / "evaluate").models
    assert [one.model for one in scores] == [run.name for run in TrainedRuns.read(inputs["train"]).runs]
    assert len({one.tasks["pairs"].scores["log_p_correct"].value for one in scores}) == len(scores)
    assert (tmp_path / "evaluate" / Decision.FILE).is_file()


def test_only_the_test_split_is_looked_at(finished: tuple[Path, Mapping[str, Path], Manifest], tmp_path: Path) -> None:
    root, inputs, _ = finished
    same = evaluate(tmp_path, inputs | {"tokenize": pool_with_tokenizer(tmp_path / "same")}, InProcess())[0]
    assert (tmp_path / "evaluate" / "results.json").read_bytes() == (root / "evaluate" / "results.json").read_bytes()
    other = evaluate(
        tmp_path, inputs | {"tokenize": pool_with_tokenizer(tmp_path / "other", test_seed=5)}, InProcess(), "second"
    )[0]
    assert same.output != other.output


def test_finished_work_is_not_done_again(finished: tuple[Path, Mapping[str, Path], Manifest], tmp_path: Path) -> None:
    root, inputs, manifest = finished
    executor = InProcess()
    again, listener = evaluate(root, inputs, executor)
    assert again == manifest and executor.done == [] and "unchanged" in listener.said[0]
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, inputs, Stopped(4))
    executor = InProcess()
    assert evaluate(tmp_path, inputs, executor)[0].output == manifest.output
    assert executor.done == ["measure"] * 5 + ["continue_documents"] * 3


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_end_in_no_claim(tmp_path: Path, seeds: int) -> None:
    manifest, _ = evaluate(tmp_path, make_inputs(tmp_path, seeds), InProcess())
    assert manifest.summary["statement"].startswith(f"No claim: {seeds} seed")
    decision = Decision.read(tmp_path / "evaluate")
    assert not decision.claim and decision.num_seeds == seeds and decision.comparisons["natural"].lower is None


def test_the_mean_of_a_model_weighs_the_domains_as_the_search_did(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path)
    RECIPE.model_copy(update={"objective": (1.0, 0.0, 0.0)}).write(tmp_path / "search")
    publish(tmp_path / "search", "search")
    evaluate(tmp_path, inputs, InProcess())
    assert all(model.mean == model.bpb["d0"] for model in MeasuredModels.read(tmp_path / "evaluate").models)


def test_pairs_of_different_instruction_sets_are_compared_unpaired_and_told_so(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path)
    runs = TrainedRuns.read(inputs["train"]).runs
    moved = [
        run.model_copy(update={"instruction_set": "AVX512"}) if run.name == "natural-seed1" else run for run in runs
    ]
    TrainedRuns(runs=tuple(moved)).write(inputs["train"])
    publish(inputs["train"], "train")
    evaluate(tmp_path, inputs, InProcess())
    decision = Decision.read(tmp_path / "evaluate")
    assert {name: found.test for name, found in decision.comparisons.items()} == {
        "natural": "unpaired",
        "uniform": "paired",
    }
    assert (
        "in 1 of them the two runs were trained on different instruction sets or devices: cpu AVX2 and cpu AVX512"
        in (decision.statement)
    )


def test_a_folder_without_models_and_a_recipe_for_other_domains_are_refused(
    finished: tuple[Path, Mapping[str, Path], Manifest], tmp_path: Path
) -> None:
    _, inputs, _ = finished
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"published no runs\.json"):
        evaluate(tmp_path, inputs | {"train": publish(tmp_path / "empty", "train")}, InProcess())
    shutil.copytree(inputs["search"], tmp_path / "search")
    RECIPE.model_copy(update={"domains": ("x", "y", "z")}).write(tmp_path / "search")
    with pytest.raises(DataError, match=r"recipe\.json is for the domains x, y, z, the token pool has d0, d1, d2"):
        evaluate(tmp_path, inputs | {"search": publish(tmp_path / "search", "search")}, InProcess())


def test_a_recipe_that_no_search_made_is_refused_before_a_model_is_measured(
    finished: tuple[Path, Mapping[str, Path], Manifest], tmp_path: Path
) -> None:
    _, inputs, _ = finished
    shutil.copytree(inputs["search"], tmp_path / "search")
    RECIPE.model_copy(update={"objective": None}).write(tmp_path / "search")
    executor = InProcess()
    with pytest.raises(DataError, match="has no objective, so that no search made it"):
        evaluate(tmp_path, inputs | {"search": publish(tmp_path / "search", "search")}, executor)
    assert executor.done == []
