"""Signatures: the similarity they estimate, the same from the kernel and without it, and the same as datatrove's."""

import string
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks.curate.native as native
from tasks.core.rng import generator
from tasks.core.scripts import mostly_unspaced
from tasks.curate.dedup.signing.datatrove import ngram_hashes, simplify, simplify_part
from tasks.curate.dedup.signing.kinds import ngram_sets, sign
from tasks.curate.dedup.signing.signatures import (
    Shape,
    Signatures,
    band_keys,
    estimated_jaccard,
    exact_jaccard,
    mixed,
)
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts, texts_of
from tests.curate.dedup_shards import edited, jaccard, prose, shape, shingles
from tests.curate.nasty import PIECES, nasty
from tests.curate.paragraphs import PARAGRAPHS

FAST = shape("fast", 5, 14, 8, 0)
DATATROVE = shape("datatrove", 5, 14, 8, 1)

# What datatrove 0.10.1 (spaCy 3.8.18) signs: the first four values and the last one.
OF_DATATROVE = {
    "The quick brown fox jumps over the lazy dog, and then rests for 10.5 hours.": (
        *(85330943174081874, 255598458306856430, 302227827184868053),
        *(34440879854629237, 3963570588256049),
    ),
    "I can't believe it's not ΟΔΥΣΣΕΥΣ' café: £3,000.50 (approx.) e.g. in İstanbul — 日本語 3km/h.": (
        *(5628397688780127, 343914156273585654, 34677660754475491),
        *(28657855759706193, 10243892515036864),
    ),
    "Don’t stop; http://example.com/a?b=1 isn't A.M. o'clock U.S.A. 12:30pm cannot gonna": (
        *(69416562209312212, 178798856422067134, 336986776285219160),
        *(75778566526353734, 56007862097104907),
    ),
}


def signed(texts: Sequence[str], how: Shape = FAST) -> Signatures:
    return sign(texts_of(list(texts)), how)


def both(texts: list[str], how: Shape) -> tuple[tuple[Signatures, np.ndarray], tuple[Signatures, np.ndarray]]:
    """What the kernel and what Python gives: signatures, and sets of n-grams with their starts."""
    found = []
    for setting in ("", "python"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MIXWRIGHT_KERNELS", setting)
            kernel.cache_clear()
            sets = ngram_sets(texts_of(texts), how)
            found.append((signed(texts, how), np.concatenate([sets.hashes, sets.starts.astype(np.uint64)])))
    kernel.cache_clear()
    return found[0], found[1]


def assert_same(texts: list[str], shape: Shape) -> None:
    compiled, plain = both(texts, shape)
    assert np.array_equal(compiled[0].values_DP, plain[0].values_DP)
    assert np.array_equal(compiled[0].ngrams_D, plain[0].ngrams_D)
    assert np.array_equal(compiled[1], plain[1])


needs_kernel = pytest.mark.skipif(native.kernel("minhash") is None, reason="the kernel minhash is not compiled here")


@needs_kernel
@pytest.mark.parametrize("kind", ["fast", "datatrove"])
@settings(max_examples=60)
@given(texts=st.lists(nasty, max_size=4))
def test_the_kernel_and_python_sign_alike(kind: str, texts: list[str]) -> None:
    assert_same(texts, shape(kind, 2, 3, 2, 0))


@needs_kernel
@pytest.mark.parametrize("kind", ["fast", "datatrove"])
def test_the_kernel_and_python_sign_alike_what_is_rare(kind: str) -> None:
    words = [
        "ΟΔΥΣΣΕΥΣ",
        "ΑΣ.",
        "ΑΣ1",
        "İx",
        "naïve",
        "cafe\u0301",
        "\u0301",
        "½",
        "\U00011f50",
        "１",
        "٣٫٤",
        "..",
        "''",
    ]
    lengths = [letter * size for letter in "aé" for size in (*range(1, 70), 96, 97, 128, 129, 130, 240, 241, 300, 3000)]
    texts = [" ".join(words), "  ".join(words[::-1]), *lengths, " ".join(lengths), "3.14.15 1,2,3 $9 a.b (c) -- d"]
    for ngram_words in (1, 3):
        assert_same(texts, shape(kind, ngram_words, 5, 7, 3))


@needs_kernel
@pytest.mark.parametrize("kind", ["fast", "datatrove"])
def test_a_part_of_a_buffer_is_signed_as_that_part(kind: str) -> None:
    texts = texts_of([" ".join(prose(i)) for i in range(4)])
    part = sign(Texts(texts.data, texts.offsets[1:4]), shape(kind, 5, 14, 8, 1))
    assert np.array_equal(part.values_DP, sign(texts, shape(kind, 5, 14, 8, 1)).values_DP[1:3])


@pytest.mark.parametrize("setting", ["", "python"])
def test_values_are_those_of_datatrove(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_KERNELS", setting)
    kernel.cache_clear()
    values = signed(list(OF_DATATROVE), DATATROVE).values_DP
    kernel.cache_clear()
    assert [(*row[:4], row[-1]) for row in values.tolist()] == list(OF_DATATROVE.values())


def test_unseen_texts_are_signed_as_datatrove_itself_signs_them(tmp_path: Path) -> None:
    stage = pytest.importorskip("datatrove.pipeline.dedup.minhash").MinhashDedupSignature(str(tmp_path))
    # datatrove hands its n-grams over as strings, which xxhash 4 refuses.
    stage._hash_func = lambda ngram: xxhash.xxh64_intdigest(ngram.encode())
    drawn = generator(11, "unseen")
    texts = [" ".join(PIECES[i] for i in drawn.integers(0, len(PIECES), 60)) for _ in range(300)]
    # Texts mostly in scripts without blanks are not signed as there: clause by clause.
    texts = [text for text in texts if not mostly_unspaced(simplify(text))]
    assert len(texts) > 250
    found = signed(texts, DATATROVE)
    for text, values, ngrams in zip(texts, found.values_DP, found.ngrams_D, strict=True):
        shingles_ = stage.get_shingles(text)
        assert len(shingles_) == ngrams
        assert ngrams == 0 or values.tolist() == [value for band in stage.get_signature(shingles_) for value in band]


def test_values_are_those_of_the_first_version() -> None:
    text = "The quick brown fox, jumps over “the” lazy DOG ΟΔΥΣΣΕΥΣ and naïve İstanbul"
    assert signed([text]).values_DP[0][:6].tolist() == [
        *(1337918549, 136254943, 841187067),
        *(941582964, 541869800, 662708327),
    ]


def test_hashes_of_every_length_are_xxh3() -> None:
    words = ["x" * size for size in range(1, 200)]
    hashes = np.array([xxhash.xxh3_64_intdigest(word) for word in map(str.encode, words)], np.uint64)
    sets = ngram_sets(texts_of(words), shape("fast", 1))
    assert np.array_equal(sets.hashes, mixed(hashes))


def test_ngrams_of_datatrove_are_xxh64_of_its_tokens() -> None:
    tokens = ["it", "can", "not", "be", "0", "km", "from", "here"]
    text = "It cannot be 12.5km from here!"
    expected = [xxhash.xxh64_intdigest(" ".join(tokens[i : i + 5]).encode()) for i in range(4)]
    assert ngram_hashes(text, 5).tolist() == expected
    assert sorted(expected) == ngram_sets(texts_of([text]), shape("datatrove")).hashes.tolist()


def test_simplifying_parts_is_simplifying_the_whole() -> None:
    text = " ΑΣ \u0301  É.é 3,4 ... ΌΣΟΣ\u2003x"
    assert "".join(map(simplify_part, text.split())).strip() == simplify(text)


def test_the_estimated_similarity_is_the_jaccard_similarity_of_the_n_grams() -> None:
    for edits in (0, 3, 10, 40):
        one, other = prose(3, 600), edited(prose(3, 600), 3, edits)
        true = jaccard(shingles(one), shingles(other))
        texts = [" ".join(one), " ".join(other)]
        # 2048 permutations: standard error at most 0.011.
        values = signed(texts, shape("fast", 5, 64, 32, 0)).values_DP
        assert estimated_jaccard(values[0], values[1:])[0] == pytest.approx(true, abs=0.04)
        sets = ngram_sets(texts_of(texts), shape("fast"))
        middle = sets.starts[1]
        assert exact_jaccard(sets.hashes[:middle], sets.hashes[middle:]) == true


def test_case_and_punctuation_around_words_change_no_signature() -> None:
    words = prose(1)
    plain, dressed = signed([" ".join(words), " ".join(f"“{word.upper()},”" for word in words)]).values_DP
    assert np.array_equal(plain, dressed)
    assert not signed([string.punctuation * 9]).ngrams_D.any()


def test_other_seeds_and_lengths_give_other_signatures_and_the_same_seed_the_same() -> None:
    text = [" ".join(prose(9))]
    assert np.array_equal(signed(text).values_DP, signed(text).values_DP)
    assert not np.array_equal(signed(text).values_DP, signed(text, shape("fast", 5, 14, 8, 1)).values_DP)
    assert not np.array_equal(signed(text).values_DP, signed(text, shape("fast", 4, 14, 8, 0)).values_DP)


@pytest.mark.parametrize("kind", ["fast", "datatrove"])
def test_a_signature_does_not_depend_on_the_texts_beside_it(kind: str) -> None:
    how = shape(kind, seed=1)
    texts = [" ".join(prose(i, words)) for i, words in enumerate((3, 300, 5, 0, 6_000, 17))]
    together = signed(texts, how)
    assert (together.ngrams_D > 0).tolist() == [False, True, True, False, True, True]
    for i, text in enumerate(texts):
        alone = signed([text], how)
        assert np.array_equal(alone.values_DP[0], together.values_DP[i]) and alone.ngrams_D[0] == together.ngrams_D[i]


def test_equal_bands_have_equal_keys_and_others_do_not() -> None:
    values = np.arange(24, dtype=np.uint32).reshape(2, 12)
    values[1, 4:8] = values[0, 4:8]
    keys = band_keys(Signatures(values, np.ones(2, np.int64)), 3)
    assert (keys[:, 0] == keys[:, 1]).tolist() == [False, True, False]


@pytest.mark.parametrize("setting", ["", "python"])
@pytest.mark.parametrize("kind", ["fast", "datatrove"])
@pytest.mark.parametrize("language", ["zh", "ja", "th", "km", "lo", "my"])
def test_texts_without_blanks_that_differ_in_a_word_share_most_n_grams(
    language: str, kind: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWRIGHT_KERNELS", setting)
    kernel.cache_clear()
    text = "".join(PARAGRAPHS[language].split())[:150]
    other = "".join(PARAGRAPHS["zh" if language == "ja" else "ja"].split())[:150]
    sets = ngram_sets(texts_of([text, text[:70] + "山川" + text[72:], other]), shape(kind))
    kernel.cache_clear()
    one, edited_, unlike = (sets.hashes[a:b] for a, b in pairwise(sets.starts))
    assert exact_jaccard(one, edited_) > 0.8
    assert exact_jaccard(one, unlike) == 0
