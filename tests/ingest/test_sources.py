"""Files of web servers and of the Hugging Face Hub are listed with their digests and read like all others."""

from collections.abc import Iterator
from pathlib import Path

import fsspec.config
import pytest

from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import RawListing
from tasks.ingest.read import SourceFile, read_records
from tests.ingest.servers import CutShort, files, hub, served
from tests.ingest.workshop import documents, write_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten documents in three files."""
    write_records(tmp_path / "data" / "train-00000.parquet", documents(3))
    write_records(tmp_path / "data" / "b.jsonl.gz", documents(4, "e"))
    write_records(tmp_path / "data" / "c d.jsonl.gz", documents(3, "f"))
    return tmp_path


@pytest.fixture
def hub_address(folder: Path) -> Iterator[str]:
    """A hub that holds the folder as the dataset `org/name`, and that `hf://` means in this test."""
    with served(hub(folder)) as address:
        fsspec.config.conf["hf"] = {"endpoint": address, "token": False}
        yield address
        del fsspec.config.conf["hf"]


def names(listing: RawListing) -> list[tuple[str, str]]:
    return [(file.name, file.source) for file in listing.files]


def count(listing: RawListing) -> int:
    read = [
        SourceFile(file.name, file.source, str(file.uri), file.digest, file.bytes, file.format)
        for file in listing.files
    ]
    return sum(1 for file in read for _ in read_records(file, IngestParams()))


def test_a_web_address_is_a_file_and_a_slash_makes_it_a_folder(folder: Path) -> None:
    with served(files(folder)) as address:
        one = list_inputs([f"{address}/data/b.jsonl.gz?download=true"])
        assert names(one) == [("b.jsonl.gz", "b")]
        assert count(one) == 4
        every = list_inputs([f"{address}/data/"])
        assert names(every) == [("b.jsonl.gz", "b"), ("c d.jsonl.gz", "c d"), ("train-00000.parquet", "train")]
        assert count(every) == 10
    local = list_inputs([str(folder / "data")])
    assert [file.digest for file in every.files] == [file.digest for file in local.files]


def test_a_web_file_that_is_not_there_and_a_server_that_does_not_answer_are_told_apart(folder: Path) -> None:
    with (
        served(files(folder)) as address,
        pytest.raises(DataError, match=r"none\.jsonl: there is no such file or folder\. Check the address"),
    ):
        list_inputs([f"{address}/none.jsonl"])
    with pytest.raises(DataError, match=r"a\.jsonl: cannot be read: .*that the server answers"):
        list_inputs([f"{address}/a.jsonl"])


def test_a_download_that_breaks_off_is_no_shorter_file() -> None:
    with served(CutShort) as address, pytest.raises(DataError, match=r"a\.jsonl: cannot be read: .*10 of 1000 bytes"):
        list_inputs([f"{address}/a.jsonl"])


def test_a_web_file_that_changed_since_it_was_listed_is_refused(folder: Path) -> None:
    with served(files(folder)) as address:
        listing = list_inputs([f"{address}/data/b.jsonl.gz"])
        write_records(folder / "data" / "b.jsonl.gz", documents(4, "new"))
        with pytest.raises(DataError, match="its content changed since it was listed"):
            count(listing)


def test_a_web_file_that_is_gone_when_it_is_read_is_named(folder: Path) -> None:
    with served(files(folder)) as address:
        listing = list_inputs([f"{address}/data/b.jsonl.gz"])
        (folder / "data" / "b.jsonl.gz").unlink()
        with pytest.raises(DataError, match=r"b\.jsonl\.gz: there is no such file or folder"):
            count(listing)


def test_a_web_page_is_a_page_and_not_the_folder_of_what_it_links_to(folder: Path) -> None:
    (folder / "page.html").write_text('<a href="b.jsonl.gz">b</a>')
    with served(files(folder)) as address:
        assert names(list_inputs([f"{address}/page.html"])) == [("page.html", "page")]


def test_a_dataset_of_the_hub_is_read_whole_by_glob_or_by_file(hub_address: str) -> None:
    every = list_inputs(["hf://datasets/org/name"])
    assert [name for name, _ in names(every)] == ["data/b.jsonl.gz", "data/c d.jsonl.gz", "data/train-00000.parquet"]
    assert count(every) == 10
    assert count(list_inputs(["hf://datasets/org/name/data/*.gz"])) == 7
    assert count(list_inputs(["hf://datasets/org/name/data/train-00000.parquet"])) == 3


@pytest.mark.parametrize("path", ["org/other/a.jsonl", "org/name/none.jsonl"])
def test_a_dataset_or_file_the_hub_does_not_have_is_named(path: str, hub_address: str) -> None:
    with pytest.raises(DataError, match=rf"hf://datasets/{path}: there is no such file or folder\. .*HF_TOKEN"):
        list_inputs([f"hf://datasets/{path}"])
