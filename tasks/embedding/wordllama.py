"""WordLlama's static embedding: the mean of a text's token vectors, from the wheel of that name.

The package's two files are read, and nothing of it is imported: its import sets up logging for the whole process, and its
way of loading looks for files on the network first. Axes: N texts, D dimensions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.core.params import Params

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float32]

_WEIGHTS, _TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
FILES = (_TOKENIZER, _WEIGHTS)


class WordLlamaEmbedder(Params):
    """The 256 dimensions of `l2_supercat`, learned from English pairs. Needs the extra `static-embeddings`.

    Its tokens are those of Llama 2; letters that it lacks become bytes. Outside English it tells texts apart less well:
    docs/selection.md has figures.
    """

    kind: Literal["wordllama"]


def folder() -> Path:
    """Return the folder of the installed package.

    Raises:
        ConfigError: it is not installed.
    """
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise ConfigError(
            "embedder: kind wordllama needs the package wordllama. Install it with `pip install "
            "'mixwright[static-embeddings]'`, or use kind tfidf."
        )
    return Path(found.origin).parent


def embedder(folder: Path) -> Callable[[Sequence[str]], Floats]:
    """Return the function from texts to unit vectors, shape [N, D]; a text without any token gives zeros."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return partial(_embedded, tokenizer, load_file(folder / _WEIGHTS)["embedding.weight"].astype(np.float32))


def _embedded(tokenizer: "Tokenizer", weights_VD: Floats, texts: Sequence[str]) -> Floats:
    vectors_ND = np.zeros((len(texts), weights_VD.shape[1]), dtype=np.float32)
    for row, encoded in enumerate(tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)):
        if encoded.ids:
            # Rows are added one after the other, so that a vector does not depend on the texts around it.
            vectors_ND[row] = weights_VD[encoded.ids].sum(axis=0)
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return (vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1)).astype(np.float32)
