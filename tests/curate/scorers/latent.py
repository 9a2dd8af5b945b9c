"""Documents with a quality that is known, and a rater behind an endpoint that knows it."""

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.curate.folders import Document, document

WORDS = 300


def latent_documents(count: int, seed: int = 0, words: int = 100) -> tuple[list[Document], NDArray[np.float64]]:
    """Documents of words that each have a worth, and the mean worth of each document, standardised and doubled."""
    rng = np.random.default_rng(seed)
    worth_W, tone_N = np.random.default_rng(99).normal(size=WORDS), rng.normal(size=count)
    chance_NW = np.exp(0.5 * tone_N[:, None] * worth_W)
    drawn = [rng.choice(WORDS, words, p=chance / chance.sum()) for chance in chance_NW]
    latent_N = np.array([worth_W[row].mean() for row in drawn])
    documents = [
        document(f"d{seed}-{i:04d}", " ".join(f"word{w}" for w in row), f"s{i % 2}") for i, row in enumerate(drawn)
    ]
    return documents, 2 * (latent_N - latent_N.mean()) / latent_N.std()


def texts_shown(question: str) -> list[str]:
    """The texts between the marks of a question."""
    return re.findall(r"<<<\n(.*?)\n>>>", question, flags=re.DOTALL)


def value_of() -> Callable[[str], float]:
    """What a rater thinks of a text."""
    worth_W = np.random.default_rng(99).normal(size=WORDS)
    return lambda text: float(np.mean([worth_W[int(word[4:])] for word in text.split() if word[4:]] or [0.0]))
