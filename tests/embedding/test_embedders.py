"""Embedders: TF-IDF, WordLlama, and a sentence-transformers model where there is one; long texts in chunks."""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tasks.core.errors import ConfigError
from tasks.core.identity import reads_of
from tasks.embedding import kinds, tfidf, transformer, wordllama
from tasks.embedding.tfidf import TfidfEmbedder
from tasks.embedding.transformer import TransformerEmbedder
from tasks.embedding.unit import EmbedderFiles, embedded
from tasks.embedding.wordllama import WordLlamaEmbedder
from tasks.runtime.files import folder_tree
from tests.cluster.curated import three_kinds

SMALL = TfidfEmbedder(dimensions=8, min_term_documents=2)


def test_kinds_of_text_lie_apart_and_a_kind_lies_together() -> None:
    rows = three_kinds(40)
    vectors = tfidf.embedder(tfidf.fit([row.text for row in rows], SMALL, 0))([row.text for row in rows])
    kinds = np.array([row.source for row in rows])
    alike = vectors @ vectors.T
    same = kinds[:, None] == kinds[None]
    assert alike[same].min() > alike[~same].max()


def test_a_vector_does_not_depend_on_the_texts_around_it() -> None:
    texts = [row.text for row in three_kinds(30)]
    model = tfidf.fit(texts, SMALL, 0)
    assert np.array_equal(tfidf.embedder(model)(texts)[7:9], tfidf.embedder(model)(texts[7:9]))


def test_the_model_comes_back_from_the_disk_as_it_was(tmp_path: Path) -> None:
    texts = [row.text for row in three_kinds(30)]
    model = tfidf.fit(texts, SMALL, 0)
    tfidf.save(model, tmp_path)
    assert np.array_equal(tfidf.embedder(tfidf.load(tmp_path))(texts), tfidf.embedder(model)(texts))


def test_text_without_a_known_term_gives_zeros_and_no_text_gives_no_rows() -> None:
    model = tfidf.fit([row.text for row in three_kinds(30)], SMALL, 0)
    assert not tfidf.embedder(model)(["42 7"]).any()
    assert tfidf.embedder(model)([]).shape == (0, 8)


@pytest.mark.parametrize("texts", [["river stone"] * 3, [], ["1 2 3"] * 50])
def test_too_little_text_is_refused_with_numbers(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"{len(texts)} documents give . terms.*8 dimensions need more"):
        tfidf.fit(texts, SMALL, 0)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"mixwright\[embeddings\]"):
        transformer.embedder(TransformerEmbedder(kind="sentence_transformers", model="a-model"), None)


def test_the_model_named_is_the_model_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    class Model:
        device = SimpleNamespace(type="cpu")

        def __init__(self, name: str, revision: str | None) -> None:
            loaded.append((name, revision))

        def encode(self, texts: list[str], **options: object) -> np.ndarray:
            return np.ones((len(texts), 3)) / np.sqrt(3)

    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=Model))
    config = TransformerEmbedder(kind="sentence_transformers", model="some/model", revision="abc")
    embed = transformer.embedder(config, None)
    assert embed(["one", "two"]).shape == (2, 3)
    assert embed([]).shape == (0, 3)
    assert loaded == [("some/model", "abc")]


def test_a_model_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, revision: str | None) -> None:
        raise OSError("no such model")

    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=fail))
    with pytest.raises(ConfigError, match=r"'some/model'.*no such model"):
        transformer.embedder(TransformerEmbedder(kind="sentence_transformers", model="some/model"), None)


def test_a_model_folder_is_what_it_holds_wherever_it_lies(tmp_path: Path) -> None:
    found = []
    for place, weights in (("one", "1"), ("two", "1"), ("two", "2")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "weights").write_text(weights)
        config = TransformerEmbedder(kind="sentence_transformers", model=str(tmp_path / place))
        files = kinds.model_files(config)
        assert files is not None
        found.append(reads_of(EmbedderFiles(kinds.without_place(config), folder_tree(files.folder))))
    assert found[0] == found[1] != found[2]


@pytest.fixture(scope="module")
def wordllama_embed() -> kinds.Embed:
    """The embedder of the wheel, as a stage loads it."""
    if find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed here")
    files = kinds.model_files(WordLlamaEmbedder(kind="wordllama"))
    assert files is not None
    return kinds.load(WordLlamaEmbedder(kind="wordllama"), folder_tree(files.folder, files.names).local())


def test_wordllama_groups_by_topic_what_shares_no_word(wordllama_embed: kinds.Embed) -> None:
    texts = [
        "The baker sells fresh bread.",
        "We roasted a cake with butter and flour.",
        "Stocks fell on Wall Street today.",
        "An investor bought bonds at the market.",
    ]
    vectors = wordllama_embed(texts)
    alike = vectors @ vectors.T
    assert alike[0, 1] > max(alike[0, 2:]) and alike[2, 3] > max(alike[2, :2])


def test_a_vector_of_wordllama_does_not_depend_on_the_texts_around_it(wordllama_embed: kinds.Embed) -> None:
    texts = [row.text for row in three_kinds(10)] + ["", "京都 naïve \U0001f600"]
    vectors = wordllama_embed(texts)
    assert np.array_equal(vectors[7:9], wordllama_embed(texts[7:9]))
    assert not vectors[-2].any() and np.linalg.norm(vectors[-1]) == pytest.approx(1)
    assert wordllama_embed([]).shape == (0, 256)


def test_wordllama_is_what_its_own_package_gives(wordllama_embed: kinds.Embed) -> None:
    # In a process of its own: the import of the package sets up logging.
    texts = [row.text for row in three_kinds(5)] + ["Größe, 部屋"]
    asked = """
import json, sys
from pathlib import Path
import wordllama
model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
print(json.dumps(model.embed(json.load(sys.stdin), norm=True).tolist()))
"""
    done = subprocess.run(
        [sys.executable, "-c", asked], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    assert np.allclose(wordllama_embed(texts), json.loads(done.stdout), atol=1e-6)


def test_a_missing_static_embedding_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordllama, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"mixwright\[static-embeddings\]"):
        kinds.model_files(WordLlamaEmbedder(kind="wordllama"))


def test_a_long_text_in_chunks_is_their_mean_by_characters() -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32) / [
            [max(1, len(t))] for t in texts
        ]

    vectors = embedded(embed, ["aaab", "aaaabb", "", "b"], 4)
    assert np.allclose(vectors[0], np.array([3, 1]) / np.sqrt(10))
    assert np.allclose(vectors[1], np.array([4, 2]) / np.sqrt(20))
    assert not vectors[2].any() and vectors[3].tolist() == [0, 1]
