"""The stage: what is published, what stops it, and that nothing depends on workers or places."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.core.account import Count
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.core.params import validate
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.published.documents import DOCUMENT, REFUSED
from tasks.ingest.raw import write_listing
from tasks.ingest.stage import run
from tasks.runtime.command import command_of
from tasks.runtime.context import Workshop
from tasks.stages import stage_named
from tests.ingest.workshop import CONTAINERS, documents, ingest, json_lines, rows, workshop, write_records

INGEST = command_of(stage_named("ingest"))


def corpus(folder: Path) -> Path:
    """Write one file of each format, with 40 documents each, and three text files."""
    for number, container in enumerate(CONTAINERS):
        write_records(folder / f"source{number}.{container}", documents(40, f"s{number}-"))
    for name in ("a.md", "b/c.py", "b/d.txt"):
        (folder / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "texts" / name).write_text(f"the text of {name}")
    return folder


def test_every_format_becomes_documents_of_one_schema_with_an_account(tmp_path: Path) -> None:
    manifest = ingest([corpus(tmp_path / "in")], tmp_path)
    assert manifest.account is not None
    assert manifest.account.taken.documents == manifest.account.kept.documents == 163
    assert {source: counts["documents"] for source, counts in manifest.summary["sources"].items()} == {
        "source0": 40,
        "source1": 40,
        "source2": 40,
        "source3": 40,
        "texts": 3,
    }
    assert [record.path for record in manifest.files] == [
        *(f"documents/{number:05}.parquet" for number in range(5)),
        "sources.json",
    ]
    for path in sorted((tmp_path / "ingest" / "documents").iterdir()):
        assert pq.read_schema(path).equals(DOCUMENT)
    texts = rows(tmp_path / "ingest")[-3:]
    assert [(row["id"], row["text"]) for row in texts] == [
        ("texts/a.md", "the text of a.md"),
        ("texts/b/c.py", "the text of b/c.py"),
        ("texts/b/d.txt", "the text of b/d.txt"),
    ]


def test_a_few_bad_records_are_quarantined_with_their_place_and_the_account_closes(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.jsonl"
    path.parent.mkdir()
    good, bad = json_lines(documents(60)), [b'{"id": 1}\n', b'{"text": "\xff"}\n', b"oops\n"]
    path.write_bytes(bad[0] + good + bad[1] + bad[2])
    manifest = ingest([path.parent], tmp_path)
    assert manifest.account is not None
    assert manifest.account.taken == Count(63, len(path.read_bytes()) - 63)
    assert dict(manifest.account.quarantined) == {
        "no_text": Count(1, len(bad[0]) - 1),
        "invalid_utf8": Count(1, len(bad[1]) - 1),
        "invalid_json": Count(1, len(bad[2]) - 1),
    }
    assert pq.read_schema(tmp_path / "ingest" / "quarantined" / "00000.parquet").equals(REFUSED)
    second = len(bad[0]) + len(good)
    assert [(row["file"], row["offset"], row["reason"]) for row in rows(tmp_path / "ingest", "quarantined")] == [
        ("a.jsonl", 0, "no_text"),
        ("a.jsonl", second, "invalid_utf8"),
        ("a.jsonl", second + len(bad[1]), "invalid_json"),
    ]


def test_too_many_bad_records_stop_the_run_with_counts_and_places(tmp_path: Path) -> None:
    path = write_records(tmp_path / "in" / "a.jsonl", [*documents(90), *({"id": f"x{n}"} for n in range(10))])
    with pytest.raises(
        DataError, match=r"10 of 100 records \(10\.0%\).*\n  no_text: 10; first: a\.jsonl at [\d,]+: no field"
    ):
        ingest([path.parent], tmp_path)
    assert not (tmp_path / "ingest").exists()
    assert ingest([path.parent], tmp_path, IngestParams(max_quarantined_fraction=0.1)).account


def test_an_input_of_which_nothing_is_left_stops_the_run_under_any_budget(tmp_path: Path) -> None:
    path = write_records(tmp_path / "in" / "a.jsonl", [{"id": "1"}])
    with pytest.raises(DataError, match="1 of 1 records"):
        ingest([path.parent], tmp_path, IngestParams(max_quarantined_fraction=1))


def test_a_truncated_file_stops_the_run_and_publishes_nothing(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "in")
    path = folder / "source1.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"source1\.jsonl\.gz: the gzip stream ends before its end marker"):
        ingest([folder], tmp_path)
    assert not (tmp_path / "ingest").exists()


def test_an_id_that_names_two_documents_stops_the_run(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / "a.jsonl", documents(5))
    write_records(tmp_path / "in" / "b.parquet", documents(3)[2:])
    with pytest.raises(
        DataError, match=r"1 ids name more than one document; first: 'd2' in a \(a\.jsonl\), b \(b\.parquet\)"
    ):
        ingest([tmp_path / "in"], tmp_path)
    assert ingest([tmp_path / "in"], tmp_path, IngestParams(id_field=None)).account


def test_ids_that_share_a_hash_but_differ_are_unique(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ingest.ids._hash", lambda name: 7)
    write_records(tmp_path / "in" / "a.jsonl", documents(5))
    assert ingest([tmp_path / "in"], tmp_path).account


def test_repeated_ids_are_found_in_every_pass_over_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ingest.ids._MAX_HELD", 30)
    write_records(tmp_path / "in" / "a.jsonl", documents(80))
    assert ingest([tmp_path / "in"], tmp_path).account
    for number in range(4):
        write_records(tmp_path / "in" / "b.jsonl", documents(20 * number + 1)[20 * number :])
        with pytest.raises(DataError, match=rf"1 ids name more than one document; first: 'd{20 * number}' in a"):
            ingest([tmp_path / "in"], tmp_path)
    monkeypatch.setattr("tasks.ingest.ids._MAX_NAMED", 5)
    write_records(tmp_path / "in" / "b.jsonl", documents(60))
    with pytest.raises(DataError, match=r"about \d+ ids name more than one document"):
        ingest([tmp_path / "in"], tmp_path)


def test_a_second_run_does_nothing_and_a_changed_file_redoes_only_that_file(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "in")
    inputs, output, shop = {"raw": tmp_path / "raw"}, tmp_path / "ingest", workshop(tmp_path)
    calls = []
    for change in (False, False, True):
        if change:
            write_records(folder / "source0.jsonl", documents(9, "new"))
        write_listing(list_inputs([str(folder)]), tmp_path / "raw")
        manifest = run(IngestParams(), inputs=inputs, output=output, workshop=shop)
        calls.append(len(shop.executor.done))  # type: ignore[attr-defined]
    assert calls == [5, 5, 6]
    assert manifest.summary["sources"]["source0"]["documents"] == 9


def test_the_same_content_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    here = ingest([corpus(tmp_path / "in")], tmp_path / "one")
    shutil.copytree(tmp_path / "in", tmp_path / "moved" / "in")
    there = ingest([tmp_path / "moved" / "in"], tmp_path / "two")
    assert (here.key, here.output) == (there.key, there.output)


def test_one_and_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    write_listing(list_inputs([str(corpus(tmp_path / "in"))]), tmp_path / "raw")
    outputs = set()
    for workers in (1, 2):
        shop = Workshop(LocalExecutor(workers), FolderStore(tmp_path / f"store{workers}"))
        output = tmp_path / f"out{workers}"
        outputs.add(run(IngestParams(), inputs={"raw": tmp_path / "raw"}, output=output, workshop=shop).output)
        Manifest.read(output).verify(output)
    assert len(outputs) == 1


def test_text_files_share_shards_of_the_size_asked_for(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.txt").write_text("ten chars!")
    ingest([tmp_path / "in"], tmp_path, IngestParams(target_shard_bytes=35))
    shards = sorted((tmp_path / "ingest" / "documents").iterdir())
    assert [pq.read_metadata(shard).num_rows for shard in shards] == [3, 3, 3, 1]
    assert [row["id"] for row in rows(tmp_path / "ingest")] == [f"{number}.txt" for number in range(10)]


def test_text_files_of_two_sources_share_no_shard(tmp_path: Path) -> None:
    for source in ("x", "y"):
        (tmp_path / "in" / source).mkdir(parents=True)
        (tmp_path / "in" / source / "a.txt").write_text("ten chars!")
    ingest([tmp_path / "in"], tmp_path)
    shards = sorted((tmp_path / "ingest" / "documents").iterdir())
    assert [pq.read_table(shard)["source"].to_pylist() for shard in shards] == [["x"], ["y"]]


def test_an_unknown_key_a_wrong_type_and_a_field_with_two_roles_are_refused() -> None:
    for values, words in (
        ({"text_feild": "x"}, "text_feild"),
        ({"max_document_bytes": "many"}, "max_document_bytes"),
        ({"max_quarantined_fraction": 5}, "max_quarantined_fraction"),
        ({"text_field": "id"}, "two roles"),
    ):
        with pytest.raises(ConfigError, match=words):
            validate(IngestParams, values, "params.yaml")


def test_the_command_takes_uris_or_a_folder_with_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    folder = corpus(tmp_path / "in")
    write_listing(list_inputs([str(folder)]), tmp_path / "raw")
    digests = set()
    for number, given in enumerate([[str(folder)], [str(tmp_path / "raw")]]):
        arguments = [part for value in given for part in ("--input", value)]
        output = ["--output", str(tmp_path / f"out{number}"), "--workers", "1", "--json"]
        result = CliRunner().invoke(
            command_of(stage_named("ingest")), [*arguments, *output, "--set", "ingest.max_quarantined_fraction=0"]
        )
        assert result.exit_code == 0, result.output
        digests.add(json.loads(result.stdout.splitlines()[-1])["digest"])
    assert len(digests) == 1
    missing = CliRunner().invoke(
        command_of(stage_named("ingest")), ["--input", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    )
    assert missing.exit_code == 2
    assert "there is no such file or folder" in missing.stderr
