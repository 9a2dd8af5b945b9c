"""Decontamination: what shares words with a benchmark is found, by words and not by hashes, and counted."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.errors import ConfigError, DataError
from tasks.core.results import Here
from tasks.curate.decontaminate.benchmarks import Benchmark, Decontaminate, benchmark_files, read_benchmark
from tasks.curate.decontaminate.contamination import contamination, matches, matches_in_python
from tasks.curate.decontaminate.index import (
    BASE,
    NgramIndex,
    index_of,
    ngram_hashes,
    read_index,
    word_hash,
    word_places,
    words,
    write_index,
)
from tasks.curate.decontaminate.unit import (
    CONTAMINATION,
    DecontaminateArgs,
    IndexArgs,
    decontaminate_shard,
    in_all,
    index_benchmarks,
)
from tasks.curate.native import kernel
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import texts_of
from tasks.ingest.published.documents import DOCUMENT
from tasks.runtime.files import file_handle, folder_tree
from tests.curate.folders import document

QUESTION = "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins."
OTHER = "A robe takes two bolts of blue fiber and half that much white fiber; how many bolts in total does it take?"


def config(ngram_words: int = 13, whole_text_words: int | None = None, **others: Any) -> Decontaminate:
    return Decontaminate(benchmarks=("-",), ngram_words=ngram_words, whole_text_words=whole_text_words, **others)


def index(params: Decontaminate, **texts: Sequence[str]) -> NgramIndex:
    return index_of([Benchmark(name, tuple((text,) for text in found)) for name, found in texts.items()], params)


def found(texts: Sequence[str], within: NgramIndex) -> list[tuple[int, str, int, str]]:
    """Document, benchmark, hits and first n-gram of everything that is hit."""
    hit = contamination(texts_of(list(texts)), within)
    rows = np.stack([hit.documents_H, hit.benchmarks_H, hit.hits_H, hit.first_H], axis=1).tolist()
    return [(d, within.coverage[b].benchmark, h, within.words(e)) for d, b, h, e in rows]


# ---- What is found -----------------------------------------------------------------------------------------------------


def test_a_document_that_quotes_thirteen_words_is_found_whatever_their_dress() -> None:
    quoted = "Once:  JANET’S ducks — lay “16” eggs, per\nday! She eats three (for) breakfast. And then some"
    ngram = "janet s ducks lay 16 eggs per day she eats three for breakfast"
    within = index(config(), gsm=[QUESTION], other=[OTHER])
    assert found(["nothing", quoted, ""], within) == [(1, "gsm", 1, ngram)]
    assert found([QUESTION], within) == [(0, "gsm", len(words(QUESTION)) - 12, ngram)]


def test_twelve_words_are_not_enough() -> None:
    twelve = " ".join(words(QUESTION)[:12])
    assert found([twelve, twelve + " x " + " ".join(words(QUESTION)[12:])], index(config(), gsm=[QUESTION])) == []


def test_a_shorter_text_is_looked_for_whole_or_not_at_all() -> None:
    short = "the capital of isabel perón is buenos aires"
    document_ = f"They say: {short.upper()}, do they not?"
    assert found([document_], index(config(whole_text_words=8), wiki=[short])) == [(0, "wiki", 1, short)]
    assert found([document_], index(config(whole_text_words=9), wiki=[short])) == []
    assert found([document_], index(config(), wiki=[short])) == []
    assert found([short[:-3]], index(config(whole_text_words=8), wiki=[short])) == []


def test_an_ngram_of_two_benchmarks_counts_for_both() -> None:
    within = index(config(3), a=["one two three"], b=["zero one two three four"])
    assert found(["so one two three four"], within) == [(0, "a", 1, "one two three"), (0, "b", 2, "one two three")]


def test_the_first_ngram_is_the_first_in_the_document() -> None:
    within = index(config(2), a=["x y z", "p q r"])
    assert found(["p q - y z - x y"], within) == [(0, "a", 3, "p q")]


def test_ngrams_of_numbers_are_everybodys() -> None:
    within = index(config(4), code=["1 2 3 4 5 6 seven eight"])
    assert found(["count 1 2 3 4 5 6"], within) == []
    assert within.coverage[0].ngrams_of_numbers == 4  # 4 5 6 seven has a letter in one word of four
    assert found(["5 6 seven eight"], within) == [(0, "code", 1, "5 6 seven eight")]


def test_chinese_characters_and_kana_are_words() -> None:
    assert words("東京タワーは333mです。") == ["東", "京", "タ", "ワ", "ー", "は", "333m", "で", "す"]
    assert found(["彼は東京タワーへ行った"], index(config(5), jp=["東京タワーは高い"])) == [
        (0, "jp", 1, "東 京 タ ワ ー")
    ]


@given(st.text(st.sampled_from("aZ9'. \n\u0130\u00df\u00e9東ワ👩\U00020001")))
def test_every_word_lies_between_its_bytes(text: str) -> None:
    found = [text.encode()[first:end].decode() for first, end in word_places(text).tolist()]
    assert [words(one) for one in found] == [[word] for word in words(text)]


def test_equal_hashes_do_not_decide() -> None:
    within = index(config(2), a=["alpha beta"])
    impostor = ngram_hashes(np.array([word_hash("gamma"), word_hash("delta")], np.uint64), 2)
    forged = replace(within, hashes_E=impostor)
    assert matches_in_python(texts_of(["gamma delta"]), forged).tolist() == []
    assert matches(texts_of(["gamma delta"]), forged).tolist() == []
    both = replace(
        within,
        hashes_E=np.repeat(within.hashes_E, 2),
        text=np.frombuffer(b"other wordsalpha beta", np.uint8),
        starts_E=np.array([0, 11]),
        ends_E=np.array([11, 21]),
        num_words_E=np.array([2, 2], np.int32),
        benchmark_E=np.array([0, 0], np.int32),
    )
    for search in (matches, matches_in_python):
        assert search(texts_of(["alpha beta"]), both).tolist() == [[0, 0, 1]]


# ---- Kernel and fallback -----------------------------------------------------------------------------------------------

LETTERS = (
    "aAbß İıΣςǅée\u0301\u0345٣²½ⅷ漢字カｶー\u3099한국각\u0938\u094d_-.'’\n\r\t\x00\x0b\x85\u2028\u200b\ufeff"
    "\U00020000😀𝐀\U00010428"
)
NASTY = st.text(LETTERS, max_size=25) | st.text(max_size=10)


@settings(max_examples=300)
@given(st.lists(NASTY, max_size=5), st.lists(NASTY, min_size=1, max_size=4), st.integers(2, 5), st.booleans())
def test_kernel_and_fallback_find_the_same(texts: list[str], benchmark: list[str], n: int, whole: bool) -> None:
    compiled()
    params = config(n, 2 if whole else None)
    within = index(params, a=benchmark, b=benchmark[:1])
    every = texts_of([*texts, *benchmark, *(text[1:] for text in benchmark)])
    assert matches(every, within).tolist() == matches_in_python(every, within).tolist()


def test_kernel_and_fallback_agree_on_a_slice_and_on_nothing() -> None:
    compiled()
    within, column = index(config(2), a=["b c d"]), pa.array(["a b c", "x", "b c d", "c d"], pa.large_string())
    for texts in (texts_of(column.slice(1)), texts_of([])):
        assert matches(texts, within).tolist() == matches_in_python(texts, within).tolist()
    assert len(matches(texts_of(column.slice(1)), within)) == 3
    empty = index(config(2), a=["b"])
    assert matches(texts_of(column), empty).tolist() == matches_in_python(texts_of(column), empty).tolist() == []


def test_the_kernel_refuses_an_index_that_points_outside_its_text() -> None:
    search = compiled().search
    within = index(config(2), a=["b c"])
    arrays = (within.hashes_E, within.starts_E, within.ends_E + 1, within.num_words_E)
    with pytest.raises(ValueError, match="outside its text"):
        search(b"", np.zeros(1, np.int64), within.text, *arrays)
    arrays = (within.hashes_E, within.starts_E, within.ends_E[:0], within.num_words_E)
    with pytest.raises(ValueError, match="different lengths"):
        search(b"", np.zeros(1, np.int64), within.text, *arrays)


def test_the_hash_is_the_one_that_is_written_down() -> None:
    assert word_hash("") == 0xCBF29CE484222325
    assert word_hash("a") == 0xAF63DC4C8601EC8C  # the published test vector of FNV-1a
    pair = ngram_hashes(np.array([3, 5], np.uint64), 2)
    assert pair.tolist() == [(3 * BASE + 5) % 2**64]


# ---- What the report says ----------------------------------------------------------------------------------------------


def test_what_is_too_short_is_counted() -> None:
    params = config(4, 3)
    items = (("a b c d e", "short"), ("a b c",), ("x", "y z"), ("a b c d",))
    (covered,) = index_of([Benchmark("b", items)], params).coverage
    assert (covered.items, covered.items_unseen, covered.texts, covered.texts_whole) == (4, 1, 6, 1)
    assert (covered.texts_too_short, covered.ngrams, covered.ngrams_of_numbers) == (3, 3, 0)


def test_whole_texts_are_no_longer_than_ngrams() -> None:
    with pytest.raises(ValidationError, match="would never be looked for"):
        config(5, 6)


# ---- Files -------------------------------------------------------------------------------------------------------------


def write(path: Path, *items: Any) -> Path:
    path.write_text("\n".join(item if isinstance(item, str) else json.dumps(item) for item in items), encoding="utf-8")
    return path


def test_every_string_of_an_item_counts_unless_fields_are_named(tmp_path: Path) -> None:
    item = {"query": "q", "choices": ["c1", "c2"], "gold": 1, "more": {"deep": ["d"], "none": None}}
    path = write(tmp_path / "b.jsonl", item, "", {"query": "r", "gold": 0})
    assert read_benchmark("b", path, None).items == (("q", "c1", "c2", "d"), ("r",))
    assert read_benchmark("b", path, ("choices", "query")).items == (("c1", "c2", "q"), ("r",))


def test_globs_and_compressed_files_are_benchmarks_by_name(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", {"q": OTHER})
    (tmp_path / "two.jsonl.gz").write_bytes(gzip.compress(json.dumps({"q": QUESTION}).encode()))
    params = Decontaminate(benchmarks=(str(tmp_path / "*.jsonl*"), str(tmp_path / "one.jsonl")))
    assert list(benchmark_files(params)) == ["one", "two"]
    assert [one.items for one in benchmark_ngrams(params).coverage] == [1, 1]


def test_benchmarks_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.jsonl: there is no such file"):
        benchmark_files(Decontaminate(benchmarks=(str(tmp_path / "gone.jsonl"),)))
    with pytest.raises(ConfigError, match=r"\*\.jsonl: the glob matches no file"):
        benchmark_files(Decontaminate(benchmarks=(str(tmp_path / "*.jsonl"),)))
    (tmp_path / "other").mkdir()
    both = (str(write(tmp_path / "b.jsonl", {"q": "a"})), str(write(tmp_path / "other" / "b.jsonl", {"q": "b"})))
    with pytest.raises(ConfigError, match="would both be called b"):
        benchmark_files(Decontaminate(benchmarks=both))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ('{"q": "a"}\n{"q": \n', DataError, r"line 2: this is no JSON"),
        ('{"q": "a"}\n["b"]\n', DataError, r"line 2: expected a JSON object, found list"),
        ("\n \n", DataError, r"there is no item"),
        ('{"n": 1, "m": [2]}\n', ConfigError, r"none of its 1 items has a string"),
    ],
)
def test_a_benchmark_that_cannot_be_used_is_named(
    tmp_path: Path, content: str, error: type[Exception], message: str
) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(content)
    with pytest.raises(error, match=rf"b\.jsonl.*{message}"):
        benchmark_ngrams(Decontaminate(benchmarks=(str(path),)))


def test_fields_that_no_item_has_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "b.jsonl", {"q": "a"})
    with pytest.raises(ConfigError, match=r"has text in the field\(s\) context, query"):
        benchmark_ngrams(Decontaminate(benchmarks=(str(path),), fields=("context", "query")))


def test_a_damaged_archive_and_undecodable_bytes_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps({"q": QUESTION}).encode() * 50)
    (tmp_path / "b.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"b\.jsonl\.gz.*Fetch the file again|no JSON"):
        read_benchmark("b", tmp_path / "b.jsonl.gz", None)
    (tmp_path / "c.jsonl").write_bytes(b'{"q": "\xff"}\n')
    with pytest.raises(DataError, match=r"c\.jsonl, line 1: this is no JSON"):
        read_benchmark("c", tmp_path / "c.jsonl", None)


def benchmark_ngrams(params: Decontaminate) -> NgramIndex:
    """The index of the files that params name."""
    return index_of(
        [read_benchmark(name, path, params.fields) for name, path in benchmark_files(params).items()], params
    )


# ---- Units -------------------------------------------------------------------------------------------------------------


def units(folder: Path, params: Decontaminate, texts: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rows = [document(f"d{i}", text) for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENT), folder / "shard.parquet")
    (folder / "index").mkdir()
    benchmarks = {name: file_handle(path) for name, path in benchmark_files(params).items()}
    index_benchmarks(IndexArgs(benchmarks, params), Here(folder / "index"))
    args = DecontaminateArgs(
        TextSource(file_handle(folder / "shard.parquet")), folder_tree(folder / "index"), params.min_hits
    )
    result = decontaminate_shard(args, Here(folder))
    return pq.read_table(folder / CONTAMINATION).to_pylist(), dict(result.summary)


def test_a_contaminated_document_has_one_row_for_its_worst_benchmark(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"q": "one two three"})
    write(tmp_path / "b.jsonl", {"q": "zero one two three four"}, {"q": "p q r"})
    params = Decontaminate(benchmarks=(str(tmp_path / "*.jsonl"),), ngram_words=3, whole_text_words=None)
    rows, summary = units(tmp_path, params, ["clean", "one two three four", "P, q, r!", "", "one two three"])
    assert rows == [
        {"id": "d1", "benchmark": "b", "hits": 2, "ngram": "one two three"},
        {"id": "d2", "benchmark": "b", "hits": 1, "ngram": "p q r"},
        {"id": "d4", "benchmark": "a", "hits": 1, "ngram": "one two three"},
    ]
    assert summary == {"documents": 5, "documents_hit": 3, "documents_hit_per_benchmark": {"a": 2, "b": 3}}


def test_the_summaries_of_shards_add_up() -> None:
    told = [
        {"documents_hit": 2, "documents_hit_per_benchmark": {"a": 2, "b": 1}},
        {"documents_hit": 1, "documents_hit_per_benchmark": {"a": 0, "b": 1}},
    ]
    whole = in_all({"benchmarks": [{"benchmark": "a"}, {"benchmark": "b"}]}, told)
    assert whole == {
        "benchmarks": [{"benchmark": "a", "documents_hit": 2}, {"benchmark": "b", "documents_hit": 2}],
        "documents_hit": 3,
    }


def test_fewer_hits_than_asked_for_are_none(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", {"q": "zero one two three four"})
    params = Decontaminate(benchmarks=(str(tmp_path / "b.jsonl"),), ngram_words=3, whole_text_words=None, min_hits=2)
    rows, summary = units(tmp_path, params, ["one two three", "one two three four", ""])
    assert [(row["id"], row["hits"]) for row in rows] == [("d1", 2)]
    assert summary["documents_hit_per_benchmark"] == {"b": 1}


def test_an_empty_shard_has_no_rows_but_a_schema(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", {"q": QUESTION})
    rows, summary = units(tmp_path, Decontaminate(benchmarks=(str(tmp_path / "b.jsonl"),)), [])
    assert rows == [] and summary["documents_hit"] == 0
    assert pq.read_schema(tmp_path / CONTAMINATION).names == ["id", "benchmark", "hits", "ngram"]


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = index(config(3, 2), a=[QUESTION, "x y"], b=[OTHER])
    write_index(made, tmp_path)
    read = read_index(tmp_path)
    assert read.coverage == made.coverage
    for name in ("text", "hashes_E", "starts_E", "ends_E", "num_words_E", "benchmark_E"):
        assert getattr(read, name).tolist() == getattr(made, name).tolist()
    (tmp_path / "text.npy").unlink()
    with pytest.raises(DataError, match="no whole index"):
        read_index(tmp_path)


# ---- Real text ---------------------------------------------------------------------------------------------------------


WIKIPEDIA = ("wikipedia_core-000", "wikipedia_core-001", "wikipedia_states-000")


@pytest.mark.parametrize(
    ("benchmarks", "shards"),
    [
        (("boolq",), WIKIPEDIA),
        pytest.param(
            ("boolq", "gsm8k", "mmlu"), (*WIKIPEDIA, "math_gsm8k-000", "math_gsm8k-001"), marks=pytest.mark.slow
        ),
    ],
)
def test_real_contamination_is_what_comparing_all_ngrams_gives(
    shared_data: Path, benchmarks: tuple[str, ...], shards: tuple[str, ...]
) -> None:
    compiled()
    paths = tuple(str(shared_data / "evals" / f"{name}.jsonl") for name in benchmarks)
    params = Decontaminate(benchmarks=paths, whole_text_words=None)
    within = benchmark_ngrams(params)
    texts = [text for shard in shards for text in _shard(shared_data, shard)]
    hit = found(texts, within)
    expected = Counter[tuple[int, str]]()
    for name, path in benchmark_files(params).items():
        grams = {gram for item in read_benchmark(name, path, None).items for text in item for gram in _grams(text)}
        lettered = {gram for gram in grams if 2 * sum(any(map(str.isalpha, word)) for word in gram) >= 13}
        for number, text in enumerate(texts):
            if hits := sum(gram in lettered for gram in _grams(text)):
                expected[number, name] = hits
    assert {(number, name): hits for number, name, hits, _ in hit} == dict(expected)
    # The note beside the data finds overlaps of these three, in these sources, and in no other benchmark but these.
    assert Counter(name for _, name, _, _ in hit)["boolq"] == 5


def _shard(shared_data: Path, name: str) -> list[str]:
    with gzip.open(shared_data / "corpus" / f"{name}.jsonl.gz", "rt") as stream:
        return [json.loads(line)["text"] for line in stream]


def _grams(text: str) -> list[tuple[str, ...]]:
    found_ = words(text)
    return [tuple(found_[i : i + 13]) for i in range(len(found_) - 12)]


def compiled() -> Any:
    module = kernel("ngrams")
    if module is None:
        pytest.skip("the kernel ngrams is not compiled here: there is only the fallback")
    return module
