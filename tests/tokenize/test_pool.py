"""The token pool on the disk."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.tokenize.pool import TokenPool, read_pool, token_path, write_pool
from tasks.tokenize.published import TokenPoolIndex


def _pool(folder: Path) -> TokenPool:
    domains = {
        "prose": {"train": [1, 2, 3, 0, 4, 0], "search": [1, 0], "test": [2, 2, 0]},
        "code": {"train": [4, 0], "test": [4, 0]},
    }
    return write_pool(folder, domains, vocab_size=5, document_end=0, token_bytes=[9, 1, 2, 3, 4])


def test_a_pool_says_what_was_written(tmp_path: Path) -> None:
    _pool(tmp_path)
    pool = read_pool(tmp_path)
    assert pool.names == ("prose", "code")
    assert pool.tokens("train").tolist() == [6, 2]
    assert pool.bytes("train").tolist() == [10, 4]
    assert pool.domains[0].splits["train"].starts.tolist() == [0, 4]
    assert pool.domains[0].splits["train"].tokens.tolist() == [1, 2, 3, 0, 4, 0]
    assert pool.domains[1].splits["search"].tokens.size == 0
    assert pool.token_bytes.tolist() == [0, 1, 2, 3, 4]
    assert (pool.vocab_size, pool.document_end) == (5, 0)


def test_tokens_lie_on_the_disk_as_16_bits_little_endian(tmp_path: Path) -> None:
    write_pool(tmp_path, {"a": {"train": [258, 0]}}, vocab_size=300, document_end=0)
    assert (tmp_path / "tokens/train/00-a.bin").read_bytes() == b"\x02\x01\x00\x00"


@given(st.integers(0, 200), st.integers(1, 20))
def test_rows_make_every_token_but_the_first_a_target_once_until_the_rest_is_too_short(
    tokens: int, length: int
) -> None:
    pool = _arange_pool(tokens)
    rows = int(pool.rows("train", length)[0])
    targets = [int(target) for row in range(rows) for target in pool.row(0, "train", row, length)[1:]]
    assert targets == list(range(1, rows * length + 1))
    assert tokens - 1 - len(targets) < length
    with pytest.raises(IndexError):
        pool.row(0, "train", rows, length)


def _arange_pool(tokens: int) -> TokenPool:
    from tasks.tokenize.pool import DomainTokens, SplitTokens

    split = SplitTokens(np.arange(tokens, dtype=np.uint16), np.zeros(1, dtype=np.uint64), tokens)
    return TokenPool((DomainTokens(0, "a", {"train": split}),), 300, 0, np.ones(300, dtype=np.uint16))


def test_a_file_cut_short_is_named_with_what_was_expected(tmp_path: Path) -> None:
    _pool(tmp_path)
    path = tmp_path / "tokens/train/00-prose.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"00-prose.bin: expected 6 numbers \(12 bytes\), found 10 bytes"):
        read_pool(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    _pool(tmp_path)
    (tmp_path / "tokens/test/01-code.bin").unlink()
    with pytest.raises(DataError, match=r"01-code.bin: .*found no file"):
        read_pool(tmp_path)


def test_a_folder_without_a_pool_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Run that stage again, or `dvc pull`"):
        read_pool(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 7}'])
def test_an_index_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(DataError, match=r"tokens\.json"):
        read_pool(tmp_path)


def test_domains_with_a_gap_in_their_numbers_are_refused(tmp_path: Path) -> None:
    _pool(tmp_path)
    value = json.loads((tmp_path / "tokens.json").read_text())
    value["domains"][1]["index"] = 2
    (tmp_path / "tokens.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match="in the order of their index"):
        read_pool(tmp_path)


def test_a_token_outside_the_vocabulary_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 3 token ids lie outside the vocabulary of 5; first: 5 at position 2"):
        write_pool(tmp_path, {"a": {"train": [1, 0, 5]}}, vocab_size=5, document_end=0)


@pytest.mark.parametrize(("vocab_size", "bits"), [(65_536, 16), (65_537, 32), (262_144, 32)])
def test_the_tokens_of_a_large_vocabulary_have_32_bits_and_the_index_says_so(
    tmp_path: Path, vocab_size: int, bits: int
) -> None:
    pool = write_pool(tmp_path, {"a": {"train": [vocab_size - 1, 7, 0]}}, vocab_size=vocab_size, document_end=0)
    assert pool.domains[0].splits["train"].tokens.tolist() == [vocab_size - 1, 7, 0]
    assert TokenPoolIndex.read(tmp_path).token_bits == bits
    assert (tmp_path / "tokens/train/00-a.bin").stat().st_size == 3 * bits // 8


def test_an_index_whose_vocabulary_does_not_fit_its_bits_is_refused(tmp_path: Path) -> None:
    write_pool(tmp_path, {"a": {"train": [65_536, 0]}}, vocab_size=65_537, document_end=0)
    path = tmp_path / "tokens.json"
    path.write_text(path.read_text().replace('"token_bits": 32', '"token_bits": 16'))
    with pytest.raises(DataError, match="65537 token ids with the end 0 in 16 bits"):
        read_pool(tmp_path)


@pytest.mark.parametrize("name", ["", "a/b", "../a", "-a", "ä"])
def test_a_name_that_cannot_name_a_file_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="cannot be part of a file name"):
        token_path("train", 0, name)


def test_reading_a_pool_needs_numpy_and_pydantic_alone() -> None:
    code = (
        "import sys; import tasks.tokenize.pool; "
        "print(sorted({'pyarrow', 'tokenizers', 'torch', 'yaml'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
