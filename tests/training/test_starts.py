"""Where a run starts from: the same weights by content, and refused by name where model or tokenizer are others."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from infra.storage import FolderStore
from tasks.core.errors import ConfigError, DamagedError, DataError, StoppedError
from tasks.core.identity import reads_of
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.tokenize.pool import read_pool, write_pool
from tasks.training.checkpoint import read
from tasks.training.export import read_model, write_model
from tasks.training.model import EMBEDDING, initial_model
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.params import TrainParams
from tasks.training.run import train
from tasks.training.schedules.wsd import Wsd
from tasks.training.stage import run
from tasks.training.stage import start_of as stage_start
from tasks.training.starts import hugging_face
from tasks.training.starts.hugging_face import FromHuggingFace
from tasks.training.starts.start import Start
from tasks.training.starts.weights import start_mistakes, started_weights
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, make_pool, small_spec, small_training
from tests.training.test_stage import TOKENIZER, hand_written, sign


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A pool with a tokenizer, and a recipe."""
    make_pool(tmp_path / "tokenize")
    (tmp_path / "tokenize" / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    sign("tokenize", tmp_path / "tokenize")
    stage = {"tokens": 12 * 4 * LENGTH, "weights": [0.5, 0.5]}
    return {"tokenize": tmp_path / "tokenize", "recipe": hand_written(tmp_path / "r.json", stage, "alpha", "beta")}


def trained(inputs: dict[str, Path], folder: Path, name: str, **changes: Any) -> Path:
    """Run the stage with one seed; return what it published."""
    params = TrainParams.model_validate({"training": small_training(milestone_every_steps=6), "num_seeds": 1} | changes)
    place = Workshop(InProcess(), FolderStore(folder / "store"), Listener())
    run(params, inputs=inputs, output=folder / name, workshop=place)
    return folder / name


def folder_of(folder: Path, vocab_size: int = VOCAB_SIZE, tokenizer: dict[str, Any] = TOKENIZER) -> Path:
    """Write a model as Hugging Face lays it out."""
    folder.mkdir()
    write_model(initial_model(small_training().model, vocab_size, seed=5), vocab_size - 1, folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def start_of(folder: Path, extend: bool = False) -> Start:
    files = (file_handle(folder / name) for name in ("config.json", "model.safetensors", "tokenizer.json"))
    return Start(*files, extend_vocabulary=extend)


def mistakes(start: Start, pool: Path, vocab_size: int = VOCAB_SIZE) -> str:
    return " | ".join(start_mistakes(start, small_training(), vocab_size, file_handle(pool / "tokenizer.json")))


def test_a_run_goes_on_from_the_weights_of_another_by_their_content_wherever_they_lie(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    first = trained(inputs, tmp_path, "first")
    start = {"kind": "checkpoint", "folder": str(first), "run": "by-hand-seed0"}
    second = trained(inputs, tmp_path, "second", start=start)
    before, after = (read_model(folder / "models/by-hand-seed0") for folder in (first, second))
    spec = small_spec(weights=(0.5, 0.5, 0.0), milestone_every_steps=6)
    again = train(spec, read_pool(inputs["tokenize"]), initial=before.weights).model
    assert all(torch.equal(after.weights[name], weight) for name, weight in again.weights.items())
    assert not torch.equal(after.weights[EMBEDDING], before.weights[EMBEDDING])
    # The same weights as a Hugging Face folder are the same work.
    copied = {"kind": "hugging_face", "folder": str(first / "export")}
    place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    params = TrainParams.model_validate(
        {"training": small_training(milestone_every_steps=6), "num_seeds": 1, "start": copied}
    )
    run(params, inputs=inputs, output=tmp_path / "third", workshop=place)
    assert place.observer.steps == [(1, 1)]


def test_a_run_starts_from_a_milestone(inputs: dict[str, Path], tmp_path: Path) -> None:
    first = trained(inputs, tmp_path, "first")
    start = {"kind": "checkpoint", "folder": str(first), "run": "by-hand-seed0", "step": 6}
    second = trained(inputs, tmp_path, "second", start=start, training=small_training(num_tokens=12 * 4 * LENGTH))
    state = load_file(first / "models/by-hand-seed0/milestones/step-000000006/state.safetensors")
    spec = small_spec(weights=(0.5, 0.5, 0.0))
    again = train(spec, read_pool(inputs["tokenize"]), initial=state).model
    found = read_model(second / "models/by-hand-seed0")
    assert all(torch.equal(found.weights[name], weight) for name, weight in again.weights.items())


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"run": "natural-seed9"}, "has no run natural-seed9; it has by-hand-seed0"),
        (
            {"run": "by-hand-seed0", "folder": "nowhere"},
            "nowhere has no runs.json. Name what a train stage has published",
        ),
        ({"run": "by-hand-seed0", "step": 5}, "no milestone at step 5"),
    ],
)
def test_a_run_or_a_milestone_that_is_not_there_is_refused(
    inputs: dict[str, Path], tmp_path: Path, start: dict[str, Any], message: str
) -> None:
    first = trained(inputs, tmp_path, "first")
    with pytest.raises(ConfigError, match=message):
        trained(inputs, tmp_path, "second", start={"kind": "checkpoint", "folder": str(first), **start})


def test_a_folder_that_lacks_a_file_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    with pytest.raises(ConfigError, match=r"hf has no config\.json, model\.safetensors, tokenizer\.json"):
        trained(inputs, tmp_path, "out", start={"kind": "hugging_face", "folder": str(tmp_path / "hf")})


def test_weights_in_another_form_are_told_with_what_to_do(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "hf")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"hf has no model\.safetensors\. .*pickled, .*never read"):
        hugging_face.paths(FromHuggingFace(kind="hugging_face", folder=str(folder)))


def sharded(folder: Path) -> Path:
    """Cut the weights in a folder into two files with an index."""
    weights = load_file(folder / "model.safetensors")
    names, (first, second) = sorted(weights), ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    files = {name: first if number % 2 else second for number, name in enumerate(names)}
    for file in (first, second):
        save_file({name: weights[name] for name in names if files[name] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_weights_in_several_files_are_begun_with_as_those_in_one(inputs: dict[str, Path], tmp_path: Path) -> None:
    one, several = folder_of(tmp_path / "one"), sharded(folder_of(tmp_path / "several"))
    starts = [stage_start(FromHuggingFace(kind="hugging_face", folder=str(each))) for each in (one, several)]
    assert starts[0] is not None and starts[1] is not None and reads_of(starts[0]) == reads_of(start_of(one))
    assert "more" not in reads_of(starts[0]) and starts[0].digest != starts[1].digest
    assert mistakes(starts[1], inputs["tokenize"]) == ""
    whole, parts = (started_weights(start, small_training().model, VOCAB_SIZE) for start in starts if start is not None)
    assert list(whole) == list(parts) and all(torch.equal(whole[name], parts[name]) for name in whole)
    trained(inputs, tmp_path, "out", start={"kind": "hugging_face", "folder": str(several)})
    # What is there in one file is read of it.
    (one / "model.safetensors.index.json").write_text("{")
    assert not hugging_face.paths(FromHuggingFace(kind="hugging_face", folder=str(one))).more


FIRST = "model-00001-of-00002.safetensors"


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", r"it is no index of weights: JSONDecodeError"),
        ("[]", r"it is no index of weights: TypeError"),
        ("{}", r"it is no index of weights: KeyError\('weight_map'\)"),
        ('{"weight_map": {}}', "its weight_map does not name a file for each tensor"),
        ('{"weight_map": {"a": 1}}', "its weight_map does not name a file for each tensor"),
        ('{"weight_map": {"a": "../x.safetensors"}}', r"it names '\.\./x\.safetensors', and weights are read of"),
        ('{"weight_map": {"a": "x.bin"}}', r"it names 'x\.bin', and weights are read of safetensors files"),
        (
            '{"weight_map": {"a": "b.safetensors"}}',
            r"1 of the 1 files that it names are missing; first: b\.safetensors",
        ),
        (f'{{"weight_map": {{"a": "{FIRST}"}}}}', r"11 of 11 are not where they should be; first: a is in none"),
    ],
)
def test_an_index_that_is_damaged_is_named_before_a_weight_is_read(tmp_path: Path, index: str, message: str) -> None:
    folder = sharded(folder_of(tmp_path / "hf"))
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(DataError, match=rf"model\.safetensors\.index\.json: .*{message}"):
        hugging_face.paths(FromHuggingFace(kind="hugging_face", folder=str(folder)))


def test_files_of_weights_that_are_not_what_the_index_says_are_named(tmp_path: Path) -> None:
    folder = sharded(folder_of(tmp_path / "hf"))
    config, first = FromHuggingFace(kind="hugging_face", folder=str(folder)), folder / FIRST
    weights = load_file(first)
    save_file({**weights, EMBEDDING: torch.ones(2)}, first)
    with pytest.raises(DataError, match=rf"embed_tokens\.weight is in {FIRST} and model-00002\S+, not in model-00002"):
        hugging_face.paths(config)
    first.write_bytes(first.read_bytes()[:40])
    with pytest.raises(DataError, match=rf"{FIRST}: the weights cannot be read: "):
        hugging_face.paths(config)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "config.json: this is no JSON object"),
        ("config.json", b"[1]", "expected an object, found list"),
        ("tokenizer.json", b"\xff", "tokenizer.json: this is no JSON object"),
        ("model.safetensors", b"no tensors here", "its weights cannot be read: "),
    ],
)
def test_a_start_with_a_damaged_file_is_refused_with_the_file(
    inputs: dict[str, Path], tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = folder_of(tmp_path / "hf")
    (folder / name).write_bytes(content)
    assert message in mistakes(start_of(folder), inputs["tokenize"])


def test_weights_that_are_numbers_with_a_scale_elsewhere_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "hf")
    weights = load_file(folder / "model.safetensors")
    save_file({name: weight.to(torch.float8_e4m3fn) for name, weight in weights.items()}, folder / "model.safetensors")
    assert "its weights are F8_E4M3, and a start has BF16, F16, F32, F64" in mistakes(
        start_of(folder), inputs["tokenize"]
    )


def test_a_start_of_another_model_names_every_mistake_before_the_first_step(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "hf")
    assert mistakes(start_of(folder), inputs["tokenize"]) == ""
    config = json.loads((folder / "config.json").read_text())
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    changes = {"rms_norm_eps": 1e-6, "rope_parameters": rope, "tie_word_embeddings": False, "model_type": "qwen3"}
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(
        {**weights, "lm_head.weight": torch.ones(2, 2), EMBEDDING: torch.ones(70, 16)}, folder / "model.safetensors"
    )
    (folder / "tokenizer.json").write_text(json.dumps({**TOKENIZER, "normalizer": {"type": "NFC"}}))
    told = mistakes(start_of(folder), inputs["tokenize"])
    for message in (
        "architecture is qwen3, not None",
        "untied_embeddings is True, not False",
        "norm_eps is 1e-06, not 1e-05",
        "rope_base is 500000.0, not 10000.0",
        "its vocabulary has 70 tokens, the pool's 64. Tokenize with its tokenizer; if that has 64",
        "2 of its weights are not those of train.training.model; first: model.norm.weight is None, not (16,)",
        "lm_head.weight has no place",
        "its tokenizer is not the pool's: normalizer differ",
    ):
        assert message in told
    place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    params = TrainParams.model_validate(
        {"training": small_training(), "start": {"kind": "hugging_face", "folder": str(folder)}}
    )
    with pytest.raises(ConfigError, match=r"train\.start: 4 mistake"):
        run(params, inputs=inputs, output=tmp_path / "out", workshop=place)
    assert not place.observer.steps


def test_another_rope_base_is_refused_unless_it_is_asked_for_and_changes_no_weight_that_is_begun_with(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    folder, asking = folder_of(tmp_path / "hf"), small_training(rope_base=5e5, sequence_length=2 * LENGTH)
    tokenizer = file_handle(inputs["tokenize"] / "tokenizer.json")
    (told,) = start_mistakes(start_of(folder), asking, VOCAB_SIZE, tokenizer)
    assert "rope_base is 10000.0, not 500000.0" in told and "taken with other_rope_base" in told
    asked = replace(start_of(folder), other_rope_base=True)
    assert not tuple(start_mistakes(asked, asking, VOCAB_SIZE, tokenizer)) and reads_of(asked) == reads_of(
        start_of(folder)
    )
    training = small_training(rope_base=5e5, sequences_per_step=2, sequence_length=2 * LENGTH, milestone_every_steps=6)
    start = {"kind": "hugging_face", "folder": str(folder), "other_rope_base": True}
    made = read_model(trained(inputs, tmp_path, "out", start=start, training=training) / "export").config
    assert (made.rope_base, made.sequence_length) == (5e5, 2 * LENGTH)
    again = {"kind": "checkpoint", "folder": str(tmp_path / "out"), "run": "by-hand-seed0", "other_rope_base": True}
    made = read_model(trained(inputs, tmp_path, "again", start=again) / "export").config
    assert made.rope_base == 1e4


def test_a_smaller_vocabulary_is_extended_with_mean_rows_where_asked(tmp_path: Path) -> None:
    def tokenizer(size: int) -> dict[str, Any]:
        return {"model": {"vocab": {f"t{token}": token for token in range(size)}, "merges": list(range(size))}}

    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "tokenizer.json").write_text(json.dumps(tokenizer(VOCAB_SIZE)))
    folder = folder_of(tmp_path / "hf", 60, tokenizer(60))
    assert "60 tokens, the pool's 64. Set extend_vocabulary." in mistakes(start_of(folder), tmp_path / "pool")
    start = start_of(folder, extend=True)
    assert mistakes(start, tmp_path / "pool") == ""
    weights, before = started_weights(start, small_training().model, VOCAB_SIZE), read_model(folder).weights
    assert torch.equal(weights[EMBEDDING][:60], before[EMBEDDING])
    assert torch.allclose(weights[EMBEDDING][60:], before[EMBEDDING].mean(dim=0).expand(4, -1))
    # An added token that has moved is another token.
    added = [{"id": 59, "content": "<|end|>"}]
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer(59), "added_tokens": added}))
    assert "the ids of known tokens differ" in mistakes(start_of(folder, extend=True), tmp_path / "pool")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(60)))
    other = tokenizer(VOCAB_SIZE)
    other["model"]["vocab"]["t3"] = 4
    (tmp_path / "pool" / "tokenizer.json").write_text(json.dumps(other))
    assert "the ids of known tokens differ" in mistakes(start, tmp_path / "pool")


def test_rows_that_pad_a_vocabulary_are_left_out_where_asked_and_new_tokens_begin_as_the_mean_of_the_others(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    folder, model = folder_of(tmp_path / "hf", 70), small_training().model
    asked = FromHuggingFace(kind="hugging_face", folder=str(folder), padded_vocabulary=True)
    assert "its vocabulary has 70 tokens, the pool's 64. Tokenize with its tokenizer; if" in mistakes(
        start_of(folder), inputs["tokenize"]
    )
    start, before = stage_start(asked), read_model(folder).weights
    assert start is not None and start.num_tokens == VOCAB_SIZE and mistakes(start, inputs["tokenize"]) == ""
    assert torch.equal(started_weights(start, model, VOCAB_SIZE)[EMBEDDING], before[EMBEDDING][:VOCAB_SIZE])
    made = trained(inputs, tmp_path, "out", start=asked.model_dump())
    assert json.loads((made / "export/config.json").read_text())["vocab_size"] == VOCAB_SIZE
    # Two tokens more than its tokenizer has, for which it has rows that nobody trained.
    start = replace(start, num_tokens=62)
    assert "its vocabulary has 62 tokens, the pool's 64. Set extend_vocabulary." in mistakes(start, inputs["tokenize"])
    weights = started_weights(start, model, VOCAB_SIZE)[EMBEDDING]
    assert torch.allclose(weights[62:], before[EMBEDDING][:62].mean(dim=0).expand(2, -1))
    assert "its embedding has 70 rows, and its tokenizer 71 tokens" in mistakes(
        replace(start, num_tokens=71), inputs["tokenize"]
    )
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json: it is no tokenizer: KeyError\('model'\)"):
        stage_start(asked)


def test_what_identifies_a_start_is_its_weights_not_where_they_lie(tmp_path: Path) -> None:
    one, other = (start_of(folder_of(tmp_path / name)) for name in ("one", "other"))
    assert reads_of(one) == reads_of(other) and str(tmp_path) not in json.dumps(reads_of(one))


@pytest.mark.parametrize(
    "changes",
    [{}, {"parallel": Ddp()}, {"method": Muon()}],
    ids=["stack", "one model", "muon"],
)
def test_weights_and_optimizer_of_a_milestone_go_on_as_the_run_that_made_them(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    # All samples are alike, so that a new data order takes the same ones.
    tokens = {split: np.arange(4000) % (LENGTH // 2) for split in ("train", "search")}
    pool = write_pool(tmp_path / "pool", {"alike": tokens}, vocab_size=VOCAB_SIZE, document_end=VOCAB_SIZE - 1)
    steady = {"warmup_steps": 0, "schedule": Wsd(decay_fraction=0.0), **changes}
    spec = small_spec((1.0,), milestone_every_steps=6, **steady)
    whole = train(spec, pool, checkpoints=tmp_path / "whole")
    state, record = read(tmp_path / "whole", 6)
    rest = replace(small_spec((1.0,), num_tokens=6 * 4 * LENGTH, **steady), optimizer_steps=6)
    made = list[int]()
    with pytest.raises(StoppedError):
        train(
            rest,
            pool,
            checkpoints=tmp_path / "rest",
            initial=state,
            on_step=lambda step, _: made.append(step),
            asked_to_stop=lambda: len(made) == 4,
        )
    found = train(rest, pool, checkpoints=tmp_path / "rest", initial=state)
    assert found.losses == whole.losses[6:]
    assert all(torch.equal(found.model.weights[name], weight) for name, weight in whole.model.weights.items())
    # What it leaves counts the steps that its optimizer had made before.
    state, kept = read(tmp_path / "rest", 6)
    end, record = read(tmp_path / "whole", 12)
    assert all(torch.equal(state[name], tensor) for name, tensor in end.items())
    assert kept["optimizer_steps"] == 6 and "optimizer_steps" not in record


def test_a_run_goes_on_with_weights_and_optimizer_of_a_milestone_and_so_does_one_behind_it(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    start = {"kind": "checkpoint", "run": "by-hand-seed0", "step": 6, "with_optimizer": True}
    first = trained(inputs, tmp_path, "first")
    second = trained(inputs, tmp_path, "second", start={**start, "folder": str(first)})
    third = trained(inputs, tmp_path, "third", start={**start, "folder": str(second)})
    for steps, before, after in ((6, first, second), (12, second, third)):
        state = load_file(before / "models/by-hand-seed0/milestones/step-000000006/state.safetensors")
        spec = replace(small_spec((0.5, 0.5, 0.0), milestone_every_steps=6), optimizer_steps=steps)
        again = train(spec, read_pool(inputs["tokenize"]), initial=state).model.weights
        found = read_model(after / "models/by-hand-seed0").weights
        assert all(torch.equal(found[name], weight) for name, weight in again.items())
        new = train(replace(spec, optimizer_steps=None), read_pool(inputs["tokenize"]), initial=state).model.weights
        assert not torch.equal(new[EMBEDDING], again[EMBEDDING])


def test_a_branch_off_a_run_that_began_with_anothers_optimizer_is_that_run_to_the_bit(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    first = trained(inputs, tmp_path, "first")
    start = {"kind": "checkpoint", "folder": str(first), "run": "by-hand-seed0", "step": 6, "with_optimizer": True}
    early, late = ({"tokens": 6 * 4 * LENGTH, "weights": weights} for weights in ([0.5, 0.5], [0.2, 0.8]))
    recipe = hand_written(tmp_path / "two.json", early, "alpha", "beta")
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"stages": [early, late]}))
    same = {"name": "same", "step": 6, "stages": [late | {"weights": {"alpha": 0.2, "beta": 0.8}}]}
    folder = trained(inputs | {"recipe": recipe}, tmp_path, "second", start=start, branches=[same])
    trunk, branch = (read_model(folder / f"models/{name}-seed0").weights for name in ("by-hand", "same"))
    assert all(torch.equal(branch[name], weight) for name, weight in trunk.items())


def test_an_optimizer_that_is_none_of_the_runs_is_refused_before_the_first_step(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    first = trained(inputs, tmp_path, "first")
    start = {"kind": "checkpoint", "folder": str(first), "run": "by-hand-seed0", "with_optimizer": True}
    with pytest.raises(ValueError, match="a run's end is published without: name its step"):
        trained(inputs, tmp_path, "second", start=start)
    start["step"] = 6
    with pytest.raises(ConfigError, match=r"keeps adam\.mean, adam\.square, and muon keeps .*muon\.momentum"):
        trained(inputs, tmp_path, "second", start=start, training=small_training(method=Muon()))
    state = first / "models/by-hand-seed0/milestones/step-000000006/state.safetensors"
    save_file({**load_file(state), "adam.mean/model.norm.weight": torch.ones(2)}, state)
    with pytest.raises(DamagedError, match="its state is not what was written"):
        trained(inputs, tmp_path, "second", start=start)
    begun = replace(start_of(first / "export"), weights=file_handle(state), optimizer_steps=6)
    assert (
        "1 tensors of its optimizer's state are not those of adamw here; first: adam.mean/model.norm.weight is (2,)"
        in (mistakes(begun, inputs["tokenize"]))
    )
