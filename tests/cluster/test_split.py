"""The split into train, search and test."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.cluster.split import DomainSplit, Split, split_of, splits
from tasks.core.errors import ConfigError

HALF = DomainSplit(search_fraction=0.3, test_fraction=0.2)
ALL = DomainSplit(search_fraction=0.55, test_fraction=0.45)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=40), st.integers(0, 1000))
def test_a_duplicate_cluster_is_never_on_two_sides_not_even_across_domains(clusters: list[str], seed: int) -> None:
    domains = [number % 3 for number in range(len(clusters))]
    config = Split(search_fraction=0.3, test_fraction=0.3, per_domain={"evals": ALL})
    sides = defaultdict(set)
    for cluster, side in zip(clusters, splits(clusters, domains, ["web", "evals", "code"], config, seed), strict=True):
        sides[cluster].add(side)
    assert all(len(own) == 1 for own in sides.values())


def test_a_copy_of_what_is_only_held_out_is_not_trained_on_either() -> None:
    copies = [str(number) for number in range(50)] * 2
    found = splits(copies, [0] * 50 + [1] * 50, ["web", "evals"], Split(per_domain={"evals": ALL}), 0)
    assert "train" not in found


def test_a_document_without_a_domain_has_no_split_and_moves_none() -> None:
    names, config = ["web", "evals"], Split(per_domain={"evals": ALL})
    copies = [str(number) for number in range(50)]
    alone = splits(copies, [0] * 50, names, config, 0)
    assert splits([*copies, *copies], [0] * 50 + [-1] * 50, names, config, 0) == [*alone, *[""] * 50]


def test_the_shares_are_those_asked_for() -> None:
    counts = Counter(split_of(f"document-{number}", HALF, seed=3) for number in range(20_000))
    assert abs(counts["search"] / 20_000 - 0.3) < 0.01
    assert abs(counts["test"] / 20_000 - 0.2) < 0.01


def test_a_domain_takes_its_own_shares_and_the_others_keep_theirs() -> None:
    documents = [str(number) for number in range(4_000)]
    names, domains = ["web", "evals"], [number % 2 for number in range(4_000)]
    before = splits(documents, domains, names, Split(), 0)
    after = splits(documents, domains, names, Split(per_domain={"evals": ALL}), 0)
    assert before[::2] == after[::2]
    counts = Counter(after[1::2])
    assert abs(counts["search"] / 2_000 - 0.55) < 0.04
    assert counts["search"] + counts["test"] == 2_000


def test_shares_of_a_domain_that_is_not_there_are_answered_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no domain is called evil; there are: web, evals"):
        splits(["a"], [0], ["web", "evals"], Split(per_domain={"evil": ALL}), 0)


def test_another_seed_gives_another_split() -> None:
    names = [str(number) for number in range(100)]
    assert [split_of(name, HALF, 0) for name in names] != [split_of(name, HALF, 1) for name in names]


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        Split(search_fraction=0.5, test_fraction=0.5)
    with pytest.raises(ValidationError, match="more than there is"):
        DomainSplit(search_fraction=0.6, test_fraction=0.5)


@given(st.integers(3, 49), st.integers(0, 500))
def test_no_side_of_a_small_domain_is_empty_by_chance(documents: int, seed: int) -> None:
    found = Counter(splits([f"d{number}" for number in range(documents)], [0] * documents, ["web"], Split(), seed))
    assert set(found) == {"train", "search", "test"}
    assert found["train"] >= max(found["search"], found["test"]) or documents < 6


def test_a_small_domain_that_has_all_sides_is_split_as_a_large_one_is() -> None:
    documents = [f"d{number}" for number in range(40)]
    config = Split(search_fraction=0.3, test_fraction=0.3)
    assert splits(documents, [0] * 40, ["web"], config, 0) == [
        split_of(document, config.of("web"), 0) for document in documents
    ]


def test_where_all_is_trained_on_no_side_is_asked_for() -> None:
    assert splits(["a", "b", "c"], [0, -1, 0], ["web"], Split(all_trained=True), 0) == ["train", "", "train"]
    with pytest.raises(ValidationError, match="all_trained holds nothing out"):
        Split(all_trained=True, per_domain={"web": ALL})
