"""Perplexity under a small reference model: its mean loss per token, in nats, and per byte, in bits (arXiv 2405.20541).

The model is any causal language model in a folder: one of ours (what the train stage published, or an export), or one that
transformers loads. A document that is longer than its context is read in chunks, each from the beginning token on; what
is told is the mean over all its tokens. Short documents have a higher loss, and so `NAME_length` numbers bands of length,
within which `select` may take a quantile (`by: [language, NAME_length]`).
"""

from math import log
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tasks.curate.scorers.method import Documents, Given, ScorerMethod, ScorerParams
from tasks.curate.scorers.transformer import folder_of, model_files, one_thread
from tasks.curate.statistics.texts import Columns

# Tokens at which bands of length begin, besides 0: powers of four. A guess.
_LENGTHS = (64, 256, 1_024, 4_096)


class Perplexity(ScorerParams):
    """The mean loss of a document's tokens under the causal language model in the folder `model`: high is surprising."""

    kind: Literal["perplexity"] = "perplexity"
    model: str = Field(min_length=1)


def losses(model: Any, text: str) -> tuple[float, int]:
    """Return the sum of the losses of a text's tokens, in nats, and how many they are."""
    from tasks.evaluation.tasks.encode import Pair

    tokens, length = model.encode(text), model.context_length
    chunks = [tuple(tokens[at : at + length]) for at in range(0, len(tokens), length)]
    # One at a time: what is read together would change the last bits.
    answers = [model.likelihoods([Pair((model.beginning,), chunk)])[0] for chunk in chunks]
    return -sum(answer.log_p for answer in answers), len(tokens)


def _load(config: Perplexity, given: Given) -> tuple[Any, str]:
    from tasks.evaluation.tasks.models import open_model

    return open_model(folder_of(given.files), tuple(given.files), given.device), given.device


def _score(config: Perplexity, documents: Documents, held: tuple[Any, str]) -> Columns:
    model, device = held
    with one_thread(device):
        found = np.array([losses(model, text) for text in documents.to_list()], np.float64).reshape(-1, 2)
    loss_N, tokens_N = found[:, 0], found[:, 1]
    bytes_N = documents.bytes_N.astype(np.float64)
    with np.errstate(invalid="ignore"):
        # 0 / 0 of a document without tokens is NaN, as it should be.
        per_token_N = loss_N / tokens_N
        per_byte_N = loss_N / log(2) / np.where(tokens_N > 0, bytes_N, 0)
    bands_N = np.searchsorted(_LENGTHS, tokens_N, side="right").astype(np.float64)
    return {"": per_token_N, "bpb": per_byte_N, "tokens": tokens_N, "length": bands_N}


def _user_files(config: Perplexity) -> dict[str, Path]:
    return model_files(config.model, f"scorer {config.name}, model")


METHOD = ScorerMethod(
    ("", "bpb", "tokens", "length"), _score, _load, user_files=_user_files, file_fields=("model",), on_device=True
)
