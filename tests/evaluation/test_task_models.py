"""Tasks put to real models: ours and those of transformers, in a stage."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE

from infra.executors import Call, Resources
from infra.storage import FolderStore
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.stage import run
from tasks.evaluation.tasks.encode import Pair
from tasks.evaluation.tasks.item import Likelihood
from tasks.evaluation.tasks.models import DecoderModel, LanguageModel, open_model
from tasks.evaluation.tasks.params import ScoreSetParams
from tasks.evaluation.tasks.published import Scores, TaskItems
from tasks.evaluation.tasks.stage import model_files
from tasks.runtime.context import Workshop
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import ModelConfig
from tasks.training.export import write_model, write_tokenizer_files
from tasks.training.model import initial_model
from tests.in_process import ANY, InProcess
from tests.mixture.test_stage import Listener

MODEL = ModelConfig(hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=1, intermediate_size=48, sequence_length=24)
# Pairs that share prompts, in no order; one asks for several tokens, one reads what another reads.
PAIRS = [
    Pair((0, 5, 6), (7,)),
    Pair((0, 5, 6), (8, 9)),
    Pair((0, 5, 6), (9,)),
    Pair((0, 5), (6, 7, 1)),
    Pair((3,), (4,)),
]


def model_folder(folder: Path, model: ModelConfig = MODEL) -> Path:
    """Write a model whose tokens are letters, with 0 the end of a document; weights so large that it has opinions."""
    folder.mkdir()
    tokens = {"<end>": 0, " ": 1, **{chr(ord("a") + index): 2 + index for index in range(26)}}
    Tokenizer(BPE(tokens, [])).save(str(folder / TOKENIZER_FILE))
    config = model.model_copy(update={"initializer_range": 0.5})
    write_model(initial_model(config, len(tokens), seed=0), 0, folder)
    write_tokenizer_files(folder / TOKENIZER_FILE, 0, model.sequence_length, folder)
    return folder


def opened(folder: Path) -> LanguageModel:
    """Open the model of a folder."""
    return open_model(folder, sorted(path.name for path in folder.iterdir()))


def records_file(folder: Path) -> Path:
    """Write eight questions."""
    path = folder / "questions.jsonl"
    records = [{"query": f"{letter} and", "choices": [letter, "yes"], "gold": 0} for letter in "abcdefgh"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def params(file: Path, **task: object) -> EvaluateParams:
    asked = {"name": "echo", "file": str(file), "task": {"kind": "multiple_choice", **task}}
    return EvaluateParams.model_validate(
        {"tasks": [asked], "score_sets": [{"name": "all", "weights": {"echo.accuracy": 1}}]}
    )


def evaluate(root: Path, asked: EvaluateParams, model: Path, executor: InProcess | None = None) -> Manifest:
    workshop = Workshop(executor or InProcess(), FolderStore(root / "store"), Listener())
    return run(asked, inputs={"model": model}, output=root / "scores", workshop=workshop)


def close(one: list[Likelihood], other: list[Likelihood]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(left.log_p == pytest.approx(right.log_p, abs=1e-4) for left, right in pairs) and all(
        (left.tokens, left.greedy) == (right.tokens, right.greedy) for left, right in pairs
    )


def one_by_one(model: LanguageModel) -> list[Likelihood]:
    return [model.likelihoods([pair])[0] for pair in PAIRS]


def test_reading_together_what_is_shared_changes_no_likelihood(tmp_path: Path) -> None:
    model = opened(model_folder(tmp_path / "m"))
    assert isinstance(model, DecoderModel)
    together = model.likelihoods(PAIRS)
    assert close(together, one_by_one(model))
    assert len({round(one.log_p, 3) for one in together}) == len(PAIRS)


def test_a_model_in_16_bits_is_computed_in_float32(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    weights = {name: weight.bfloat16() for name, weight in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    rounded = opened(folder).likelihoods(PAIRS)
    save_file({name: weight.float() for name, weight in weights.items()}, folder / "model.safetensors")
    assert rounded == opened(folder).likelihoods(PAIRS)


def test_of_several_gguf_files_only_the_one_that_is_named_is_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2 GGUF files \(a\.gguf, b\.gguf\)"):
        open_model(tmp_path, ["a.gguf", "b.gguf"])
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF no model")
    assert model_files(tmp_path / "b.gguf").names == ("b.gguf",)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of transformers' own imports
def test_transformers_gives_the_same_likelihoods_with_its_cache(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tasks.evaluation.tasks.transformers_model import TransformersModel

    folder = model_folder(tmp_path / "m")
    ours, theirs = opened(folder), TransformersModel(folder, "cpu")
    assert (theirs.context_length, theirs.beginning) == (ours.context_length, ours.beginning)
    assert theirs.encode("abc a") == ours.encode("abc a")
    found = theirs.likelihoods(PAIRS)
    assert close(found, one_by_one(theirs))
    assert close(found, ours.likelihoods(PAIRS))


def test_a_model_of_others_is_put_to_tasks_alone_and_a_killed_run_goes_on(tmp_path: Path) -> None:
    asked, model = params(records_file(tmp_path)), model_folder(tmp_path / "m")
    manifest = evaluate(tmp_path, asked, model)
    assert [file.path for file in manifest.files] == ["items.json", "scores.json"]
    (scored,) = Scores.read(tmp_path / "scores").models
    assert (scored.model, scored.tasks["echo"].items) == ("m", 8)
    accuracy = scored.tasks["echo"].scores["accuracy"].value
    items = TaskItems.read(tmp_path / "scores").tasks["echo"]
    assert sum(item.scores["m"]["accuracy"] for item in items) / 8 == accuracy == scored.score_sets["all"].value
    # A score is decided over the answers that are kept: other sets of scores ask no model.
    executor = InProcess()
    evaluate(tmp_path, asked.model_copy(update={"score_sets": ()}), model, executor)
    assert executor.done == []


def test_the_same_task_has_the_same_identity_wherever_it_lies(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "m")
    evaluate(tmp_path, params(records_file(tmp_path)), model)
    first = Scores.read(tmp_path / "scores").identities
    (tmp_path / "moved").mkdir()
    moved, executor = records_file(tmp_path / "moved"), InProcess()
    evaluate(tmp_path, params(moved), model, executor)
    assert Scores.read(tmp_path / "scores").identities == first
    assert executor.done == []
    evaluate(tmp_path, params(moved, num_fewshot=1), model)
    assert Scores.read(tmp_path / "scores").identities != first


def test_items_longer_than_the_context_are_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    file, model = records_file(tmp_path), model_folder(tmp_path / "m")
    file.write_text(file.read_text() + json.dumps({"query": "a" * 30, "choices": ["b", "c"], "gold": 0}) + "\n")
    with pytest.raises(DataError, match="1 of 9 items are longer than the model's context of 24 tokens; first: line 9"):
        evaluate(tmp_path, params(file), model)
    evaluate(tmp_path, params(file, too_long="leave_out"), model)
    task = Scores.read(tmp_path / "scores").models[0].tasks["echo"]
    assert (task.items, task.left_out) == (8, 1)
    assert len(TaskItems.read(tmp_path / "scores").tasks["echo"]) == 8


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("config.json", "this is no JSON object"),
        ("model.safetensors", "the weights cannot be read"),
        ("tokenizer.json", "this is no tokenizer"),
    ],
)
def test_a_damaged_file_of_a_model_is_named(tmp_path: Path, name: str, told: str) -> None:
    folder = model_folder(tmp_path / "m")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"{name}: {told}"):
        evaluate(tmp_path, params(records_file(tmp_path)), folder)


def test_models_are_asked_where_full_runs_are_trained(tmp_path: Path) -> None:
    class OnGpu(InProcess):
        """Has a GPU, as far as anybody asks, and notes which devices models are to be loaded on."""

        def __init__(self) -> None:
            super().__init__()
            self.devices: set[tuple[float, str]] = set()

        def gpu_family(self) -> str:
            return "toy"

        def map(
            self, function: Call, items: Sequence[Any], resources: Resources = ANY, *, warm: bool = False
        ) -> Iterator[tuple[int, Any]]:
            self.devices |= {(resources.gpus, order.args.model.device) for order in items}
            return super().map(function, [], resources, warm=warm)

    executor = OnGpu()
    workshop = Workshop(executor, FolderStore(tmp_path / "store"), Listener(), gpus_per_trainer=1.0)
    folder, asked = model_folder(tmp_path / "m"), params(records_file(tmp_path))
    with pytest.raises(KeyError):  # nothing was computed
        run(asked, inputs={"model": folder}, output=tmp_path / "scores", workshop=workshop)
    assert executor.devices == {(1.0, "cuda")}


def test_a_score_that_its_task_does_not_have_is_refused_before_any_model_is_asked(tmp_path: Path) -> None:
    asked, executor = params(records_file(tmp_path)), InProcess()
    wrong = asked.model_copy(update={"score_sets": (ScoreSetParams(name="all", weights={"echo.speed": 1}),)})
    with pytest.raises(ConfigError, match=r"score_sets, all: echo has no score speed\. It has log_p_correct, "):
        evaluate(tmp_path, wrong, model_folder(tmp_path / "m"), executor)
    assert executor.done == []


def test_what_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    file, model = records_file(tmp_path), model_folder(tmp_path / "m")
    with pytest.raises(ConfigError, match="there is none, so nothing to put to a model"):
        evaluate(tmp_path, EvaluateParams(), model)
    (model / TOKENIZER_FILE).unlink()
    with pytest.raises(ConfigError, match=r"no tokenizer\.json here"):
        evaluate(tmp_path, params(file), model)
    (model / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json and no GGUF file"):
        evaluate(tmp_path, params(file), model)
    file.write_bytes(gzip.compress(b"{}", mtime=0)[:12])
    with pytest.raises(DataError, match="this is no UTF-8 text"):
        evaluate(tmp_path, params(file), model)
    with pytest.raises(DataError, match="there is no such file"):
        evaluate(tmp_path, params(tmp_path / "missing.jsonl"), model)
