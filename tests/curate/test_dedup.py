"""Duplicates: planted ones are found, others are not, and the best of each cluster survives in whatever order."""

import hashlib
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.rng import generator
from tasks.curate.config import NearDuplicates
from tasks.curate.dedup.clusters import Clusters, clusters
from tasks.curate.dedup.minhash import Signatures, estimated_jaccard, sign

NEAR = NearDuplicates()


def prose(number: int, words: int = 200) -> list[str]:
    return [f"w{value}" for value in generator(7, "text", number).integers(0, 5000, words)]


def edited(words: list[str], number: int, edits: int) -> list[str]:
    where = generator(7, "edit", number).choice(len(words), edits, replace=False)
    return [f"new{number}.{i}" if i in where else word for i, word in enumerate(words)]


def shingles(words: Sequence[str], n: int = 5) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def signed(texts: Sequence[str], near: NearDuplicates = NEAR, seed: int = 0):  # type: ignore[no-untyped-def]
    return sign(texts, ngram_words=near.ngram_words, num_permutations=near.bands * near.rows, seed=seed)


def found(
    texts: dict[str, str], quality: Sequence[float] | None = None, near: NearDuplicates | None = NEAR
) -> Clusters:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts.values()]
    signatures = signed(list(texts.values()), near) if near else None
    scores = np.zeros(len(texts)) if quality is None else np.array(quality, float)
    return clusters(list(texts), scores, digests, signatures, near)


def survivors(
    texts: dict[str, str], quality: Sequence[float] | None = None, near: NearDuplicates | None = NEAR
) -> dict[str, str]:
    ids = list(texts)
    return {ids[i]: ids[s] for i, s in enumerate(found(texts, quality, near).survivor_N)}


def test_planted_near_duplicates_are_found_and_unrelated_texts_are_kept() -> None:
    texts = {f"original-{i:02d}": " ".join(prose(i)) for i in range(30)}
    # Two words of 200 changed: at most 10 of 196 n-grams differ, a Jaccard similarity of at least 0.9.
    texts |= {f"variant-{i:02d}": " ".join(edited(prose(i), i, 2)) for i in range(30)}
    assert survivors(texts) == {name: name.replace("variant", "original") for name in texts}


def test_case_and_punctuation_around_words_do_not_hide_a_near_duplicate() -> None:
    words = prose(1)
    assert survivors({"a": " ".join(words), "b": " ".join(f"“{word.upper()},”" for word in words)})["b"] == "a"


def test_the_estimated_similarity_is_the_jaccard_similarity_of_the_n_grams() -> None:
    for edits in (0, 3, 10, 40):
        one, other = prose(3, 600), edited(prose(3, 600), 3, edits)
        true = len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))
        values = signed([" ".join(one), " ".join(other)], NearDuplicates(bands=64, rows=32)).values_DP
        # 2048 permutations: standard error at most 0.011.
        assert estimated_jaccard(values[0], values[1:])[0] == pytest.approx(true, abs=0.04)


def test_the_best_text_survives_and_the_smallest_id_among_equals() -> None:
    words = prose(5)
    texts = {name: " ".join(edited(words, i, 1)) for i, name in enumerate("cab")}
    assert set(survivors(texts).values()) == {"a"}
    assert set(survivors(texts, [0.5, 0.5, 0.9]).values()) == {"b"}


def test_equal_texts_are_exact_duplicates_even_when_too_short_for_an_n_gram() -> None:
    result = found({"b": "one two", "a": "one two", "c": "one three"})
    assert result.survivor_N.tolist() == [1, 1, 2]
    assert result.exact_N.tolist() == [True, False, False]
    assert not signed(["one two", ""]).comparable_D.any()


def test_a_copy_of_a_near_duplicate_is_traced_over_both_steps() -> None:
    words = prose(6)
    variant = " ".join(edited(words, 6, 2))
    result = found({"a": " ".join(words), "v1": variant, "v2": variant})
    assert result.survivor_N.tolist() == [0, 0, 0]
    assert (result.exact_N.tolist(), result.same_text_N.tolist()) == ([False, False, True], [0, 1, 1])


def test_switched_off_duplicates_all_survive() -> None:
    texts = ["same words " * 20] * 3
    result = clusters(["a", "b", "c"], np.zeros(3), None, None, None)
    assert result.survivor_N.tolist() == [0, 1, 2]
    assert found(dict(zip("abc", texts, strict=True)), near=None).survivor_N.tolist() == [0, 0, 0]


def test_a_pair_that_only_meets_in_a_band_is_not_a_duplicate_when_its_similarity_is_verified() -> None:
    one, other = prose(8), edited(prose(8), 8, 30)
    texts = {"a": " ".join(one), "b": " ".join(other)}
    true = len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))
    assert true < 0.5
    meets_often = NearDuplicates(bands=112, rows=1, min_jaccard=None)
    assert survivors(texts, near=meets_often)["b"] == "a"
    assert survivors(texts, near=meets_often.model_copy(update={"min_jaccard": 0.7}))["b"] == "b"


def test_other_seeds_and_lengths_give_other_signatures_and_the_same_seed_the_same() -> None:
    text = [" ".join(prose(9))]
    assert np.array_equal(signed(text).values_DP, signed(text).values_DP)
    assert not np.array_equal(signed(text).values_DP, signed(text, seed=1).values_DP)
    assert not np.array_equal(signed(text).values_DP, signed(text, NearDuplicates(ngram_words=4)).values_DP)


def test_a_signature_does_not_depend_on_the_texts_beside_it() -> None:
    texts = [" ".join(prose(i, words)) for i, words in enumerate((3, 300, 5, 0, 40_000, 17))]
    together = signed(texts).values_DP
    assert all(np.array_equal(signed([text]).values_DP[0], together[i]) for i, text in enumerate(texts))


@given(st.permutations(range(12)))
@settings(max_examples=25, deadline=None)
def test_clusters_and_survivors_do_not_depend_on_the_order_of_documents(order: list[int]) -> None:
    texts = {f"d{i:02d}": " ".join(edited(prose(i % 3), i, i)) for i in range(12)}
    quality = {name: i % 4 / 4 for i, name in enumerate(texts)}
    shuffled = {list(texts)[i]: texts[list(texts)[i]] for i in order}
    result = survivors(shuffled, [quality[name] for name in shuffled])
    assert result == survivors(texts, list(quality.values()))
    assert len(set(result.values())) < len(texts)


def test_the_leaders_of_a_band_are_taken_by_id_and_not_by_position() -> None:
    # All three meet in the first value; b is similar to a and to c, which are not similar to each other.
    values = {"a": [0, 1, 1, 1, 1, 9, 9], "b": [0, 1, 1, 1, 1, 2, 2], "c": [0, 3, 3, 1, 1, 2, 2]}
    near = NearDuplicates(bands=1, rows=1, min_jaccard=0.7)
    for names in permutations(values):
        signatures = Signatures(np.array([values[name] for name in names], np.uint32), np.ones(3, np.bool_))
        result = clusters(list(names), np.zeros(3), None, signatures, near)
        assert {name: names[i] for name, i in zip(names, result.survivor_N, strict=True)} == {
            "a": "a",
            "b": "a",
            "c": "c",
        }
