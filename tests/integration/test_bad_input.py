"""Bad input, as a user meets it: one clear error on standard error, the right exit code, nothing half done."""

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from tests.fixtures_pipeline import TINY

BAD_INPUT, FAILED = 2, 1
Told = Callable[..., str]


@pytest.fixture
def told(mixwright: Callable[..., Result]) -> Told:
    """Returns the error message of a command, run in this process, that must fail with `code` and no traceback."""

    def run(*args: str, code: int) -> str:
        done = mixwright(*args)
        assert done.exit_code == code, f"exit code {done.exit_code}\n{done.stdout}\n{done.stderr}"
        assert isinstance(done.exception, SystemExit)
        return " ".join(done.stderr.split())

    return run


def _ingest(source: Path, tmp_path: Path, *args: str) -> tuple[str, ...]:
    return ("ingest", "--input", str(source), "--output", str(tmp_path / "out"), *args)


def test_a_missing_path(told: Told, tmp_path: Path) -> None:
    assert "there is no such file or folder" in told("run", "--input", str(tmp_path / "no"), code=BAD_INPUT)


def test_an_empty_source(told: Told, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = told(*_ingest(tmp_path / "empty", tmp_path), code=BAD_INPUT)
    assert "the source is empty" in said


def test_a_truncated_gzip(told: Told, tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps({"text": f"document {n}"}) + "\n" for n in range(5000)).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    said = told(*_ingest(tmp_path / "cut.jsonl.gz", tmp_path), code=BAD_INPUT)
    assert "DataError" in said and "cut.jsonl.gz" in said
    assert not (tmp_path / "out").exists()


def test_bad_records_are_quarantined_and_counted_until_there_are_too_many(
    mixwright: Callable[..., Result], told: Told, tmp_path: Path
) -> None:
    good = [json.dumps({"id": str(n), "text": f"document {n}"}).encode() for n in range(200)]
    bad = [b'{"id": "no text"}', b'{"text": "\xff\xfe"}', b"not json", b'{"text": "' + b"x" * 20_000_000 + b'"}']
    source = tmp_path / "mixed.jsonl"
    source.write_bytes(b"\n".join(good[:100] + bad + good[100:]) + b"\n")
    done = mixwright(*_ingest(source, tmp_path, "--json"))
    assert done.exit_code == 0, done.stderr
    account = json.loads(done.stdout)["account"]
    assert account["kept"]["documents"] == 200
    assert {name: count["documents"] for name, count in account["quarantined"].items()} == {
        "invalid_json": 1,
        "invalid_utf8": 1,
        "line_too_long": 1,
        "no_text": 1,
    }
    strict = ("--set", "ingest.max_quarantined_fraction=0.001")
    said = told(*_ingest(source, tmp_path, *strict), code=BAD_INPUT)
    assert "4 of 204" in said


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("search.no_such_key=1", "search.no_such_key"),
        ("train.num_seeds=three", "train.num_seeds"),
        ("search.target_tokens=4096", "search.target_tokens"),
    ],
)
def test_an_unknown_key_a_wrong_type_and_params_that_contradict_each_other(
    told: Told, setting: str, place: str
) -> None:
    assert place in told("run", "--set", setting, code=BAD_INPUT)


def test_a_name_that_cannot_be_a_tag(told: Told) -> None:
    said = told("run", "--name", "Not a tag!", code=BAD_INPUT)
    assert "ConfigError: preset demo" in said and "name" in said


def test_a_yaml_file_that_is_none(told: Told, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("search: [1")
    assert "bad.yaml" in told("run", "--params", str(tmp_path / "bad.yaml"), code=BAD_INPUT)


def test_weights_that_cannot_be_met_under_the_caps(told: Told, pipeline_run: dict[str, Any], tmp_path: Path) -> None:
    pool, params = f"{pipeline_run['workspace']}/data/tokenize", tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(TINY))
    given = ("--params", str(params), "--set", "search.max_epochs=0.01", "--output", str(tmp_path / "out"))
    assert "no weights keep to the caps" in told("search", "--input", pool, *given, code=BAD_INPUT)


def test_a_port_in_use(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("MIXWRIGHT_PREFECT__PORT", port)
        said = told("demo", code=FAILED)
    assert port in said and "MIXWRIGHT_PREFECT__PORT" in said


def test_servers_that_are_not_up_and_the_process_ends_as_the_command_does(home: Path, project: Path) -> None:
    command, environment = [sys.executable, "-m", "cli", "run"], os.environ | {"MIXWRIGHT_PREFECT__PORT": "1"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == FAILED
    assert "mixwright up" in done.stderr and "Traceback" not in done.stderr


def test_a_misspelt_setting(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_WORKRES", "2")
    assert "MIXWRIGHT_WORKRES" in told("status", code=BAD_INPUT)


def test_a_document_nobody_knows(told: Told, pipeline_run: dict[str, Any]) -> None:
    assert "nowhere/1" in told("why", "nowhere/1", "--run", pipeline_run["workspace"], code=BAD_INPUT)
