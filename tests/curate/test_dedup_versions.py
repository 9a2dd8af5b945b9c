"""Earlier versions: what they kept always survives, and a new version finds what a run over everything finds."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.curate.dedup import stage
from tasks.curate.dedup.config import Duplicates
from tasks.curate.dedup.signing.datatrove import DatatroveMinHash
from tasks.curate.dedup.signing.fast import FastMinHash
from tasks.curate.dedup.signing.kinds import NearDuplicates
from tasks.curate.dedup.stage import Found
from tests.curate.dedup_shards import Doc, by_id, counts_of, edited, found_in, prose, publish_version, shape
from tests.curate.folders import ingest_folder, workshop

NEAR: tuple[NearDuplicates, ...] = (FastMinHash(), FastMinHash(verify="exact"), DatatroveMinHash())


def documents(first: int, last: int, quality: float = 0.5) -> list[Doc]:
    """Documents of six kinds: those of a kind are near duplicates, and every fourth is a copy of one before."""
    docs = []
    for i in range(first, last):
        text = " ".join(edited(prose(i % 6), (i - i % 4) // 6, 2 if i >= 6 else 0))
        docs.append(Doc(f"d{i:02d}", text, f"s{i % 2}", quality))
    return docs


def versions(
    folder: Path, shards: list[list[Doc]], new: list[list[Doc]], params: Duplicates
) -> tuple[Found, Found, str]:
    """Publish a version of some shards; return what was found in it, what in new ones beside it, and its folder."""
    earlier = found_in(folder, shards, params)
    path = publish_version(folder / "v1", earlier, shards)
    return earlier, found_in(folder, new, params.model_copy(update={"against": (path,)})), path


@pytest.mark.parametrize("near", NEAR)
def test_a_duplicate_of_an_earlier_version_falls_whatever_its_quality(tmp_path: Path, near: NearDuplicates) -> None:
    old, new = [documents(0, 8)], [documents(8, 20, quality=1.0), [Doc("other", " ".join(prose(77)))]]
    earlier, found, _ = versions(tmp_path, old, new, Duplicates(near=near))
    kept = {name for name, row in by_id(earlier, old).items() if row["filter"] is None}
    rows = by_id(found, new)
    assert {name for name, row in rows.items() if row["filter"] is None} == {"other"}
    assert {row["survivor"] for name, row in rows.items() if name != "other"} <= kept
    assert all(" (version " in row["detail"] for name, row in rows.items() if name != "other")
    assert counts_of(found).of_earlier_versions == counts_of(found).removed == 12


@pytest.mark.parametrize("near", NEAR)
def test_against_an_earlier_version_the_kept_are_those_of_a_run_over_all_of_them(
    tmp_path: Path, near: NearDuplicates
) -> None:
    old, new = [documents(0, 4), documents(12, 15)], [documents(4, 12), documents(15, 24)]
    earlier, found, _ = versions(tmp_path, old, new, Duplicates(near=near))
    kept = [doc for shard in old for doc in shard if by_id(earlier, old)[doc.id]["filter"] is None]
    # From the beginning, with what was kept as the best of all.
    best = [Doc(doc.id, doc.text, doc.source, 2.0) for doc in kept]
    whole = by_id(found_in(tmp_path, [best, *new], Duplicates(near=near)), [best, *new])
    rows = by_id(found, new)
    assert 0 < sum(row["filter"] is None for row in rows.values()) < len(rows)
    assert {name: (row["survivor"], row["cluster_documents"]) for name, row in rows.items()} == {
        name: (whole[name]["survivor"], whole[name]["cluster_documents"]) for name in rows
    }


def test_a_document_that_comes_again_falls_for_its_earlier_self(tmp_path: Path) -> None:
    docs = [documents(0, 3)]
    _, found, _ = versions(tmp_path, docs, docs, Duplicates())
    assert {name: row["detail"].partition(" (version ")[0] for name, row in by_id(found, docs).items()} == {
        doc.id: f"same text as {doc.id}" for doc in docs[0]
    }


def test_the_digest_of_the_version_stands_in_the_detail(tmp_path: Path) -> None:
    docs = [documents(0, 3)]
    _, found, path = versions(tmp_path, docs, docs, Duplicates())
    digest = Manifest.read(Path(path)).output
    assert by_id(found, docs)["d00"]["detail"] == f"same text as d00 (version {digest[:12]})"
    [version] = stage.earlier_versions(workshop(tmp_path), Duplicates(against=(path,)))
    assert version.digest == digest
    assert stage.earlier_versions(workshop(tmp_path), None) == []


def test_several_versions_are_asked_one_after_another(tmp_path: Path) -> None:
    first, second, third = [documents(0, 2)], [documents(2, 4)], [documents(6, 12)]
    one = publish_version(tmp_path / "v1", found_in(tmp_path, first, Duplicates()), first)
    two = publish_version(tmp_path / "v2", found_in(tmp_path, second, Duplicates(against=(one,))), second)
    rows = by_id(found_in(tmp_path, third, Duplicates(against=(one, two))), third)
    assert [rows[f"d{i:02d}"]["survivor"] for i in range(6, 12)] == ["d00", "d01", "d02", "d03", "d10", "d11"]


def test_within_a_source_an_earlier_version_counts_for_its_sources_only(tmp_path: Path) -> None:
    old = [[Doc("old", " ".join(prose(1)), "x")]]
    new = [[Doc("new-x", " ".join(prose(1)), "x"), Doc("new-y", " ".join(prose(1)), "y")]]
    _, found, _ = versions(tmp_path, old, new, Duplicates(scope="within_source"))
    assert {name: row["survivor"] for name, row in by_id(found, new).items()} == {"new-x": "old", "new-y": "new-y"}


def test_a_version_signed_in_another_way_is_refused(tmp_path: Path) -> None:
    docs = [documents(0, 3)]
    path = publish_version(tmp_path / "v1", found_in(tmp_path, docs, Duplicates()), docs)
    other = Duplicates(near=FastMinHash(ngram_words=4), against=(path,))
    with pytest.raises(ConfigError, match=r"'ngram_words': 5.*'ngram_words': 4"):
        found_in(tmp_path, docs, other)
    without = publish_version(tmp_path / "v2", found_in(tmp_path, docs, Duplicates(near=None)), docs)
    with pytest.raises(ConfigError, match="signed as None"):
        found_in(tmp_path, docs, Duplicates(against=(without,)))
    # Equal texts need no signatures.
    found = found_in(tmp_path, docs, Duplicates(near=None, against=(path,)))
    assert counts_of(found).of_earlier_versions == 3


def test_texts_that_were_changed_after_signing_have_no_exact_similarity(tmp_path: Path) -> None:
    docs, params = [[Doc("a", " ".join(prose(1)))]], Duplicates(near=FastMinHash(verify="exact"))
    changed = [[Doc("a", " ".join(prose(2)))]]
    path = publish_version(tmp_path / "v1", found_in(tmp_path, docs, params), changed)
    new = [[Doc("b", " ".join(edited(prose(1), 1, 2)))]]
    with pytest.raises(ConfigError, match="1 of 1 texts are not those that were signed"):
        found_in(tmp_path, new, params.model_copy(update={"against": (path,)}))


def test_a_folder_that_is_no_version_or_was_edited_is_refused(tmp_path: Path) -> None:
    docs = [documents(0, 3)]
    folder = ingest_folder(tmp_path / "ingest", [[]])
    with pytest.raises(DataError, match="published by ingest, with no fingerprints"):
        found_in(tmp_path, docs, Duplicates(against=(str(folder),)))
    path = Path(publish_version(tmp_path / "v1", found_in(tmp_path, docs, Duplicates()), docs))
    next((path / "fingerprints").iterdir()).write_bytes(b"edited")
    with pytest.raises(DataError, match="are not what curate published"):
        found_in(tmp_path, docs, Duplicates(against=(str(path),)))


@pytest.mark.parametrize("quality", [0.5, 0.9])
def test_of_two_earlier_versions_the_better_document_is_named(tmp_path: Path, quality: float) -> None:
    words, folders = prose(3), []
    for name, docs in (
        ("v1", [Doc("long", " ".join(words))]),
        ("v2", [Doc("a-short", " ".join(words[2:]), quality=quality)]),
    ):
        folders.append(publish_version(tmp_path / name, found_in(tmp_path, [docs], Duplicates()), [docs]))
    new = [[Doc("new", " ".join(edited(words, 1, 1)), quality=1.0)]]
    rows = by_id(found_in(tmp_path, new, Duplicates(against=tuple(folders))), new)
    assert rows["new"]["survivor"] == ("a-short" if quality > 0.5 else "long")


def test_a_version_without_sizes_and_qualities_is_taken_up_as_before(tmp_path: Path) -> None:
    docs = [documents(0, 3)]
    found = found_in(tmp_path, docs, Duplicates())
    [print_] = found.fingerprints.values()
    old = pq.read_table(print_.local())
    pq.write_table(old.drop_columns(["bytes", "quality"]), print_.local())
    path = publish_version(tmp_path / "v1", found, docs)
    rows = by_id(found_in(tmp_path / "new", docs, Duplicates(against=(path,))), docs)
    assert {name: row["survivor"] for name, row in rows.items()} == {"d00": "d00", "d01": "d01", "d02": "d02"}


@pytest.mark.parametrize(("kind", "seed"), [("fast", 3), ("datatrove", 1)])
def test_fingerprints_say_how_they_were_signed_as_versions_before_did(kind: str, seed: int) -> None:
    assert shape(kind, seed=3).described() == {"kind": kind, "ngram_words": 5, "bands": 14, "rows": 8, "seed": seed}
