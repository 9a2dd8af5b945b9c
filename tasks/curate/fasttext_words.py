"""What a fastText classifier looks at: the words that speak most for and against a label; and how far it tells apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.errors import ConfigError
from tasks.curate.fasttext_model import inspect, load_model, plain_matrix, probabilities, words_of
from tasks.curate.fasttext_training import POSITIVE, lowest

_ROWS_AT_ONCE = 1 << 16
_TOLD = 30
_LOOKED_AT = 1_000


def strongest_words(model: Path, label: str, number: int) -> dict[str, dict[str, float]]:
    """Return the words `for` a label and `against` it, strongest first, each with what one of it adds to the logit.

    That is its vector times the label's less the mean of the others'. A document's logit is the mean over its words and runs
    of words.

    Raises:
        ConfigError: the model is quantised, so that its words have no vectors of their own.
    """
    file = inspect(model)
    begin_input, begin_output = file.matrices
    if begin_input is None or begin_output is None:
        raise ConfigError(
            f"{model}: this model is quantised and cannot be explained. Name the one that it was made of."
        )
    output_LD, place = plain_matrix(model, begin_output), file.labels.index(label)
    direction_D = output_LD[place] - np.delete(output_LD, place, axis=0).mean(axis=0)
    vectors_VD = plain_matrix(model, begin_input)[: file.num_words]
    parts = [vectors_VD[at : at + _ROWS_AT_ONCE] @ direction_D for at in range(0, file.num_words, _ROWS_AT_ONCE)]
    words, weights_V = tuple(words_of(model)), np.concatenate(parts)
    return {"for": _first(words, weights_V, number, 1), "against": _first(words, weights_V, number, -1)}


def told_words(model: Path) -> dict[str, str]:
    """Return the words that speak most for positives and against them, strongest first, as people read them."""
    words = strongest_words(model, POSITIVE, _TOLD)
    return {f"words_{side}": " ".join(found) for side, found in words.items()}


def told_apart(model: Path, examples: pa.Table) -> float:
    """Return by how much the mean P(positive) of positive examples is above that of negative ones, of 1,000 of each."""
    held, means = load_model(model, str(model)), []
    for which in (examples["positive"], pc.invert(examples["positive"])):
        own = lowest(examples.filter(which), _LOOKED_AT)
        means.append(float(np.mean(probabilities(held, POSITIVE, own["text"].to_pylist()))))
    return means[0] - means[1]


def _first(words: Sequence[str], weights_V: NDArray[np.float32], number: int, sign: int) -> dict[str, float]:
    """Return the words with the greatest weights of a sign; of equal ones those that stand first in the model."""
    rows = np.argsort(-sign * weights_V, kind="stable")[:number].tolist()
    return {words[row]: round(float(weights_V[row]), 4) for row in rows if sign * weights_V[row] > 0}
