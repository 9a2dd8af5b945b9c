"""What is listed and what is not: links, special files, odd names, markers, and addresses with credentials."""

import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.config import PipelineConfig
from tasks.core.credentials import credential_in, redacted
from tasks.core.errors import ConfigError, DataError
from tasks.core.params import validate
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.places import opened
from tasks.ingest.raw import read_listing, write_listing
from tasks.runtime.command import command_of
from tasks.stages import stage_named
from tests.ingest.servers import served
from tests.ingest.workshop import documents, ingest, rows, write_records

INGEST = command_of(stage_named("ingest"))


def put(folder: Path, *names: str) -> Path:
    for name in names:
        write_records(folder / name, documents(2, f"{name}-")) if ".jsonl" in name else _text(folder / name)
    return folder


def _text(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a text")


def listed(*inputs: Path | str, roots: tuple[str, ...] = ()) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names that are listed, and those passed over, by reason."""
    found = list_inputs([str(place) for place in inputs], IngestParams(link_roots=roots))
    return sorted(file.name for file in found.files), {why: list(one.first) for why, one in found.passed_over.items()}


OUTSIDE, NOWHERE, TWICE = "link that leads outside", "link that leads nowhere", "link to what is listed already"


def test_links_are_followed_inside_the_folder_and_nowhere_else(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "a.jsonl", ".blobs/one.jsonl", "sub/b.jsonl")
    put(tmp_path, "secret.jsonl", "other/c.jsonl")
    for name, target in {
        "twice.jsonl": "a.jsonl",
        "hidden.jsonl": ".blobs/one.jsonl",
        "again": "sub",
        "up": "..",
        "self": "self",
        "round": ".",
        "gone.jsonl": "nothing.jsonl",
        "secret.jsonl": "../secret.jsonl",
        "other": "../other",
    }.items():
        (folder / name).symlink_to(target)
    expected = {
        "hidden": [".blobs"],
        OUTSIDE: ["other", "secret.jsonl", "up"],
        NOWHERE: ["gone.jsonl", "self"],
        TWICE: ["again", "round", "twice.jsonl"],
    }
    assert listed(folder) == (["a.jsonl", "hidden.jsonl", "sub/b.jsonl"], expected)
    names, passed = listed(folder, roots=(str(tmp_path / "other"),))
    assert names == ["a.jsonl", "hidden.jsonl", "other/c.jsonl", "sub/b.jsonl"]
    assert passed[OUTSIDE] == ["secret.jsonl", "up"]


def test_a_link_that_is_named_itself_is_followed_and_one_that_a_glob_finds_only_inside(tmp_path: Path) -> None:
    put(tmp_path, "real/a.jsonl", "one.jsonl", "in/b.jsonl")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "file.jsonl").symlink_to("one.jsonl")
    assert listed(tmp_path / "folder")[0] == ["a.jsonl"]
    assert listed(tmp_path / "file.jsonl")[0] == ["file.jsonl"]
    (tmp_path / "in" / "out").symlink_to("../real")
    assert listed(f"{tmp_path}/in/*") == (["b.jsonl"], {OUTSIDE: ["out"]})


def test_a_folder_of_nothing_but_links_outside_says_what_to_do(tmp_path: Path) -> None:
    put(tmp_path, "real/a.jsonl")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").symlink_to("../real/a.jsonl")
    with pytest.raises(DataError, match=r"1 passed over \(link that leads outside\).*ingest\.link_roots"):
        listed(tmp_path / "in")


def special(path: Path, kind: str) -> Iterator[None]:
    if kind == "pipe":
        os.mkfifo(path)
        yield
        return
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("given", ["folder", "itself", "link"])
def test_pipes_and_sockets_are_refused_by_name_and_never_waited_for(kind: str, given: str, tmp_path: Path) -> None:
    put(tmp_path / "in", "a.jsonl")
    (tmp_path / "in" / "link").symlink_to("thing")
    for _ in special(tmp_path / "in" / "thing", kind):
        place = {"folder": "in", "itself": "in/thing", "link": "in/link"}[given]
        with pytest.raises(DataError, match=rf"thing: this is a {kind}\.|link: this is a {kind}\..*into a file"):
            listed(tmp_path / place)
    with pytest.raises(DataError, match="/dev/null: this is a device"):
        listed("/dev/null")


def test_a_file_that_became_a_pipe_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="this is no file"), opened(str(tmp_path / "a.jsonl")):
        pass


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"caf\xe9.jsonl", "caf\\xe9.jsonl"),
        (b"two\nlines.jsonl", "two\\x0alines.jsonl"),
        (b"[a]*?.jsonl", "[a]*?.jsonl"),
    ],
)
def test_any_file_name_is_listed_read_and_told_in_characters_that_can_be_printed(
    name: bytes, told: str, tmp_path: Path
) -> None:
    put(tmp_path / "in", "a.jsonl")
    (tmp_path / "in" / "a.jsonl").rename(os.fsdecode(bytes(tmp_path / "in") + b"/" + name))
    found = list_inputs([str(tmp_path / "in")])
    assert [file.name for file in found.files] == [told]
    write_listing(found, tmp_path / "raw")
    assert read_listing(tmp_path / "raw") == found
    assert ingest([tmp_path / "in"], tmp_path).account
    assert rows(tmp_path / "ingest")[0]["source"] == told.removesuffix(".jsonl")
    Path(os.fsdecode(bytes(tmp_path / "in") + b"/" + name)).write_bytes(b"\x89PNG")
    with pytest.raises(DataError) as error:
        ingest([tmp_path / "in"], tmp_path)
    assert told in str(error.value) and str(error.value).encode()


def test_a_text_with_a_name_that_is_no_utf8_has_it_escaped_as_its_id(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(bytes(tmp_path / "in") + b"/caf\xe9.txt")).write_text("a text")
    ingest([tmp_path / "in"], tmp_path)
    assert rows(tmp_path / "ingest")[0]["id"] == "caf\\xe9.txt"


def test_markers_and_checksums_are_passed_over_and_told(tmp_path: Path) -> None:
    noise = [
        "_SUCCESS",
        "_metadata",
        "a.jsonl.crc",
        "a.jsonl.md5",
        "SHA256SUMS",
        "_temporary/0.jsonl",
        "sub/_committed_17",
    ]
    put(tmp_path / "in", "a.jsonl", "notes.txt", *noise)
    names, passed = listed(tmp_path / "in")
    assert names == ["a.jsonl", "notes.txt"]
    assert passed == {"marker or checksum": sorted(noise)}
    # What is named itself is meant.
    assert listed(tmp_path / "in" / "SHA256SUMS")[0] == ["SHA256SUMS"]


def test_a_readme_is_passed_over_beside_a_dataset_and_a_document_beside_texts(tmp_path: Path) -> None:
    put(
        tmp_path / "dataset",
        "README.md",
        "LICENSE",
        "data/train-0.jsonl",
        "data/README.md",
        "docs/more.txt",
        "docs/README.md",
    )
    put(tmp_path / "dataset2", "README.md", "data/train-0.jsonl")
    put(tmp_path / "tree", "README.md", "main.c", "tests/data.jsonl")
    assert listed(tmp_path / "dataset")[1] == {"description beside a dataset": ["data/README.md"]}
    assert listed(tmp_path / "dataset2")[1] == {"description beside a dataset": ["README.md"]}
    assert listed(tmp_path / "tree")[1] == {}


def test_what_was_passed_over_stands_in_the_summary_and_changes_no_document(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.jsonl")
    before = ingest([tmp_path / "in"], tmp_path / "one")
    put(tmp_path / "in", "_SUCCESS", ".hidden", "README.md")
    after = ingest([tmp_path / "in"], tmp_path / "two")
    assert before.files == after.files and before.inputs != after.inputs
    assert after.summary["passed_over"] == {
        "description beside a dataset": {"count": 1, "first": ["README.md"]},
        "hidden": {"count": 1, "first": [".hidden"]},
        "marker or checksum": {"count": 1, "first": ["_SUCCESS"]},
    }


# Credentials

WORD = "hunter2secret"
WITH_CREDENTIALS = [
    f"https://name:{WORD}@host.example/a.jsonl",
    f"https://{WORD}@host.example/a.jsonl",
    f"s3://AKIA:{WORD}@bucket/a.jsonl",
    f"https://host.example/a.jsonl?X-Amz-Signature={WORD}",
    f"https://host.example/a.jsonl?page=1&%73ig={WORD}",
    f"https://host.example/a.jsonl?AWSAccessKeyId={WORD}&Expires=1",
    f"https://host.example/a.jsonl?access_token={WORD}",
    f"https://host.example/a.jsonl#token={WORD}",
    f"https://host.example/a.jsonl?x-goog-credential={WORD}",
    f"https://host.example/a.jsonl?api_key={WORD}",
    f"simplecache::https://name:{WORD}@host.example/a.jsonl",
]
WITHOUT = [
    "https://host/a.jsonl?download=true&page=2",
    "hf://datasets/org/name@main/a.jsonl",
    "s3://bucket/a@b.jsonl",
    "a?token=b.txt",
]


@pytest.mark.parametrize("uri", WITH_CREDENTIALS)
def test_an_address_with_a_credential_is_refused_everywhere_and_never_shown(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="the address holds") as mistake:
        validate(PipelineConfig, {"inputs": [uri]}, "command line")
    with pytest.raises(ValueError, match="the address holds") as invalid:
        PipelineConfig(inputs=(uri,))
    with pytest.raises(ConfigError, match="inputs") as wrong:
        validate(PipelineConfig, {"inputs": uri}, "command line")
    with pytest.raises(DataError, match="the address holds") as unread, opened(uri):
        pass
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(INGEST, ["--input", uri, "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    for text in (str(mistake.value), str(invalid.value), str(wrong.value), str(unread.value), result.output):
        assert WORD not in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and WORD.encode() in path.read_bytes()]


@pytest.mark.parametrize("uri", WITHOUT)
def test_an_address_without_a_credential_is_none(uri: str) -> None:
    assert credential_in(uri) is None and redacted(uri) == uri


class _Redirects(BaseHTTPRequestHandler):
    """Sends everybody to a signed address, which refuses."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        signed = "signed" in self.path
        self.send_response(403 if signed else 302)
        if not signed:
            self.send_header("Location", f"/signed?X-Amz-Signature={WORD}&Expires=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD


def test_a_signed_address_that_a_server_redirects_to_is_not_shown_when_it_fails() -> None:
    with served(_Redirects) as address, pytest.raises(DataError, match=r"a\.jsonl: cannot be read: .*403") as error:
        list_inputs([f"{address}/a.jsonl"])
    told: BaseException | None = error.value
    assert WORD not in str(told)
    assert told.__cause__ is None and told.__suppress_context__, "a traceback would show the client's own words"
