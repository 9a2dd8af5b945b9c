"""The kinds of embedders, and what a step asks of the chosen one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.embedding import tfidf, transformer, wordllama
from tasks.embedding.tfidf import TfidfEmbedder
from tasks.embedding.transformer import TransformerEmbedder
from tasks.embedding.wordllama import WordLlamaEmbedder

Embedder = Annotated[TfidfEmbedder | TransformerEmbedder | WordLlamaEmbedder, Field(discriminator="kind")]
DEFAULT: Embedder = TfidfEmbedder()
# From N texts to their vectors of length 1, shape [N, D].
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class ModelFiles:
    """A model as it lies on this machine: files of a folder by name (None: all of them)."""

    folder: Path
    names: tuple[str, ...] | None = None


def sample_size(config: Embedder) -> int | None:
    """Return how many documents the embedder learns from before it embeds; None: it learns nothing."""
    match config:
        case TfidfEmbedder():
            return config.fit_documents
        case TransformerEmbedder() | WordLlamaEmbedder():
            return None
        case _ as other:
            assert_never(other)


def learn(config: Embedder, texts: Sequence[str], seed: int, folder: Path) -> None:
    """Write what the embedder learns from a sample of texts."""
    match config:
        case TfidfEmbedder():
            tfidf.save(tfidf.fit(texts, config, seed), folder)
        case TransformerEmbedder() | WordLlamaEmbedder():
            raise AssertionError("a model that was trained before learns nothing here")
        case _ as other:
            assert_never(other)


def model_files(config: Embedder) -> ModelFiles | None:
    """Return the files of a trained model that the embedder reads, if it reads some.

    Raises:
        ConfigError: the package that has them is not installed.
    """
    match config:
        case TfidfEmbedder():
            return None
        case TransformerEmbedder():
            folder = Path(config.model)
            return ModelFiles(folder.absolute()) if folder.is_dir() else None
        case WordLlamaEmbedder():
            return ModelFiles(wordllama.folder(), wordllama.FILES)
        case _ as other:
            assert_never(other)


def load(config: Embedder, folder: Path | None) -> Embed:
    """Return the embedder, loaded from what it learned or from its model's folder, where it has one of these."""
    match config:
        case TfidfEmbedder():
            assert folder is not None, "TF-IDF learns before it embeds"
            return tfidf.embedder(tfidf.load(folder))
        case TransformerEmbedder():
            return transformer.embedder(config, folder)
        case WordLlamaEmbedder():
            assert folder is not None, "its files are in the package"
            return wordllama.embedder(folder)
        case _ as other:
            assert_never(other)


def without_place(config: Embedder) -> Embedder:
    """Return the config without the path of a folder, whose content is what counts."""
    match config:
        case TfidfEmbedder() | WordLlamaEmbedder():
            return config
        case TransformerEmbedder():
            return config if model_files(config) is None else config.model_copy(update={"model": "(a folder)"})
        case _ as other:
            assert_never(other)
