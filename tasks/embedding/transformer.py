"""A sentence-transformers model as the embedder, where the user has one."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params

Floats = npt.NDArray[np.float32]

# Texts per forward pass. Padding decides the last bits: alone, a text has the same vector whatever stands around it, and on
# a CPU that costs nothing (130 texts of a corpus in 8.5 CPU s one by one, in 9.1 by 32).
_ON_CPU, _ON_OTHERS = 1, 32


class TransformerEmbedder(Params):
    """A sentence-transformers model, by folder or by name. Needs the extra `embeddings`."""

    kind: Literal["sentence_transformers"]
    model: str = Field(min_length=1, description="folder, or name on the hub")
    revision: str | None = Field(default=None, description="commit of a named model; null = its newest")


def embedder(config: TransformerEmbedder, folder: Path | None) -> Callable[[Sequence[str]], Floats]:
    """Return the function from texts to unit vectors, shape [N, D]; the model is loaded from `folder`, or by its name.

    Raises:
        ConfigError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    return partial(_embedded, _load(config, str(folder or config.model)))


def _embedded(model: Any, texts: Sequence[str]) -> Floats:
    if not texts:
        return np.zeros((0, model.encode([""]).shape[1]), dtype=np.float32)
    vectors_ND = model.encode(
        list(texts),
        batch_size=_ON_CPU if model.device.type == "cpu" else _ON_OTHERS,
        normalize_embeddings=True,
        show_progress_bar=False,
        convert_to_numpy=True,
    )
    return np.asarray(vectors_ND, dtype=np.float32)


def _load(config: TransformerEmbedder, model: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError(
            "embedder: kind sentence_transformers needs the package sentence-transformers. Install it with "
            "`pip install 'mixwright[embeddings]'`, or use kind tfidf."
        ) from error
    try:
        return SentenceTransformer(model, revision=config.revision)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"embedder.model: {config.model!r} (revision {config.revision or 'newest'}) cannot be loaded: "
            f"{error}. Give the folder of a sentence-transformers model, or the name of one that can be downloaded."
        ) from error
