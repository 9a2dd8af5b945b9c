"""Steps whose store is a bucket: machines share nothing else, and what they make is what a folder would hold."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.local_executor import LocalExecutor
from infra.object_store import ObjectStore
from infra.s3 import Bucket
from infra.settings import load_settings
from infra.storage import FolderStore
from infra.stores import store_of
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.runtime.context import Workshop, workshop_of
from tasks.runtime.files import file_handle, folder_tree
from tasks.runtime.stages import published
from tasks.runtime.step import Step
from tests.fixtures_stores import CACHE_BYTES, elsewhere
from tests.in_process import InProcess, Listener
from tests.runtime.test_stages import both
from tests.runtime.test_step import NUMBERED, SHOUT, WORDS, contents

pytestmark = pytest.mark.s3


@pytest.fixture
def here(bucket: Bucket, tmp_path: Path) -> ObjectStore:
    return ObjectStore(bucket, tmp_path / "here", CACHE_BYTES)


@dataclass(frozen=True)
class Given:
    one: Handle
    several: Tree
    more: tuple[tuple[str, Handle], ...]


def read_all(args: Given, here: Here) -> UnitResult:
    """Write what the args hold, and where it was found."""
    texts = [args.one.text(), (args.several.local() / "b").read_text(), *(handle.text() for _, handle in args.more)]
    (here.folder / "out.txt").write_text("".join(texts))
    return UnitResult(summary={"locations": sorted({args.one.location[:5], args.several.location[:5]})})


READ = Step("test.read", "texts", read_all)


def given(folder: Path) -> Given:
    folder.mkdir()
    for name in "ab":
        (folder / name).write_text(name.upper())
    return Given(file_handle(folder / "a"), folder_tree(folder), (("b", file_handle(folder / "b")),))


def test_files_of_the_drivers_machine_reach_workers_by_content_and_under_the_same_key(
    here: ObjectStore, tmp_path: Path
) -> None:
    args = given(tmp_path / "mine")
    record = READ.one(Workshop(InProcess(), here), args)
    assert record.summary["locations"] == ["s3://"]
    with record.file("out.txt").open() as stream:
        assert stream.read() == b"ABB"
    shared = READ.one(Workshop(InProcess(), FolderStore(tmp_path / "folder")), args)
    assert (shared.key, shared.tree.digest) == (record.key, record.tree.digest)
    # What is finished asks for nothing.
    shutil.rmtree(tmp_path / "mine")
    executor = InProcess()
    READ.one(Workshop(executor, here), args)
    assert executor.done == []


def test_worker_processes_give_the_bytes_that_a_folder_holds(here: ObjectStore, tmp_path: Path) -> None:
    executor = LocalExecutor(2)
    records = SHOUT.map(Workshop(executor, here), WORDS[:3])
    executor.close()
    folder = SHOUT.map(Workshop(InProcess(), FolderStore(tmp_path / "folder")), WORDS[:3])
    assert [record.tree.files for record in records] == [record.tree.files for record in folder]


def test_a_driver_that_comes_back_on_another_machine_makes_nothing_again(here: ObjectStore, tmp_path: Path) -> None:
    before = both(here, tmp_path / "one")
    shutil.rmtree(here.home)
    after = both(elsewhere(here, tmp_path / "there"), tmp_path / "two")
    assert before[:2] == after[:2]
    assert after[2].executor.done == []  # type: ignore[attr-defined]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert published(here, str(tmp_path / "two" / "joined")).tree()["all.txt"].text() == "a bba"


_PROGRAM = """
import sys
from pathlib import Path
from infra.object_store import ObjectStore
from infra.s3 import Bucket
from tasks.runtime.context import Workshop
from tests.in_process import InProcess
from tests.runtime.test_step import SHOUT, WORDS
SHOUT.map(Workshop(InProcess(), ObjectStore(Bucket(*sys.argv[1:3]), Path(sys.argv[3]), 10**9)), WORDS)
"""


def test_units_finished_before_a_kill_are_kept_and_another_machine_does_the_rest(
    here: ObjectStore, tmp_path: Path, project: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project), "KILL_AT": "b"}
    command = [sys.executable, "-c", _PROGRAM, here.bucket.name, here.bucket.prefix, str(here.home)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    executor = InProcess()
    records = SHOUT.map(Workshop(executor, elsewhere(here, tmp_path / "there")), WORDS)
    assert len(executor.done) == 2, "a finished unit was made again"
    assert [record.file("out.txt").text() for record in records] == [word.upper() for word in WORDS]


def test_two_drivers_at_once_have_the_same_records(here: ObjectStore, tmp_path: Path) -> None:
    def drive(number: int) -> list[tuple[tuple[str, str, int], ...]]:
        store = replace(here, home=tmp_path / str(number))
        return [record.tree.files for record in SHOUT.map(Workshop(InProcess(), store), WORDS[:4])]

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(drive, range(2))
    assert one == other
    assert len(list(here.bucket.names("work/test.shout/"))) == 4


def test_training_on_several_machines_is_refused_before_any_work(here: ObjectStore) -> None:
    executor = InProcess()
    with pytest.raises(SettingsError, match=r"a store in a bucket has none\. Train on one machine"):
        NUMBERED.map(Workshop(executor, here, other_machines=True), ["a"])
    assert executor.done == []


def test_the_setting_names_the_store_of_a_workshop(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path))
    assert isinstance(store_of(load_settings()), FolderStore)
    monkeypatch.setenv("MIXWRIGHT_STORE", f"{bucket.url}/")
    monkeypatch.setenv("MIXWRIGHT_CACHE_GB", "1")
    workshop = workshop_of(load_settings(executor="local"), InProcess(), Listener())
    assert workshop.store == ObjectStore(Bucket(bucket.name, bucket.prefix), tmp_path / "store", CACHE_BYTES)
    assert not workshop.other_machines
    assert [name for name, _ in bucket.names("")] == ["format.json"]
