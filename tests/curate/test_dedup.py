"""Duplicates of documents: planted ones are found, others are not, and the best of each cluster survives in any order."""

from collections.abc import Sequence
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.core.errors import DataError
from tasks.core.rng import generator
from tasks.curate.dedup import clusters, duplicates, similarity, stage
from tasks.curate.dedup.clusters import EVEN, joined
from tasks.curate.dedup.config import Duplicates, Rehydration, Repeats
from tasks.curate.dedup.groups import Groups, equal_rows, groups_of, in_partition, partitions_for
from tasks.curate.dedup.repeats import steps as repeats_steps
from tasks.curate.dedup.signing import unit
from tasks.curate.dedup.signing.datatrove import DatatroveMinHash
from tasks.curate.dedup.signing.fast import FastMinHash
from tasks.curate.dedup.signing.signatures import Ints
from tasks.curate.dedup.similarity import by_signatures, verified
from tasks.curate.dedup.stage import find_duplicates
from tasks.curate.published.funnel import DuplicateCounts
from tasks.runtime.context import Workshop
from tests.curate.dedup_shards import (
    Doc,
    by_id,
    counts_of,
    edited,
    found_in,
    jaccard,
    kept_texts,
    prose,
    shingles,
    survivors,
    table,
    write_shards,
)
from tests.curate.folders import workshop

EXACT_JACCARD = Duplicates(near=FastMinHash(verify="exact"))
UNVERIFIED = FastMinHash(verify=None, min_jaccard=None)


def of_texts(texts: dict[str, str]) -> list[Doc]:
    return [Doc(name, text) for name, text in texts.items()]


def test_planted_near_duplicates_are_found_and_unrelated_texts_are_kept(tmp_path: Path) -> None:
    texts = {f"original-{i:02d}": " ".join(prose(i)) for i in range(30)}
    # Two words of 200 changed: at most 10 of 196 n-grams differ, a Jaccard similarity of at least 0.9.
    texts |= {f"variant-{i:02d}": " ".join(edited(prose(i), i, 2)) for i in range(30)}
    expected = {name: name.replace("variant", "original") for name in texts}
    for params in (Duplicates(), EXACT_JACCARD, Duplicates(near=DatatroveMinHash())):
        assert survivors(tmp_path, [of_texts(texts)], params) == expected


def test_the_best_text_survives_and_the_smallest_id_among_equals(tmp_path: Path) -> None:
    words = prose(5)
    docs = [Doc(name, " ".join(edited(words, i, 1))) for i, name in enumerate("cab")]
    assert set(survivors(tmp_path, [docs], Duplicates()).values()) == {"a"}
    better = [Doc(doc.id, doc.text, quality=quality) for doc, quality in zip(docs, (0.5, 0.5, 0.9), strict=True)]
    assert set(survivors(tmp_path, [better], Duplicates()).values()) == {"b"}


@pytest.mark.parametrize(("quality", "survivor"), [(0.5, "b"), (0.5 + EVEN, "b"), (0.51 + EVEN, "a")])
def test_the_longest_of_those_with_an_even_quality_survives(tmp_path: Path, quality: float, survivor: str) -> None:
    words = prose(5)
    shards = [[Doc("a", " ".join(words[3:]), quality=quality)], [Doc("b", " ".join(words)), Doc("c", " ".join(words))]]
    assert set(survivors(tmp_path, shards, Duplicates()).values()) == {survivor}


def test_a_text_that_is_cut_off_never_survives_for_its_whole(tmp_path: Path) -> None:
    words = prose(9)
    cut, more, whole = (" ".join(words[:stop]) for stop in (180, 190, 200))
    shards = [[Doc("a-cut", cut, quality=1.0), Doc("b-more", more, quality=0.9)], [Doc("c-whole", whole, quality=0.2)]]
    for params in (Duplicates(), EXACT_JACCARD, Duplicates(near=DatatroveMinHash())):
        assert set(survivors(tmp_path, shards, params).values()) == {"c-whole"}
        assert set(survivors(tmp_path, shards[::-1], params).values()) == {"c-whole"}


def test_equal_texts_are_exact_duplicates_even_when_too_short_for_an_n_gram(tmp_path: Path) -> None:
    shards = [[Doc("b", "one two"), Doc("a", "one two")], [Doc("c", "one three"), Doc("e", ""), Doc("d", "")]]
    rows = by_id(found_in(tmp_path, shards, Duplicates()), shards)
    assert {name: row["survivor"] for name, row in rows.items()} == {"a": "a", "b": "a", "c": "c", "d": "d", "e": "d"}
    assert {name: row["detail"] for name, row in rows.items() if row["filter"] == "exact_duplicate"} == {
        "b": "same text as a",
        "e": "same text as d",
    }


def test_texts_without_an_n_gram_are_near_duplicates_of_nothing(tmp_path: Path) -> None:
    shards = [[Doc("a", "one two"), Doc("b", "three four"), Doc("c", "")]]
    near = Duplicates(documents=False, near=UNVERIFIED)
    assert survivors(tmp_path, shards, near) == {"a": "a", "b": "b", "c": "c"}


def test_a_copy_of_a_near_duplicate_is_traced_over_both_steps(tmp_path: Path) -> None:
    words = prose(6)
    variant = " ".join(edited(words, 6, 1))
    shards = [[Doc("v2", variant)], [Doc("a", " ".join(words))], [Doc("v1", variant)]]
    for params, told in ((Duplicates(), "estimated Jaccard"), (EXACT_JACCARD, "Jaccard")):
        rows = by_id(found_in(tmp_path, shards, params), shards)
        assert rows["v2"]["detail"] == "same text as v1, itself a near duplicate of a"
        assert rows["v1"]["detail"].startswith(f"near duplicate of a ({told} 0.9")
        assert {row["survivor"] for row in rows.values()} == {"a"}
        assert [rows[name]["filter"] for name in ("a", "v1", "v2")] == [None, "near_duplicate", "exact_duplicate"]
        assert {row["cluster_documents"] for row in rows.values()} == {3}


def test_an_exact_similarity_is_the_one_of_the_sets_of_n_grams(tmp_path: Path) -> None:
    words = prose(6)
    other = edited(words, 6, 4)
    shards = [[Doc("a", " ".join(words)), Doc("b", " ".join(other))]]
    true = jaccard(shingles(words), shingles(other))
    rows = by_id(found_in(tmp_path, shards, EXACT_JACCARD), shards)
    assert rows["b"]["detail"] == f"near duplicate of a (Jaccard {true:.2f})"


def test_only_documents_that_pass_the_rules_take_part(tmp_path: Path) -> None:
    text = " ".join(prose(1))
    shards = [[Doc("a", text, passes=False, quality=1.0), Doc("b", text), Doc("c", text)]]
    found = found_in(tmp_path, shards, Duplicates())
    rows = by_id(found, shards)
    assert rows["a"] == dict.fromkeys(("survivor", "filter", "detail", "cluster_documents", "weight"))
    assert rows["c"]["survivor"] == "b" and rows["b"]["cluster_documents"] == 2
    assert counts_of(found) == DuplicateCounts(
        clusters=1,
        largest_cluster=2,
        compared=2,
        removed=1,
        exact=1,
        near=0,
        of_earlier_versions=0,
    )


def test_a_document_that_fails_a_rule_stands_in_for_no_other_text(tmp_path: Path) -> None:
    words = prose(2)
    shards = [
        [Doc("a", " ".join(words), passes=False)],
        [Doc("b", " ".join(words)), Doc("c", " ".join(edited(words, 2, 2)))],
    ]
    assert survivors(tmp_path, shards, Duplicates()) == {"a": None, "b": "b", "c": "b"}


def test_switched_off_duplicates_all_survive(tmp_path: Path) -> None:
    shards = [[Doc(name, "same words " * 20) for name in "abc"]]
    off = Duplicates(documents=False, near=None)
    assert survivors(tmp_path, shards, off) == {"a": "a", "b": "b", "c": "c"}
    assert set(survivors(tmp_path, shards, Duplicates(near=None)).values()) == {"a"}


def test_a_pair_that_only_meets_in_a_band_is_no_duplicate_when_its_similarity_is_verified(tmp_path: Path) -> None:
    one, other = prose(8), edited(prose(8), 8, 30)
    assert jaccard(shingles(one), shingles(other)) < 0.5
    shards = [[Doc("a", " ".join(one)), Doc("b", " ".join(other))]]
    meets_often = {"bands": 112, "rows": 1}
    for verify, limit, survivor in (
        (None, None, "a"),
        ("estimated", 0.7, "b"),
        ("exact", 0.7, "b"),
        ("exact", 0.1, "a"),
    ):
        near = FastMinHash.model_validate({**meets_often, "verify": verify, "min_jaccard": limit})
        assert survivors(tmp_path, shards, Duplicates(near=near))["b"] == survivor


def test_within_a_source_only_documents_of_one_source_are_duplicates(tmp_path: Path) -> None:
    words = prose(4)
    texts = [" ".join(words), " ".join(words), " ".join(edited(words, 1, 2))]
    docs = [Doc(f"{source}-{i}", text, source) for source in ("x", "y") for i, text in enumerate(texts)]
    everywhere = survivors(tmp_path, [docs], Duplicates())
    assert set(everywhere.values()) == {"x-0"}
    for params in (Duplicates(scope="within_source"), Duplicates(scope="within_source", documents=False)):
        assert survivors(tmp_path, [docs], params) == {doc.id: f"{doc.source}-0" for doc in docs}


def test_a_survivor_weighs_by_the_size_of_its_cluster_and_one_without_rehydration(tmp_path: Path) -> None:
    docs = [Doc(f"{size}-{i}", " ".join(prose(size))) for size in (1, 2, 4, 6) for i in range(size)]
    for rehydration, expected in ((None, [1, 1, 1, 1]), (Rehydration(), [1, 2, 3, 5])):
        rows = by_id(found_in(tmp_path, [docs], Duplicates(rehydration=rehydration)), [docs])
        assert [rows[f"{size}-0"]["weight"] for size in (1, 2, 4, 6)] == expected
        assert all(row["weight"] is None for name, row in rows.items() if not name.endswith("-0"))


def planted(number: int) -> list[Doc]:
    chosen = generator(5, "planted", number)
    docs = []
    for i in range(24):
        words = edited(prose(i % 5, 120), i % 7, i % 4 * 3)
        docs.append(Doc(f"d{i:02d}", " ".join(words), f"s{i % 2}", float(chosen.integers(0, 3)) / 2, i % 11 != 3))
    return docs


@pytest.mark.parametrize("params", [Duplicates(), EXACT_JACCARD, Duplicates(documents=False, near=UNVERIFIED)])
@given(order=st.permutations(range(24)), cuts=st.sets(st.integers(1, 23), max_size=3))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_results_do_not_depend_on_the_order_of_documents_nor_on_shards(
    tmp_path: Path, params: Duplicates, order: list[int], cuts: set[int]
) -> None:
    docs = planted(0)
    shuffled = [docs[i] for i in order]
    bounds = [0, *sorted(cuts), len(docs)]
    shards = [shuffled[one:other] for one, other in pairwise(bounds)]
    expected, result = found_in(tmp_path, [docs], params), found_in(tmp_path, shards, params)
    assert by_id(result, shards) == by_id(expected, [docs])
    assert counts_of(result) == counts_of(expected)
    assert 0 < counts_of(result).removed < 24


def test_the_account_of_documents_closes(tmp_path: Path) -> None:
    shards = [planted(1)[:9], planted(1)[9:]]
    found = found_in(tmp_path, shards, Duplicates())
    rows = by_id(found, shards)
    dropped = [name for name, row in rows.items() if row["filter"] is not None]
    taking = [doc.id for shard in shards for doc in shard if doc.passes]
    assert counts_of(found).compared == len(taking) and counts_of(found).removed == len(dropped)
    assert {rows[name]["survivor"] for name in taking} == {name for name in taking if name not in dropped}
    sizes = {name: sum(rows[other]["survivor"] == name for other in taking) for name in taking}
    assert all(rows[name]["cluster_documents"] == sizes[rows[name]["survivor"]] for name in taking)


def test_a_changed_limit_or_standing_signs_nothing_again(tmp_path: Path) -> None:
    shards = [planted(2)]
    write_shards(tmp_path / "s", shards)
    bench = workshop(tmp_path)
    find_duplicates(bench, write_shards(tmp_path / "s", shards), Duplicates(), 0)
    bench.executor.done.clear()  # type: ignore[attr-defined]
    changed = [[Doc(doc.id, doc.text, doc.source, 1 - doc.quality) for doc in shards[0]]]
    find_duplicates(bench, write_shards(tmp_path / "s", changed), Duplicates(near=FastMinHash(min_jaccard=0.5)), 0)
    assert "sign_shard" not in bench.executor.done  # type: ignore[attr-defined]
    find_duplicates(bench, write_shards(tmp_path / "s", changed), Duplicates(), 1)
    assert bench.executor.done.count("sign_shard") == 1  # type: ignore[attr-defined]


def test_workers_in_processes_give_the_same_bytes(tmp_path: Path) -> None:
    shards = [planted(3)[:10], planted(3)[10:]]
    executor = LocalExecutor(2)
    try:
        bench = Workshop(executor, FolderStore(tmp_path / "other"))
        found = find_duplicates(bench, write_shards(tmp_path / "s", shards), EXACT_JACCARD, 0)
    finally:
        executor.close()
    alone = find_duplicates(workshop(tmp_path), write_shards(tmp_path / "s", shards), EXACT_JACCARD, 0)
    pairs = zip(
        (*found.tables, *found.fingerprints.values()), (*alone.tables, *alone.fingerprints.values()), strict=True
    )
    assert all(one is not None and other is not None and one.digest == other.digest for one, other in pairs)


def test_a_quality_that_is_no_number_fails(tmp_path: Path) -> None:
    shards = [[Doc("a", "same text"), Doc("b", "same text", quality=float("nan"))]]
    with pytest.raises(DataError, match="1 qualities are not finite"):
        found_in(tmp_path, shards, Duplicates())


def test_params_that_cannot_be_meant_are_refused() -> None:
    for values in (
        {"near": {"kind": "fast", "verify": "exact", "min_jaccard": None}},
        {"near": {"kind": "datatrove", "min_jaccard": 0.7}},
        {"rehydration": {"steps": [[2, 1.0]]}},
        {"rehydration": {"steps": [[1, 1.0], [1, 2.0]]}},
        {"against": ["a", "a"]},
        {"against": ["a"], "documents": False, "near": None},
        {"lines": {"min_documents": 1}},
    ):
        with pytest.raises(ValidationError):
            Duplicates.model_validate(values)


# ---- Groups, one step at a time ----------------------------------------------------------------------------------------


def rows_of(values: Sequence[Sequence[int]]):  # type: ignore[no-untyped-def]
    array = np.array(values, np.uint64)
    return lambda numbers: array[numbers]


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30),
    block=st.integers(1, 40),
    collisions=st.booleans(),
)
@settings(max_examples=80)
def test_rows_decide_and_keys_only_gather_whatever_the_block(
    rows: list[tuple[int, int]], block: int, collisions: bool
) -> None:
    keys = np.array([row[0] if collisions else 3 * row[0] + row[1] for row in rows], np.uint64)
    order = rows_of([[7 - (i % 3), i // 3] for i in range(len(rows))])
    found = equal_rows(keys, np.arange(len(rows)), rows_of(rows), order, block)
    expected = {}
    for i, row in enumerate(rows):
        expected.setdefault(row, []).append(i)
    by_order = {row: sorted(group, key=lambda i: (7 - (i % 3), i // 3)) for row, group in expected.items()}
    assert sorted(group.tolist() for group in found) == sorted(g for g in by_order.values() if len(g) > 1)


def test_every_key_is_in_one_partition() -> None:
    keys = generator(0, "keys").integers(0, 2**64, 1000, np.uint64)
    partitions = partitions_for(1000, most=100)
    assert partitions == 16
    assert (sum(in_partition(keys, i, partitions).astype(int) for i in range(partitions)) == 1).all()


def test_the_leaders_of_a_group_are_taken_in_its_order_whatever_the_block() -> None:
    # b is similar to all; a is similar to neither c nor d, which are the same.
    values = np.array([[1, 1, 1, 1, 9, 9], [1, 1, 1, 1, 2, 2], [3, 3, 1, 1, 2, 2], [3, 3, 1, 1, 2, 2]])

    def load(numbers: Ints):  # type: ignore[no-untyped-def]
        return by_signatures(values[numbers])

    def led(order: Sequence[int]) -> list[list[int]]:
        groups: list[list[int]] = []
        for i in order:
            similar = [group for group in groups if (values[group[0]] == values[i]).mean() >= 0.6]
            if similar:
                similar[0].append(i)
            else:
                groups.append([i])
        return [group for group in groups if len(group) > 1]

    for block in (2, 3, 100):
        for order in permutations(range(4)):
            found = verified(groups_of([np.array(order), np.array(order[:2])]), load, 0.6, block)
            assert [group.tolist() for group in found] == led(order) + led(order[:2])


@given(pairs=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=25), split=st.integers(0, 25))
@settings(max_examples=80)
def test_chains_of_groups_join_in_whatever_parts_they_come(pairs: list[tuple[int, int]], split: int) -> None:
    def groups(some: list[tuple[int, int]]) -> Groups:
        return groups_of([np.array(pair) for pair in some])

    labels = joined(np.arange(16), [groups(pairs[:split]), groups(pairs[split:])])
    parent = list(range(16))
    for _ in range(16):
        for one, other in pairs:
            parent[one] = parent[other] = min(parent[one], parent[other])
    assert labels.tolist() == parent


def test_tables_have_the_rows_of_their_shards_and_fingerprints_those_of_survivors(tmp_path: Path) -> None:
    shards = [planted(4)[:5], [], planted(4)[5:]]
    found = found_in(tmp_path, shards, Duplicates())
    assert [len(table(placed)) for placed in found.tables] == [5, 0, 19]
    kept = [sum(row["survivor"] is not None and row["filter"] is None for row in table(one)) for one in found.tables]
    assert [pq.read_metadata(one.local()).num_rows for one in found.fingerprints.values()] == kept


@pytest.mark.parametrize("params", [Duplicates(lines=Repeats(min_chars=3)), EXACT_JACCARD])
def test_limits_of_memory_change_no_result(tmp_path: Path, params: Duplicates, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [planted(5)[:13], planted(5)[13:]]
    expected = found_in(tmp_path / "large", shards, params)
    monkeypatch.setattr(stage, "partitions_for", lambda _: 4)
    monkeypatch.setattr(repeats_steps, "partitions_for", lambda *_: 8)
    for module, name, limit in (
        *((stage, "_UNIT_KEYS", 1), (unit, "_BATCH", 3), (clusters, "_CANDIDATES", 2), (clusters, "_PAIRS", 1)),
        *((duplicates, "_BLOCK", 2), (similarity, "_BATCH_BYTES", 1)),
    ):
        monkeypatch.setattr(module, name, limit)
    found = found_in(tmp_path / "small", shards, params)
    assert by_id(found, shards) == by_id(expected, shards)
    assert (counts_of(found), kept_texts(found, shards)) == (counts_of(expected), kept_texts(expected, shards))
    assert [one.digest for one in found.fingerprints.values()] == [one.digest for one in expected.fingerprints.values()]
