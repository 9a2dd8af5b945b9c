"""The kinds of embedders, and what a step asks of the chosen one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.cluster.embedders import tfidf, transformer
from tasks.cluster.embedders.tfidf import TfidfEmbedder
from tasks.cluster.embedders.transformer import TransformerEmbedder

Embedder = Annotated[TfidfEmbedder | TransformerEmbedder, Field(discriminator="kind")]
DEFAULT: Embedder = TfidfEmbedder()
# From N texts to their vectors of length 1, shape [N, D].
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]


def sample_size(config: Embedder) -> int | None:
    """Return how many documents the embedder learns from before it embeds; None: it learns nothing."""
    match config:
        case TfidfEmbedder():
            return config.fit_documents
        case TransformerEmbedder():
            return None
        case _ as other:
            assert_never(other)


def learn(config: Embedder, texts: Sequence[str], seed: int, folder: Path) -> None:
    """Write what the embedder learns from a sample of texts."""
    match config:
        case TfidfEmbedder():
            tfidf.save(tfidf.fit(texts, config, seed), folder)
        case TransformerEmbedder():
            raise AssertionError("a model that was trained before learns nothing here")
        case _ as other:
            assert_never(other)


def model_folder(config: Embedder) -> Path | None:
    """Return the folder of the user's that the embedder reads, if it reads one."""
    match config:
        case TfidfEmbedder():
            return None
        case TransformerEmbedder():
            folder = Path(config.model)
            return folder.absolute() if folder.is_dir() else None
        case _ as other:
            assert_never(other)


def load(config: Embedder, folder: Path | None) -> Embed:
    """Return the embedder, loaded from what it learned or from the user's folder, where it has one of these."""
    match config:
        case TfidfEmbedder():
            assert folder is not None, "TF-IDF learns before it embeds"
            return tfidf.embedder(tfidf.load(folder))
        case TransformerEmbedder():
            return transformer.embedder(config, folder)
        case _ as other:
            assert_never(other)


def without_place(config: Embedder) -> Embedder:
    """Return the config without the path of a folder, whose content is what counts."""
    match config:
        case TfidfEmbedder():
            return config
        case TransformerEmbedder():
            return config if model_folder(config) is None else config.model_copy(update={"model": "(a folder)"})
        case _ as other:
            assert_never(other)
