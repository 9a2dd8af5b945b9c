"""Text continued by a model, token by token: the same seed and name give the same continuation."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.rng import generator
from tasks.training.model import Decoder, logits
from tasks.training.numerics import deterministic

Floats = npt.NDArray[np.float64]


def continuations(
    model: Decoder | Sequence[Decoder],
    prompts: Sequence[npt.NDArray[np.int64]],
    *,
    num_tokens: int,
    temperature: float,
    seed: int,
    end: int | None = None,
) -> tuple[tuple[int, ...], ...]:
    """Return up to `num_tokens` tokens for each prompt, drawn from softmax(logits / temperature); 0 = the likeliest.

    Of several models, of one vocabulary and sequence length, the mean of these probabilities is drawn from. A continuation
    stops before the token `end`. Prompts have the same length, so that all are continued together; the model sees its last
    `sequence_length` tokens. There is no key-value cache: this is for short texts.
    """
    models = (model,) if isinstance(model, Decoder) else tuple(model)
    device, length = models[0].output.device, models[0].config.sequence_length
    tokens_BT = torch.from_numpy(np.stack(prompts).astype(np.int64)).to(device)
    start = tokens_BT.shape[1]
    draws_BS = np.stack([generator(seed, "samples", place).random(num_tokens) for place in range(len(prompts))])
    with deterministic() if device.type == "cpu" else nullcontext(), torch.no_grad():
        for step in range(num_tokens):
            scores = [logits(one, tokens_BT[:, -length:])[:, -1].double().cpu().numpy() for one in models]
            next_B = torch.from_numpy(_drawn(scores, draws_BS[:, step], temperature)).to(device)
            tokens_BT = torch.cat([tokens_BT, next_B[:, None]], dim=1)
            if end is not None and bool((tokens_BT[:, start:] == end).any(dim=1).all()):
                break
    return tuple(_until(tokens[start:], end) for tokens in tokens_BT.tolist())


def _drawn(scores: Sequence[Floats], draws_B: Floats, temperature: float) -> npt.NDArray[np.int64]:
    """Return a token per row by the inverse of the cumulative distribution at `draws_B`, each in [0, 1).

    `scores` are the logits of each model, [B, V].
    """
    if not temperature:
        return np.asarray(_mixed(scores, 1.0).argmax(axis=1), dtype=np.int64)
    sums_BV = _mixed(scores, temperature).cumsum(axis=1)
    below_BV = sums_BV <= draws_B[:, None] * sums_BV[:, -1:]
    return np.asarray(below_BV.sum(axis=1), dtype=np.int64)


def _mixed(scores: Sequence[Floats], temperature: float) -> Floats:
    """Return the mean of softmax(scores / temperature) of each model, up to a factor for each row."""
    powers = [np.exp((one_BV - one_BV.max(axis=1, keepdims=True)) / temperature) for one_BV in scores]
    if len(powers) == 1:
        return np.asarray(powers[0])
    return np.asarray(np.sum([each_BV / each_BV.sum(axis=1, keepdims=True) for each_BV in powers], axis=0))


def _until(tokens: list[int], end: int | None) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(end)] if end in tokens else tokens)
