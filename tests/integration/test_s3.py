"""Storage on a real S3 server: signatures are checked, bytes come back, and what is damaged is refused."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from infra.errors import VersionError
from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from infra.versions import add_raw, add_remote, commit_run, dvc_hashes, prepare_workspace, write_params
from infra.versions.dvc import dvc
from infra.versions.git import git
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.ingest.stage import run as ingest
from tasks.runtime.context import Workshop
from tests.fixtures_s3 import S3
from tests.infra import dvc_in_forks

WORDS = "one document of several words, and a little more"
DVC_YAML = """
stages:
  copy:
    cmd: mkdir -p data/copy && cp data/raw/text data/copy/text
    deps: [data/raw]
    outs: [data/copy]
"""


@pytest.fixture
def files(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """The server's files; its address and credentials are where every S3 client looks for them."""
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem(**s3.options())
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_wrong_secret_is_refused(s3: S3, files: s3fs.S3FileSystem) -> None:
    with pytest.raises(PermissionError):
        s3fs.S3FileSystem(**s3.options(secret="guessed")).ls(s3.bucket)
    assert files.exists(s3.bucket)


def test_bytes_come_back_as_they_were(s3: S3, files: s3fs.S3FileSystem) -> None:
    # More than one part, so that the multipart upload is used as well.
    content = bytes(range(256)) * 40_000
    with files.open(f"{s3.bucket}/round/trip.bin", "wb", block_size=5 * 2**20) as target:
        target.write(content)
    assert files.cat_file(f"{s3.bucket}/round/trip.bin") == content
    assert files.cat_file(f"{s3.bucket}/round/trip.bin", start=1000, end=1010) == content[1000:1010]
    assert files.ls(f"{s3.bucket}/round", detail=False) == [f"{s3.bucket}/round/trip.bin"]


def test_ingest_reads_the_same_documents_from_s3_as_from_a_folder(
    s3: S3, files: s3fs.S3FileSystem, tmp_path: Path
) -> None:
    local = tmp_path / "corpus"
    for source in ("books", "code"):
        (local / source).mkdir(parents=True)
        lines = [json.dumps({"id": f"{source}-{n}", "text": f"{WORDS} {n}"}) for n in range(50)]
        (local / source / "part-00.jsonl").write_text("\n".join(lines))
        (local / source / "part-01.jsonl.gz").write_bytes(gzip.compress(lines[0].replace("-0", "-x").encode(), mtime=0))
    files.put(str(local), f"{s3.bucket}/", recursive=True)
    here = _ingest(str(local), tmp_path / "here")
    there = _ingest(f"s3://{s3.bucket}/corpus", tmp_path / "there")
    assert there.account == here.account
    assert there.account is not None
    assert there.account.kept.documents == 102
    assert there.output == here.output
    listing = (tmp_path / "there" / "raw" / "raw.json").read_text()
    assert s3.secret not in listing
    assert f"s3://{s3.bucket}/corpus/books/part-00.jsonl" in listing


def test_a_key_or_bucket_that_is_not_there_is_named(s3: S3, files: s3fs.S3FileSystem) -> None:
    for uri in (f"s3://{s3.bucket}/nothing/here.jsonl", "s3://no-such-bucket-of-ours/x.jsonl"):
        with pytest.raises(DataError, match=uri):
            list_inputs([uri])


def test_a_wrong_secret_ends_ingest_with_one_clear_error(
    s3: S3, files: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match="credentials") as refused:
        list_inputs([f"s3://{s3.bucket}/corpus"])
    assert "guessed" not in str(refused.value)


@pytest.mark.dvc
def test_versions_travel_over_s3_and_damaged_ones_are_refused(
    s3: S3, files: s3fs.S3FileSystem, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.versions.dvc.subprocess", dvc_in_forks)
    root, store = _repository(tmp_path / "clone", project), f"s3://{s3.bucket}/dvc"
    add_remote(root, "store", store, default=True, endpoint_url=s3.endpoint)
    workspace = prepare_workspace(root, root / ".mixwright", name="demo", key="0" * 16)
    write_params(workspace, "{}\n")
    for name in ("raw", "copy"):
        (workspace.path / "data" / name).mkdir(parents=True)
        (workspace.path / "data" / name / "text").write_text(WORDS)
    add_raw(workspace)
    version = commit_run(workspace, "demo", "Demo run")
    for path in (root / ".dvc" / "config.local", workspace.path / ".dvc" / "config.local"):
        assert s3.secret not in path.read_text()

    first = _clone(root, tmp_path / "first", version.tag)
    add_remote(first, "store", store, default=True, endpoint_url=s3.endpoint)
    dvc(first, "pull")
    assert (first / "data" / "copy" / "text").read_text() == WORDS
    assert dvc_hashes(first) == dvc_hashes(workspace.path)

    for path in files.find(f"{s3.bucket}/dvc"):
        if files.cat_file(path) == WORDS.encode():
            files.pipe_file(path, WORDS.upper().encode())
    second = _clone(root, tmp_path / "second", version.tag)
    add_remote(second, "store", store, default=True, endpoint_url=s3.endpoint)
    with pytest.raises(VersionError, match="dvc pull"):
        dvc(second, "pull")
    assert not (second / "data" / "copy" / "text").exists()


def _ingest(uri: str, folder: Path) -> Manifest:
    write_listing(list_inputs([uri]), folder / "raw")
    workshop = Workshop(LocalExecutor(1), FolderStore(folder / "store"))
    return ingest(IngestParams(), inputs={"raw": folder / "raw"}, output=folder / "ingest", workshop=workshop)


def _repository(root: Path, project: Path) -> Path:
    (root / ".dvc").mkdir(parents=True)
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copyfile(project / name, root / name)
    (root / "dvc.yaml").write_text(DVC_YAML)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Start")
    return root


def _clone(root: Path, target: Path, tag: str) -> Path:
    git(root, "clone", "--quiet", str(root), str(target))
    git(target, "checkout", "--quiet", tag)
    return target
