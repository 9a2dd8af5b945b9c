"""Lineage walks from a model to the sources it saw, and from a document to the steps that saw it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.folder import RunFolder
from cli.lineage import tell
from tasks.cluster import stage as cluster
from tasks.core.errors import AccountError
from tasks.core.manifest import Manifest
from tasks.curate.why import Story
from tasks.stages import RAW
from tasks.tokenize import stage as tokenize
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published_documents import DOCUMENTS_FILE, read_documents
from tasks.training import stage as train
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRuns
from tasks.training.published_run import LEDGER_FILE, LedgerRow, read_ledger
from tests.cluster.curated import three_kinds, write_curated
from tests.cluster.workshop import serial_workshop
from tests.tokenize.test_stage import CLUSTER
from tests.tokenize.test_stage import PARAMS as TOKENIZE
from tests.training.test_stage import hand_written, params

ROWS = three_kinds(40)
PROFILE: tuple[Any, ...] = ("web", None, None, None, 1.0, 1.0, {}, {}, (), None, (), {})
TOKENS = 12 * 4 * 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run from curated documents to one trained model."""
    path = tmp_path_factory.mktemp("run")
    data = path / "data"
    (data / "ingest").mkdir(parents=True)
    Manifest("ingest", {RAW: "f" * 64}, {}, "0" * 64, ()).write(data / "ingest")
    given = {"curate": write_curated(data / "curate", [ROWS])}
    workshop, _ = serial_workshop(path)
    cluster.run(CLUSTER, inputs=given, output=data / "cluster", workshop=workshop)
    given |= {"cluster": data / "cluster"}
    tokenize.run(TOKENIZE, inputs=given, output=data / "tokenize", workshop=workshop)
    names = read_pool(data / "tokenize").names
    recipe = hand_written(path / "mine.json", {"tokens": TOKENS, "weights": [0.6, 0.4]}, *names[:2])
    given = {"tokenize": data / "tokenize", "recipe": recipe}
    items = path / "items.jsonl"
    items.write_text("".join(f'{{"id": "{number}", "text": "of {number}"}}\n' for number in range(8)))
    planted = TrainParams.model_validate({**dict(params(1)), "planted": [{"name": "numbers", "file": str(items)}]})
    train.run(planted, inputs=given, output=data / "train", workshop=workshop)
    return RunFolder(path)


def ledger_of(folder: RunFolder) -> tuple[LedgerRow, ...]:
    return read_ledger(folder.stage("train") / "models/by-hand-seed0")


def test_a_model_is_traced_to_the_sources_of_its_tokens(folder: RunFolder) -> None:
    told = "\n".join(tell(folder, "by-hand-seed0"))
    sources = dict(re.findall(r"^ +(prose|code|legal) +([\d,]+) +\d+$", told, re.MULTILINE))
    assert sum(int(tokens.replace(",", "")) for tokens in sources.values()) == TOKENS
    assert len(sources) == 2
    assert re.search(r"planted, over tokens of these domains:\n.*\n +numbers +\d of 8 +\d+ +\d+\n", told)
    assert f"ledger: {len(ledger_of(folder))} rows rebuilt from the recipe, equal to what was logged" in told
    assert "raw input ffffffffffffffff" in told


def test_a_run_that_went_on_with_fewer_workers_says_from_which_step(folder: RunFolder, tmp_path: Path) -> None:
    copy = shutil.copytree(folder.path, tmp_path / "run")
    (run,) = TrainedRuns.read(copy / "data/train").runs
    TrainedRuns(runs=(run.model_copy(update={"workers": ((0, 2), (7, 1))}),)).write(copy / "data/train")
    assert tell(RunFolder(copy), "by-hand-seed0")[0].endswith(", by 2 workers, from step 7 on by 1")
    assert "worker" not in tell(folder, "by-hand-seed0")[0]


def test_a_document_is_traced_to_the_steps_that_saw_it(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    # What curation found out about a document is told by its own tests.
    monkeypatch.setattr("cli.lineage.why", lambda _, key: Story(key, "code", "0", *PROFILE))
    ledger = ledger_of(folder)
    table = read_documents(folder.stage("tokenize") / DOCUMENTS_FILE).to_pylist()
    ids = [row["id"] for row in table if (row["domain"], row["split"]) == (ledger[0].domain, "train")]
    told = "\n".join(tell(folder, ids[ledger[0].first_document]))
    found = re.search(r"seen by by-hand-seed0: ([\d.]+) times, first in step (\d+), last in step (\d+)", told)
    assert found is not None
    assert float(found[1]) > 0
    assert ledger[0].first_step <= int(found[2]) <= ledger[0].last_step


def test_a_ledger_that_is_not_the_recipes_is_told(folder: RunFolder, tmp_path: Path) -> None:
    copy = shutil.copytree(folder.path, tmp_path / "run")
    path = copy / "data/train/models/by-hand-seed0" / LEDGER_FILE
    path.write_text(path.read_text().replace(ledger_of(folder)[1].digest, "0" * 16))
    with pytest.raises(AccountError, match=r"1 of .* rows of the ledger are not those of the recipe; first: line 3"):
        tell(RunFolder(copy), "by-hand-seed0")
