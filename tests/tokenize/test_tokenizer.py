"""Byte-level BPE: no byte is lost, whatever the text, and what would lose one is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tasks.core.errors import ConfigError
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.tokenizer import DOCUMENT_END, Codec
from tests.cluster.curated import three_kinds

TEXTS = [row.text for row in three_kinds(40)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(bpe.train(TEXTS, 320), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def codec(trained: Path) -> Codec:
    return bpe.load(trained, DOCUMENT_END)


@given(st.text())
@example("\r")
@example("\r\n\n\r \t\x0b\x00\x7f\u0085\u2028\ufeff")
@example("👩‍👩‍👧‍👦🏳️‍🌈 Å Å ﬁ İ ẞ")
@example("   leading and trailing   ")
@example(f"a {DOCUMENT_END} in the text")
@example("")
def test_tokens_give_the_text_back_byte_for_byte(codec: Codec, text: str) -> None:
    tokens, lengths = bpe.encode(codec, ["a"], [text])
    assert bpe.decode(codec, tokens.tolist()) == text.encode()
    assert codec.token_bytes[tokens].sum() == len(text.encode())
    assert codec.document_end not in tokens
    assert lengths.tolist() == [tokens.size]
    assert codec.tokenizer.decode(tokens.tolist()) == text


@given(st.lists(st.text(), max_size=8))
def test_many_texts_are_encoded_as_each_alone(codec: Codec, texts: list[str]) -> None:
    tokens, lengths = bpe.encode(codec, [str(n) for n in range(len(texts))], texts)
    alone = [bpe.encode(codec, ["a"], [text])[0].tolist() for text in texts]
    assert tokens.tolist() == [token for own in alone for token in own]
    assert lengths.tolist() == [len(own) for own in alone]


def test_batches_lose_no_text(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bpe.encode(codec, TEXTS, TEXTS)
    monkeypatch.setattr(bpe, "_BATCH_CHARS", 300)
    cut = bpe.encode(codec, TEXTS, TEXTS)
    assert whole[0].tolist() == cut[0].tolist()
    assert whole[1].tolist() == cut[1].tolist()


def test_training_twice_gives_the_same_bytes() -> None:
    assert bpe.train(TEXTS, 320) == bpe.train(list(TEXTS), 320)


def test_training_compresses(codec: Codec) -> None:
    tokens, _ = bpe.encode(codec, TEXTS, TEXTS)
    assert codec.vocab_size == 320
    assert tokens.size < 0.6 * sum(len(text.encode()) for text in TEXTS)


def test_a_vocabulary_the_text_cannot_fill_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"4,096 tokens were asked for, the training text gives 2\d\d"):
        bpe.train(["too little"] * 3, 4096)


def test_the_byte_alphabet_is_that_of_the_library() -> None:
    assert set(bpe.byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(bpe.byte_alphabet().values()) == list(range(256))


def _changed(trained: Path, folder: Path, change: Callable[[Tokenizer], None]) -> Path:
    tokenizer = Tokenizer.from_file(str(trained))
    change(tokenizer)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def _lowercases(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()


def _composes(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.NFC()


def _adds_a_space(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def _strips(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Strip()


@pytest.mark.parametrize("change", [_lowercases, _composes, _adds_a_space, _strips])
def test_a_tokenizer_that_changes_text_is_refused_at_the_first_document(
    trained: Path, tmp_path: Path, change: Callable[[Tokenizer], None]
) -> None:
    codec = bpe.load(_changed(trained, tmp_path, change), DOCUMENT_END)
    with pytest.raises(ConfigError, match=r"document the-id has \d+ bytes of text.*changes text"):
        bpe.encode(codec, ["the-id"], ["Cafe\u0301 at the end "])


def _truncates_and_pads(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=640)


def test_truncation_and_padding_of_a_users_tokenizer_change_nothing(
    trained: Path, codec: Codec, tmp_path: Path
) -> None:
    limited = bpe.load(_changed(trained, tmp_path, _truncates_and_pads), DOCUMENT_END)
    found, expected = bpe.encode(limited, ["a"], [TEXTS[0]])[0], bpe.encode(codec, ["a"], [TEXTS[0]])[0]
    assert found.tolist() == expected.tolist()


def test_an_added_token_that_is_not_special_stands_for_its_text(trained: Path, tmp_path: Path) -> None:
    codec = bpe.load(_changed(trained, tmp_path, lambda tokenizer: tokenizer.add_tokens(["ü ü"])), DOCUMENT_END)
    tokens, _ = bpe.encode(codec, ["a"], ["aü üb"])
    assert codec.vocab_size == 321
    assert 320 in tokens
    assert codec.token_bytes[320] == 5


def test_an_end_token_the_tokenizer_does_not_have_is_answered_with_those_it_has(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"no special token '</s>'; it has '<\|document_end\|>'"):
        bpe.load(trained, "</s>")


def test_a_tokenizer_that_is_not_byte_level_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"▁the": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match="not byte-level: token 0 is '▁the'"):
        bpe.load(tmp_path / "tokenizer.json", "</s>")


def test_a_vocabulary_of_more_than_16_bits_gives_tokens_of_32(trained: Path, tmp_path: Path) -> None:
    path = _changed(trained, tmp_path, lambda tokenizer: tokenizer.add_tokens([f"word{n}" for n in range(65_300)]))
    large, small = bpe.load(path, DOCUMENT_END), bpe.load(trained, DOCUMENT_END)
    tokens, lengths = bpe.encode(large, ["a"], ["word65299 river"])
    assert large.vocab_size == 65_620 and tokens.dtype == np.dtype("<u4") and tokens[0] == 65_619
    assert bpe.decode(large, tokens.tolist()) == b"word65299 river" and lengths.tolist() == [tokens.size]
    assert bpe.encode(small, ["a"], ["river"])[0].dtype == np.dtype("<u2")


@pytest.mark.parametrize("text", ["{", json.dumps({"version": "1.0"})])
def test_a_file_that_is_not_a_tokenizer_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ConfigError, match=r"is not a tokenizer\.json"):
        bpe.load(tmp_path / "tokenizer.json", DOCUMENT_END)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        bpe.load(tmp_path / "none.json", DOCUMENT_END)
