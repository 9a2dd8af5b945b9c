"""The English tokenizer: the same tokens as spaCy's rules, in Python and in the kernel."""

import gzip
import json
import random
import time
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.curate.english.chunks import is_url
from tasks.curate.english.facts import load_facts
from tasks.curate.english.regenerate import collect_facts
from tasks.curate.english.tokens import count_sentences, words
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import texts_of
from tests import sampling

# What spaCy 3.8.18 gives, run once; a space between two tokens.
TOKENS = {
    "I'm gonna say: can't, won't!": "I 'm gon na say : ca n't , wo n't !",
    "Mr. O'Neill's U.S. firm (e.g. Inc.)": "Mr. O'Neill 's U.S. firm ( e.g. Inc. )",
    "10km, 5GB; 3'': US$20 and 20US$": "10 km , 5 GB ; 3 '' : US$ 20 and 20 US$",
    "at 8pm. 20°C. 4a.m.": "at 8 pm . 20 ° C . 4 a.m.",
    "see http://a.com/x?y=(1), me@b.org.": "see http://a.com/x?y=(1 ) , me@b.org .",
    "lower.Upper well-known a--b 5--3 1+1": "lower . Upper well - known a -- b 5 - -3 1 + 1",
    "word...next......... ..x": "word ... next ......... .. x",
    "and/or b/a. x/C:D": "and/or b / a. x / C :D",
    ":) :-( x:) <3 ಠ_ಠ": ":) :-( x :) <3 ಠ_ಠ",
    "中文。好！ “q” ’s naïve\u0301": "中文。好 ！ “ q ” ’s naïve\u0301",
    "\t \n\u3000\x85": "",
    "": "",
    # A find across the space between two chunks hides a shorter one in a chunk.
    "foo:)": "foo :)",
    "foo:) )": "foo : ) )",
    "foo:)\n)": "foo :) )",
    "b/a. _ .": "b / a . _ .",
    "b/a.  _ .": "b / a. _ .",
    # An exception that a prefix or a suffix uncovers stands before all other affixes.
    "(=( :!( $’d.": "( =( : ! ( $ ’d .",
    ">:o? =/, <33.": ">:o ? =/ , <33 .",
    "[:).? ''(": "[ :) . ? '' (",
}
ADDRESSES = "a.bc x.y.co/p http://a_b.cd:80 u:p@h.de a@b@c.de 8.8.8.8 223.1.1.254:8080/x ä.de http://@a.de 172.32.0.1"
NO_ADDRESSES = (
    "10.0.0.1 127.0.0.1 192.168.1.1 172.16.0.1 169.254.1.1 224.1.1.1 8.8.8.255 8.8.8.0 0.8.8.8 8.8.256.8 8.8.8 a.B a a.d "
    f"a-.de a..de .de a.de:1 a.de:123456 @a.de a.de@ {'x' * 65}.de a.{'x' * 64}"
)
SENTENCES = {
    "": 0, " \n": 0, "One": 1, "One. Two": 2, "One... two": 1, "One?! Two. ": 2, "One.) Two": 2, "e.g. this": 1,
    "One. \n ? Two": 3, "One.\n": 1, "One. ? Two": 2, "。x": 2, "\nOne": 1,
}  # fmt: skip


PARTS = (
    "... .. …… 's ’S US$ C$ km m/s тбكم http:// www. a.com co.uk 10.0.0.1 8.8.8.8 :8080 :1 /p?q=1#r @ user@ u:p@ é É ß ñ "
    "Ω ω я Я 中 文 한 क א ع ½ ٣ 𝒜 𠀀 ﬁ ﾊ １ Ａ ａ 。 ！ 「 » ” ’ 😀 👩\u200d👧 ® ™ ★ \u0301 \u200b \ufeff \u00ad \ue000"
)


@cache
def nasty_parts() -> list[str]:
    """Exceptions, the borders of every class, and what addresses, amounts and emoticons are made of."""
    facts = load_facts()
    borders = [chr(c) for bounds in facts.ranges.values() for c in bounds]
    ascii_parts = [chr(c) for c in range(33, 127)]
    sample = random.Random(0).sample(borders, 500)
    return [*facts.exceptions, *ascii_parts * 3, *PARTS.split(" ") * 4, *facts.after_digit, *sample]


SPACES = [*" " * 8, "  ", "\n", " \n", "\t", "\r", "\x0b", "\x1c", "\x85", "\u00a0", "\u2028", "\u3000", " \u00a0"]


def nasty_texts(count: int, seed: int) -> list[str]:
    """Return texts of 1 to 9 chunks made of `nasty_parts` and any other character."""
    rng = random.Random(seed)

    def part() -> str:
        any_character = chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)]))
        return rng.choice(nasty_parts()) if rng.random() < 0.95 else any_character

    def chunk() -> str:
        return "".join(part() for _ in range(rng.choice([1, 1, 2, 2, 3, 4, 6]))) + rng.choice(SPACES)

    return ["".join(chunk() for _ in range(rng.randrange(1, 10))) for _ in range(count)]


@pytest.fixture(scope="session")
def english_kernel() -> ModuleType:
    module = kernel("english")
    if module is None:
        pytest.skip("the kernel english is not compiled here")
    return module


def kernel_rows(module: ModuleType, texts: list[str]) -> list[list[list[int]]]:
    """Per text, a row (begin, bytes, chars, flags, stop word, hash) for every token."""
    laid_out = texts_of(texts)
    rows = np.frombuffer(module.tokens(laid_out.data, laid_out.offsets), np.int64).reshape(-1, 7)
    starts = np.searchsorted(rows[:, 0], np.arange(len(texts) + 1)).tolist()
    return [rows[start:stop, 1:].tolist() for start, stop in pairwise(starts)]


def kernel_words(module: ModuleType, texts: list[str]) -> list[list[str]]:
    encoded = [text.encode() for text in texts]
    rows = kernel_rows(module, texts)
    return [[whole[b : b + n].decode() for b, n, *_ in part] for whole, part in zip(encoded, rows, strict=True)]


def kernel_sentences(module: ModuleType, texts: list[str]) -> list[int]:
    laid_out = texts_of(texts)
    counts = np.full(len(texts), -1, np.int64)
    module.count_sentences(laid_out.data, laid_out.offsets, counts)
    return counts.tolist()


def assert_same(module: ModuleType, texts: list[str]) -> None:
    for text, found in zip(texts, kernel_words(module, texts), strict=True):
        assert found == words(text), repr(text)
    assert kernel_sentences(module, texts) == [count_sentences(text) for text in texts]


@pytest.mark.parametrize("text", TOKENS)
def test_tokens_are_those_that_spacy_gives(text: str) -> None:
    assert words(text) == TOKENS[text].split()


def test_what_looks_like_an_address_is_one() -> None:
    assert [text for text in ADDRESSES.split() if not is_url(text)] == []
    assert [text for text in NO_ADDRESSES.split() if is_url(text)] == []


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_ends_behind_its_mark_and_the_punctuation_that_follows(text: str) -> None:
    assert count_sentences(text) == SENTENCES[text]


def test_the_kernel_gives_the_tables_above(english_kernel: ModuleType) -> None:
    # The rules would cut the x:y of what is no address.
    paths = [f"{address.split('/x')[0]}/x:y" for address in (ADDRESSES + " " + NO_ADDRESSES).split()]
    assert sum(words(path) == [path] for path in paths) >= 10
    assert_same(english_kernel, [*TOKENS, *SENTENCES, *paths])


@given(
    st.lists(st.one_of(st.text(), st.builds("".join, st.lists(st.sampled_from(nasty_parts() + SPACES), max_size=12))))
)
def test_kernel_and_fallback_agree_on_any_text(texts: list[str]) -> None:
    module = kernel("english")
    if module is None:
        pytest.skip("the kernel english is not compiled here")
    assert_same(module, texts)


def test_kernel_and_fallback_agree_on_nasty_text(english_kernel: ModuleType) -> None:
    assert_same(english_kernel, nasty_texts(4000, seed=1))


def test_no_character_is_lost(english_kernel: ModuleType) -> None:
    for text in nasty_texts(1000, seed=2):
        assert "".join(words(text)) == "".join(text.split())


def test_a_token_knows_what_the_rules_ask_of_it(english_kernel: ModuleType) -> None:
    facts = load_facts()
    within = {name: set(spread(facts.ranges[name])) for name in ("symbol", "sentence_end")}
    texts = ["The be to of and that have with. the End ! 1 — -- 一。", *nasty_texts(300, seed=3)]
    for text, rows in zip(texts, kernel_rows(english_kernel, texts), strict=True):
        for word, (_, size, chars, flags, stop_word, _) in zip(words(text), rows, strict=True):
            assert (size, chars) == (len(word.encode()), len(word))
            assert bool(flags & 1) == any(ord(c) not in within["symbol"] for c in word), word
            assert bool(flags & 2) == any(c.isalpha() for c in word), word
            assert bool(flags & 4) == (len(word) == 1 and ord(word) in within["sentence_end"]), word
            assert bool(flags & 8) == all(unicodedata.category(c)[0] == "P" for c in word), word
            assert stop_word == (facts.stop_words.index(word) if word in facts.stop_words else 255)


def spread(bounds: list[int]) -> list[int]:
    return [c for i in range(0, len(bounds), 2) for c in range(bounds[i], bounds[i + 1] + 1)]


def test_the_hash_of_joined_tokens_is_that_of_the_joined_text(english_kernel: ModuleType) -> None:
    long = "wörd" * 100
    (left,), (right,), (both,) = kernel_rows(english_kernel, ["half", long, "half" + long])
    assert english_kernel.joined(left[-1], right[-1], right[1]) == both[-1]
    assert english_kernel.joined(right[-1], left[-1], left[1]) != both[-1]
    assert english_kernel.joined(0, left[-1], left[1]) == left[-1]
    assert english_kernel.joined(left[-1], 0, 0) == left[-1]


def test_what_the_cache_holds_changes_nothing(english_kernel: ModuleType) -> None:
    texts = nasty_texts(200, seed=4)
    first = kernel_rows(english_kernel, texts)
    crowd = [
        " ".join(f"{i:x}" + "-ab" * 18 + "." for i in range(120_000))
    ]  # more than it holds: dropped whole on the way
    assert kernel_sentences(english_kernel, crowd) == [120_000]
    assert kernel_rows(english_kernel, texts) == first
    assert kernel_sentences(english_kernel, crowd) == [120_000]


# Of each kind, a run without whitespace whose affixes, finds or candidates for a host are as many as its characters.
ENDLESS = [
    "(",
    ".",
    "..a",
    "a.",
    "@",
    "@/",
    "a@",
    "a.@",
    "@a.bc:1",
    ":(",
    "b/a.",
    "-",
    "a-",
    "1km",
    "'s",
    "中",
    "😀",
    "://",
]


@pytest.mark.parametrize("part", ENDLESS)
def test_a_megabyte_without_whitespace_takes_linear_time(part: str, english_kernel: ModuleType) -> None:
    laid_out = texts_of([part * (1_000_000 // len(part.encode()))])
    before = time.process_time()
    rows = np.frombuffer(english_kernel.tokens(laid_out.data, laid_out.offsets), np.int64).reshape(-1, 7)
    assert time.process_time() - before < 10
    assert rows[:, 2].sum() == laid_out.bytes_N.sum()


@pytest.mark.parametrize("part", ENDLESS)
def test_the_fallback_takes_linear_time_too(part: str, english_kernel: ModuleType) -> None:
    text = part * (50_000 // len(part.encode()))
    before = time.process_time()
    found = words(text)
    assert time.process_time() - before < 10
    assert found == kernel_words(english_kernel, [text])[0]


def test_text_that_is_not_utf8_is_refused(english_kernel: ModuleType) -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        english_kernel.tokens(b"a \xff", np.array([0, 3]))


def documents(shared_data: Path, every: int) -> list[str]:
    """Return every n-th document of every file of the corpus."""
    texts = []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for i, line in enumerate(lines) if i % every == 0]
    return texts


@sampling.every(300, whole=50)
def test_kernel_and_fallback_agree_on_real_text(shared_data: Path, english_kernel: ModuleType, every: int) -> None:
    texts = documents(shared_data, every)
    assert len(texts) > 50_000 / every
    assert_same(english_kernel, texts)


def test_the_facts_are_those_of_the_installed_spacy() -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed: the facts cannot be compared with its own")
    pytest.importorskip("datatrove", reason="datatrove is not installed: the facts cannot be compared with its own")
    facts = load_facts()
    collected = collect_facts()
    assert collected["classes"] == facts.ranges
    assert collected["exceptions"] == [" ".join(tokens) for tokens in facts.exceptions.values()]
    for name in ("prefixes", "suffixes", "after_digit", "hyphens", "stop_words"):
        assert collected[name] == getattr(facts, name)


@sampling.every(1500, whole=200)
def test_words_and_sentences_are_datatroves(request: pytest.FixtureRequest, every: int) -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed: its tokens cannot be compared")
    tokenizers = pytest.importorskip("datatrove.utils.word_tokenizers", reason="datatrove is not installed")
    datatrove = tokenizers.load_word_tokenizer("en")
    texts = nasty_texts(1_000_000 // every, seed=5)
    if Path(__file__).parents[3].joinpath("shared", "data").is_dir():
        texts += documents(request.getfixturevalue("shared_data"), every)
    for text in texts:
        assert words(text) == datatrove.word_tokenize(text), repr(text)
        assert count_sentences(text) == len(datatrove.sent_tokenize(text)), repr(text)
