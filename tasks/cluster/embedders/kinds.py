"""The kinds of embedders, and what a step asks of the chosen one."""

from collections.abc import Sequence
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


def embed(config: Embedder, texts: Sequence[str], learned: Path | None) -> npt.NDArray[np.float32]:
    """Return one vector of length 1 per text, shape [N, D]; `learned` is what a learn pass left, where there is one."""
    match config:
        case TfidfEmbedder():
            assert learned is not None, "TF-IDF learns before it embeds"
            return tfidf.embed(tfidf.load(learned), texts)
        case TransformerEmbedder():
            return transformer.embed(config, texts)
        case _ as other:
            assert_never(other)
