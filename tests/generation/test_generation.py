"""Documents that models write: the same bytes whatever is killed, each told where it is from, and a domain of a student."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cli.generate
from cli.main import main
from infra.storage import FolderStore
from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.core.manifest import Manifest
from tasks.generation.beginnings import beginnings
from tasks.generation.config import GenerateParams
from tasks.generation.published import Generated
from tasks.generation.stage import run
from tasks.generation.unit import _with_text
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.runtime.context import Workshop
from tasks.runtime.stages import run_stage
from tasks.stages import STAGES
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.tokenize.tokenizer import DOCUMENT_END, train_at_most
from tasks.training.export import write_model
from tasks.training.model import initial_model
from tests.arms.test_stage import compare
from tests.arms.test_stage import params as arms_params
from tests.cli.in_this_process import works_in_this_process
from tests.evaluation.test_stage import Stopped
from tests.in_process import InProcess
from tests.mixture.test_stage import PROXY
from tests.training.documents import memory_pool

TEXT = "the cat sat on the mat and the dog lay by the door "
LENGTH = 16
ASKED = GenerateParams(num_documents=10, documents_per_file=4, max_tokens=12)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its pool, and two models that were never trained."""
    root = tmp_path_factory.mktemp("given")
    lines = [json.dumps({"id": f"r{n}", "source": "real", "text": f"{n} {TEXT[n % 7 :]}{n}"}) for n in range(30)]
    (root / "real.jsonl").write_text("\n".join(lines) + "\n")
    staged(root, [root / "real.jsonl"], root / "run")
    pool = read_pool(root / "run" / "tokenize")
    config = PROXY.model.model_copy(update={"sequence_length": LENGTH, "initializer_range": 0.5})
    for seed in range(2):
        (root / f"m{seed}").mkdir()
        write_model(initial_model(config, pool.vocab_size, seed), pool.document_end, root / f"m{seed}")
    return root


def staged(root: Path, files: Sequence[Path], folder: Path, tokenizer: Path | None = None) -> Path:
    """Run the stages up to tokenize on files; return the folder of the pool."""
    taken = {"kind": "file", "path": str(tokenizer), "document_end": DOCUMENT_END}
    own: dict[str, dict[str, Any]] = {
        "ingest": {},
        "curate": {"profiles": {"all": {"rules": {}}}, "profile": "all", "duplicates": {"near": None}},
        "cluster": {"domains": {"kind": "source", "min_documents": 3}, "split": {"test_fraction": 0.2}},
        "tokenize": {"tokenizer": {"kind": "bpe", "vocab_size": 280} if tokenizer is None else taken},
    }
    write_listing(list_inputs([str(file) for file in files], IngestParams()), folder / "raw")
    workshop = Workshop(InProcess(), FolderStore(root / "store"))
    for stage in STAGES[:4]:
        inputs = {name: folder / name for name in stage.inputs}
        params = stage.load_params().model_validate(own[stage.name])
        run_stage(stage, params, inputs=inputs, output=folder / stage.name, workshop=workshop)
    return folder / "tokenize"


def write(
    given: Path, root: Path, asked: GenerateParams = ASKED, models: Sequence[str] = ("m0", "m1"), executor: Any = None
) -> tuple[Manifest, list[dict[str, Any]]]:
    workshop = Workshop(executor or InProcess(), FolderStore(root / "store"))
    inputs, folders = {"tokenize": given / "run" / "tokenize"}, [given / name for name in models]
    made = run(asked, inputs=inputs, models=folders, output=root / "out", workshop=workshop)
    return made, documents(root / "out")


def documents(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "documents").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_account_closes_and_each_document_says_who_wrote_it(given: Path, tmp_path: Path) -> None:
    made, found = write(given, tmp_path)
    told = Generated.read(tmp_path / "out")
    assert made.account is not None and made.account.closed("here").taken.documents == 10
    assert len(found) == told.documents == 10 - told.empty and len({one["id"] for one in found}) == len(found)
    assert told.tokens == sum(one["num_tokens"] for one in found)
    assert told.bytes == sum(len(one["text"].encode()) for one in found)
    assert told.cut == sum(not one["ended"] for one in found) and all(one["num_tokens"] <= 12 for one in found)
    for one in found:
        assert (one["source"], one["models"], one["seed"], one["temperature"], one["prompt"]) == (
            *("teacher", list(told.models), 0, 1.0, None),
        )
    # The first documents of two files are drawn apart.
    assert len({one["text"] for one in found}) > 8
    assert len(told.models) == 2 and made.inputs.keys() == {"tokenize", "models"}


def test_a_killed_run_goes_on_to_the_same_bytes_and_more_documents_leave_those_before(
    given: Path, tmp_path: Path
) -> None:
    whole, found = write(given, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write(given, tmp_path / "killed", executor=Stopped(1))
    executor = InProcess()
    again, _ = write(given, tmp_path / "killed", executor=executor)
    assert again.files == whole.files and executor.done.count("write_documents") == 2
    executor = InProcess()
    more, longer = write(given, tmp_path / "killed", ASKED.model_copy(update={"num_documents": 14}), executor=executor)
    # The file that was not full is another now.
    assert executor.done.count("write_documents") == 2 and longer[: len(found) - 2] == found[: len(found) - 2]
    assert more.key != whole.key


def test_seed_temperature_members_and_beginnings_are_what_a_document_is_of(given: Path, tmp_path: Path) -> None:
    few = {"num_documents": 3}
    changes: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "both": ({}, ("m0", "m1")), "one": ({}, ("m0",)), "seed": ({"seed": 1}, ("m0", "m1")),
        "cold": ({"temperature": 0.0, "prompt_tokens": 3}, ("m0", "m1")), "begun": ({"prompt_tokens": 3}, ("m0", "m1")),
    }  # fmt: skip
    texts = {}
    for name, (own, models) in changes.items():
        _, found = write(given, tmp_path / name, ASKED.model_copy(update=few | own), models)
        texts[name] = [one["text"] for one in found]
    assert len({tuple(each) for each in texts.values()}) == len(changes)
    begun = documents(tmp_path / "begun" / "out")
    pool = read_pool(given / "run" / "tokenize", "train").domains[0].splits["train"]
    starts = [int(pool.starts[int(one["prompt"].removeprefix("real:"))]) for one in begun]
    heads = [decoded(given, pool.tokens[start : start + 3].tolist()) for start in starts]
    assert all(one["text"].startswith(head) for one, head in zip(begun, heads, strict=True)) and len({*starts}) == 3


def decoded(given: Path, tokens: list[int]) -> str:
    from tokenizers import Tokenizer

    return str(Tokenizer.from_file(str(given / "run" / "tokenize" / TOKENIZER_FILE)).decode(tokens))


def test_what_cannot_write_is_refused_before_the_first_document(given: Path, tmp_path: Path) -> None:
    executor = InProcess()
    with pytest.raises(ConfigError, match="two of the 2 models have the same weights"):
        write(given, tmp_path, models=("m0", "m0"), executor=executor)
    with pytest.raises(DataError, match=r"no config.json and model.safetensors here"):
        write(given, tmp_path, models=("m9",), executor=executor)
    with pytest.raises(ConfigError, match="prompt_tokens 999: none of the pool's training documents has more"):
        write(given, tmp_path, ASKED.model_copy(update={"prompt_tokens": 999, "max_tokens": 1000}), executor=executor)
    with pytest.raises(ValueError, match="prompt_tokens 12 leave nothing to write of max_tokens 12"):
        GenerateParams(prompt_tokens=12, max_tokens=12)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    write_model(initial_model(PROXY.model, 99, 0), 0, foreign)
    with pytest.raises(ConfigError, match="its vocabulary has 99 tokens"):
        write(given, tmp_path, models=(str(foreign),), executor=executor)
    (given / "m0" / TOKENIZER_FILE).write_text(train_at_most(["other"], 270))
    with pytest.raises(ConfigError, match=r"its tokenizer.json is not that of"):
        write(given, tmp_path, models=("m0",), executor=executor)
    (given / "m0" / TOKENIZER_FILE).unlink()
    assert executor.done == []


def test_a_document_that_was_cut_within_a_character_ends_before_it() -> None:
    assert _with_text({"ended": False}, "caf\ufffd")["text"] == "caf"
    assert _with_text({"ended": True}, "caf\ufffd")["text"] == "caf\ufffd"


def test_beginnings_are_all_long_training_documents_in_turn_then_again() -> None:
    pool = memory_pool({"a": [4, 9, 9], "b": [9]})
    found = beginnings(pool, 5, 0, 0, 6)
    assert sorted(one.prompt or "" for one in found[:3]) == ["a:1", "a:2", "b:0"]
    assert [one.prompt for one in found[3:]] == [one.prompt for one in found[:3]]
    # Wherever a file begins, number n begins in one way.
    assert [one.prompt for one in beginnings(pool, 5, 0, 2, 2)] == [one.prompt for one in found[2:4]]
    assert all(one.tokens.tolist() == [int((one.prompt or "")[-1]) + 1] * 5 for one in found)


def test_models_that_end_every_document_at_once_have_written_nothing(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.generation.unit.continuations", lambda _, prompts, **__: [()] * len(prompts))
    with pytest.raises(EvidenceError, match="none of 10 documents has any text"):
        write(given, tmp_path)


def test_a_student_has_the_share_of_what_its_teachers_wrote(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works_in_this_process(cli.generate, tmp_path, monkeypatch)
    tokens, output = given / "run" / "tokenize", tmp_path / "written"
    words = ["generate", "--model", given / "m0", "--tokens", tokens, "--output", output, "--documents", 40]
    result = CliRunner().invoke(main, list(map(str, words)))
    told = Generated.read(output)
    assert result.exit_code == 0 and f"{told.documents} documents, {told.tokens} tokens" in result.output
    pool = staged(tmp_path, [given / "real.jsonl", output / "documents"], tmp_path / "run", tokens / TOKENIZER_FILE)
    ingested = Manifest.read(tmp_path / "run" / "ingest").account
    # A model that was never trained writes null bytes, too, which ingest sets aside.
    assert ingested is not None and ingested.closed("ingest").taken.documents == 30 + told.documents
    assert read_pool(pool).names == ("real", "teacher")
    arms = [
        {"name": "real"},
        {"name": "taught", "tokens": str(pool), "weights": {"real": 0.25, "teacher": 0.75}},
    ]
    asked = arms_params(arms=arms, baseline="real", num_seeds=2, max_epochs=99.0)
    compare(tmp_path, asked, tokens, InProcess())
    page = (tmp_path / "arms" / "page.html").read_text(encoding="utf-8")
    assert "75.0" in page.partition("Share of each domain in the tokens of an arm")[2].partition("</table>")[0]
