"""Bad input, as a user meets it: one clear error on standard error, the right exit code, nothing half done."""

import gzip
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures_pipeline import Checkout

BAD_INPUT, FAILED = 2, 1


def _told(checkout: Checkout, *args: str, code: int, **environment: str) -> str:
    """Return the error message of a command that must fail with `code`, without a traceback."""
    done = checkout.mixwright(*args, check=False, **environment)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def _ingest(checkout: Checkout, source: Path, tmp_path: Path, *args: str) -> tuple[str, ...]:
    return ("ingest", "--input", str(source), "--output", str(tmp_path / "out"), *args)


def test_a_missing_path(checkout: Checkout, tmp_path: Path) -> None:
    assert "there is no such file or folder" in _told(checkout, "run", "--input", str(tmp_path / "no"), code=BAD_INPUT)


def test_an_empty_source(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = _told(checkout, *_ingest(checkout, tmp_path / "empty", tmp_path), code=BAD_INPUT)
    assert "the source is empty" in told


def test_a_truncated_gzip(checkout: Checkout, tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps({"text": f"document {n}"}) + "\n" for n in range(5000)).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    told = _told(checkout, *_ingest(checkout, tmp_path / "cut.jsonl.gz", tmp_path), code=BAD_INPUT)
    assert "DataError" in told and "cut.jsonl.gz" in told
    assert not (tmp_path / "out").exists()


def test_bad_records_are_quarantined_and_counted_until_there_are_too_many(checkout: Checkout, tmp_path: Path) -> None:
    good = [json.dumps({"id": str(n), "text": f"document {n}"}).encode() for n in range(200)]
    bad = [b'{"id": "no text"}', b'{"text": "\xff\xfe"}', b"not json", b'{"text": "' + b"x" * 20_000_000 + b'"}']
    source = tmp_path / "mixed.jsonl"
    source.write_bytes(b"\n".join(good[:100] + bad + good[100:]) + b"\n")
    done = checkout.mixwright(*_ingest(checkout, source, tmp_path, "--json"))
    account = json.loads(done.stdout)["account"]
    assert account["kept"]["documents"] == 200
    assert {name: count["documents"] for name, count in account["quarantined"].items()} == {
        "invalid_json": 1,
        "invalid_utf8": 1,
        "line_too_long": 1,
        "no_text": 1,
    }
    strict = ("--set", "ingest.max_quarantined_fraction=0.001")
    told = _told(checkout, *_ingest(checkout, source, tmp_path, *strict), code=BAD_INPUT)
    assert "4 of 204" in told


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("search.no_such_key=1", "search.no_such_key"),
        ("train.num_seeds=three", "train.num_seeds"),
        ("search.target_tokens=4096", "search.target_tokens"),
    ],
)
def test_an_unknown_key_a_wrong_type_and_params_that_contradict_each_other(
    checkout: Checkout, setting: str, place: str
) -> None:
    assert place in _told(checkout, "run", "--set", setting, code=BAD_INPUT)


@pytest.mark.parametrize("name", ["Not a tag!", ""])
def test_a_name_that_cannot_be_a_tag(checkout: Checkout, name: str) -> None:
    told = _told(checkout, "run", "--name", name, code=BAD_INPUT)
    assert "ConfigError: preset demo" in told and "name" in told


def test_a_yaml_file_that_is_none(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("search: [1")
    assert "bad.yaml" in _told(checkout, "run", "--params", str(tmp_path / "bad.yaml"), code=BAD_INPUT)


def test_weights_that_cannot_be_met_under_the_caps(
    checkout: Checkout, pipeline_run: dict[str, str], tmp_path: Path
) -> None:
    pool = f"{pipeline_run['workspace']}/data/tokenize"
    params = ("--params", str(checkout.params), "--set", "search.max_epochs=0.01")
    told = _told(checkout, "search", "--input", pool, "--output", str(tmp_path / "out"), *params, code=BAD_INPUT)
    assert "no weights keep to the caps" in told


def test_a_port_in_use(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        alone = replace(checkout, home=checkout.home / "port", team=False)
        told = _told(alone, "demo", code=FAILED, MIXWRIGHT_PREFECT__PORT=port)
    assert port in told and "MIXWRIGHT_PREFECT__PORT" in told


def test_servers_that_are_not_up(checkout: Checkout) -> None:
    alone = replace(checkout, home=checkout.home / "none", team=False)
    told = _told(alone, "run", code=FAILED, MIXWRIGHT_PREFECT__PORT="1")
    assert "mixwright up" in told


def test_a_misspelt_setting(checkout: Checkout) -> None:
    assert "MIXWRIGHT_WORKRES" in _told(checkout, "status", code=BAD_INPUT, MIXWRIGHT_WORKRES="2")


def test_a_document_nobody_knows(checkout: Checkout, pipeline_run: dict[str, str]) -> None:
    assert "nowhere/1" in _told(checkout, "why", "nowhere/1", "--run", pipeline_run["workspace"], code=BAD_INPUT)
