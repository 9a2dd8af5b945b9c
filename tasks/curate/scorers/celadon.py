"""Celadon, five heads of toxicity on one encoder (Arnett et al. 2024, arXiv 2410.22587), and its authors' rule.

A head gives a level from 0 to 3. The heads are linear layers on the state of the first token, and are read from the weights
of the folder; its own code is not run.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tasks.core.errors import ConfigError
from tasks.curate.scorers.method import Documents, Files, Given, ScorerMethod
from tasks.curate.scorers.toxicity import HEADS, LEVELS, HeadWeights, toxicity_columns
from tasks.curate.scorers.transformer import Floats, Reader, TransformerParams, folder_of, loaded, model_files, softmax
from tasks.curate.statistics.texts import Columns

if TYPE_CHECKING:
    import torch


class Celadon(TransformerParams):
    """The levels of five kinds of toxicity: race and origin, gender and sex, religion, ability, violence.

    Attributes:
        weights: of the heads in the score, which is their sum; the rule knows no weights.
    """

    kind: Literal["celadon"] = "celadon"
    weights: HeadWeights = (1.0, 1.0, 1.0, 1.0, 1.0)


def _load(config: Celadon, given: Given) -> Reader:
    import torch

    weights, biases = _heads(given.files, f"scorer {config.name}, model")
    dtype: Any = getattr(torch, config.precision)
    weights, biases = weights.to(given.device, dtype), biases.to(given.device, dtype)
    return loaded(
        config,
        given,
        "AutoModel",
        lambda model, inputs: torch.nn.functional.linear(model(**inputs).last_hidden_state[:, 0], weights, biases),
    )


def _heads(files: Files, setting: str) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the weights [H * L, D] and biases [H * L] of all heads, one behind the other.

    Raises:
        ConfigError: the folder has no such heads.
    """
    import torch

    names = [f"heads.{head}.{part}" for head in range(len(HEADS)) for part in ("weight", "bias")]
    found = _tensors(files, names)
    shapes = [tuple(found[name].shape[:1]) if name in found else None for name in names]
    if shapes != [(LEVELS,)] * len(names):
        raise ConfigError(
            f"{setting}: {folder_of(files)} has not the {len(HEADS)} heads of {LEVELS} levels that Celadon has "
            f"({names[0]}, ...). Name its folder; another classifier is of kind classifier."
        )
    return torch.cat([found[name] for name in names[::2]]), torch.cat([found[name] for name in names[1::2]])


def _tensors(files: Files, names: list[str]) -> "dict[str, torch.Tensor]":
    """Return those of some tensors that are in the weights of a folder."""
    import torch
    from safetensors import safe_open

    found: dict[str, torch.Tensor] = {}
    for path in files.values():
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                found |= {name: file.get_tensor(name) for name in {*names} & {*file.keys()}}
        elif path.suffix in {".bin", ".pt"}:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            found |= {name: state[name] for name in {*names} & {*state}}
    return found


def _shares(logits_CK: Floats) -> Floats:
    """Return the share of each level under each head, [C, H * L]."""
    logits_CHL = logits_CK.reshape(-1, len(HEADS), LEVELS)
    return softmax(logits_CHL).reshape(len(logits_CK), -1)


def _user_files(config: Celadon) -> dict[str, Path]:
    return model_files(config.model, f"scorer {config.name}, model")


def _score(config: Celadon, documents: Documents, held: Reader) -> Columns:
    shares_NHL = held.read(documents.to_list(), _shares).reshape(-1, len(HEADS), LEVELS)
    return toxicity_columns(shares_NHL.argmax(axis=2), np.isnan(shares_NHL[:, 0, 0]), config.weights)


METHOD = ScorerMethod(
    ("", "verdict", *HEADS), _score, _load, user_files=_user_files, file_fields=("model",), on_device=True
)
