"""Compressed streams: several members, long windows, dictionaries; what is too much or damaged is told apart."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from tasks.core.errors import DataError
from tasks.ingest.readers import stream as stream_module
from tasks.ingest.readers.stream import decompressed

PACK: dict[str, Callable[[bytes], bytes]] = {
    "bzip2": bz2.compress,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
TEXT = b"".join(b"line %d of a text that is long enough to be cut\n" % number for number in range(4000))


def unpacked(data: bytes, compression: Any, size: int = 1 << 20, **limits: Any) -> bytes:
    blocks = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(decompressed(blocks, compression, "a.file", **limits))


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_several_members_are_read_one_after_another_however_the_stream_is_cut(compression: str, size: int) -> None:
    pack = PACK[compression]
    padding = b"" if compression == "zstd" else b"\0" * 8
    stream = pack(b"one ") + padding + pack(b"two ") + pack(b"three") + padding
    assert unpacked(stream, compression, size) == b"one two three"


@pytest.mark.parametrize("compression", PACK)
def test_a_stream_that_is_cut_or_changed_is_damaged(compression: str) -> None:
    whole = PACK[compression](TEXT)
    assert unpacked(whole, compression, 1000) == TEXT
    with pytest.raises(DataError, match=r"a\.file: the \w+ stream ends before its end marker"):
        unpacked(whole[: len(whole) // 2], compression)
    with pytest.raises(DataError, match=r"a\.file: the \w+ stream is damaged"):
        unpacked(whole[:12] + b"\xff" * 40 + whole[52:], compression)


@pytest.mark.parametrize("compression", PACK)
def test_a_stream_that_grows_too_much_is_a_bomb(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "EXPANSION_FLOOR", 1_000_000)
    data = PACK[compression](b"\0" * 8_000_000)
    with pytest.raises(DataError, match=r"the \w+ stream is a decompression bomb"):
        unpacked(data, compression, max_expansion=50)


def long_window(log: int, content: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=True, hash_log=12, chain_log=12)
    engine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return engine.compress(content) + engine.flush()


def test_a_long_window_is_read_or_named_with_the_limit_that_refuses_it() -> None:
    data = long_window(28, TEXT)
    assert zstandard.get_frame_parameters(data).window_size == 1 << 28
    assert unpacked(data, "zstd", 100) == TEXT
    with pytest.raises(DataError, match=r"window of 268,435,456 bytes, .*Raise ingest\.max_zstd_window_bytes") as error:
        unpacked(data, "zstd", max_window=1 << 27)
    assert "damaged (" not in str(error.value) and "Get the file again" not in str(error.value)
    with pytest.raises(DataError, match="stream is damaged"):
        unpacked(data[:40] + b"\xff" * 40 + data[80:], "zstd")


def skippable(magic: bytes, content: bytes) -> bytes:
    return magic + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", [5, 1 << 20])
def test_a_dictionary_at_the_beginning_serves_all_frames(packed: bool, size: int) -> None:
    samples = [b"WARC/1.0\r\nWARC-Type: response\r\nrecord %d of many like it\r\n" % n for n in range(400)]
    dictionary = zstandard.train_dictionary(2000, samples)
    engine = zstandard.ZstdCompressor(dict_data=dictionary)
    stored = zstandard.ZstdCompressor().compress(dictionary.as_bytes()) if packed else dictionary.as_bytes()
    frames = [engine.compress(sample) for sample in samples]
    other = skippable(b"\x50\x2a\x4d\x18", b"for other programs")
    stream = skippable(b"\x5d\x2a\x4d\x18", stored) + frames[0] + other + b"".join(frames[1:])
    assert unpacked(stream, "zstd", size) == b"".join(samples)
    with pytest.raises(DataError, match=r"written with dictionary \d+, which is not in the file"):
        unpacked(frames[0], "zstd")
    with pytest.raises(DataError, match="a dictionary of 2,147,483,647 bytes, which is none"):
        unpacked(b"\x5d\x2a\x4d\x18\xff\xff\xff\x7f" + stored, "zstd")
