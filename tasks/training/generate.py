"""Text continued by a model, token by token: the same seed and name give the same continuation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.rng import generator
from tasks.training.model import Decoder, logits
from tasks.training.numerics import deterministic


def continuations(
    model: Decoder,
    prompts: Sequence[npt.NDArray[np.int64]],
    *,
    num_tokens: int,
    temperature: float,
    seed: int,
    end: int | None = None,
) -> tuple[tuple[int, ...], ...]:
    """Return up to `num_tokens` tokens for each prompt, drawn from softmax(logits / temperature); 0 = the likeliest.

    A continuation stops before the token `end`. Prompts have the same length, so that all are continued together; the
    model sees its last `sequence_length` tokens. There is no key-value cache: this is for a few short samples.
    """
    device = model.output.device
    tokens_BT = torch.from_numpy(np.stack(prompts).astype(np.int64)).to(device)
    length, start = model.config.sequence_length, tokens_BT.shape[1]
    draws_BS = np.stack([generator(seed, "samples", place).random(num_tokens) for place in range(len(prompts))])
    with deterministic(), torch.no_grad():
        for step in range(num_tokens):
            scores_BV = logits(model, tokens_BT[:, -length:])[:, -1].double().cpu().numpy()
            next_B = torch.from_numpy(_drawn(scores_BV, draws_BS[:, step], temperature)).to(device)
            tokens_BT = torch.cat([tokens_BT, next_B[:, None]], dim=1)
    return tuple(_until(tokens[start:], end) for tokens in tokens_BT.tolist())


def _drawn(
    scores_BV: npt.NDArray[np.float64], draws_B: npt.NDArray[np.float64], temperature: float
) -> npt.NDArray[np.int64]:
    """Return a token per row by the inverse of the cumulative distribution at `draws_B`, each in [0, 1)."""
    if not temperature:
        return np.asarray(scores_BV.argmax(axis=1), dtype=np.int64)
    shares_BV = np.exp((scores_BV - scores_BV.max(axis=1, keepdims=True)) / temperature).cumsum(axis=1)
    below_BV = shares_BV <= draws_B[:, None] * shares_BV[:, -1:]
    return np.asarray(below_BV.sum(axis=1), dtype=np.int64)


def _until(tokens: list[int], end: int | None) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(end)] if end in tokens else tokens)
