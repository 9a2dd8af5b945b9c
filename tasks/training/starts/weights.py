"""The weights that a run starts from: whether they are of its model and its tokenizer, and the tensors themselves."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.digest import digest_json
from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.identity import LABEL
from tasks.training.config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 3
# What a run may have otherwise than the model that it starts from.
_FREE = frozenset({"sequence_length", "initializer_range"})


@dataclass(frozen=True)
class StartPaths:
    """Where the files of a start are."""

    config: Path
    weights: Path
    tokenizer: Path
    extend_vocabulary: bool = False


@dataclass(frozen=True)
class Start:
    """The config and weights that a run starts from, by content; a smaller vocabulary is extended where asked.

    The tokenizer is looked at before the run and decides nothing in it.
    """

    config: Handle
    weights: Handle
    tokenizer: Handle = field(metadata=LABEL)
    extend_vocabulary: bool = False

    @property
    def digest(self) -> str:
        """The digest of all that it is."""
        return digest_json([self.config.digest, self.weights.digest, self.tokenizer.digest])


def start_mistakes(start: Start, model: ModelConfig, vocab_size: int, tokenizer: Handle) -> Iterator[str]:
    """Yield what keeps a run of `model` from starting there, on a pool with this vocabulary and `tokenizer.json`."""
    yield from _config_mistakes(start, model)
    yield from _shape_mistakes(start, model, vocab_size)
    theirs, ours = json.loads(start.tokenizer.text()), json.loads(tokenizer.text())
    if differing := _differing_parts(theirs, ours, start.extend_vocabulary):
        yield (
            f"its tokenizer is not the pool's: {', '.join(differing)} differ. Run tokenize with tokenizer kind `file` on "
            "its tokenizer.json"
            + ("." if start.extend_vocabulary else ", or with one that extends it and extend_vocabulary.")
        )


def started_weights(start: Start, model: ModelConfig, vocab_size: int) -> "dict[str, Tensor]":
    """Return the float32 weights of a start that has no mistakes, by name; tokens that it lacks have the mean row."""
    import torch
    from safetensors import safe_open

    from tasks.training.model import EMBEDDING, OUTPUT, weight_shapes

    with safe_open(start.weights.local(), framework="pt") as file:
        weights = {name: file.get_tensor(name).float() for name in weight_shapes(model, vocab_size)}
    for name in {EMBEDDING, OUTPUT} & weights.keys():
        known_VD = weights[name]
        if (missing := vocab_size - len(known_VD)) > 0:
            weights[name] = torch.cat([known_VD, known_VD.mean(dim=0, keepdim=True).expand(missing, -1)])
    return weights


def _config_mistakes(start: Start, model: ModelConfig) -> Iterator[str]:
    """Yield what the config says that our decoder does otherwise: weights alone do not tell it."""
    from tasks.training.export import model_config

    try:
        theirs = model_config(json.loads(start.config.text()), start.config.name)
    except DataError as error:
        yield str(error)
        return
    pairs = [(name, getattr(theirs, name), getattr(model, name)) for name in ModelConfig.model_fields]
    wrong = [f"{name} is {one}, not {other}" for name, one, other in pairs if name not in _FREE and one != other]
    if wrong:
        yield f"its config is of another model: {'; '.join(wrong)}. Set train.training.model to its values."


def _shape_mistakes(start: Start, model: ModelConfig, vocab_size: int) -> Iterator[str]:
    from safetensors import safe_open

    from tasks.training.model import EMBEDDING, OUTPUT, weight_shapes

    expected = weight_shapes(model, vocab_size)
    with safe_open(start.weights.local(), framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
    known = found.get(EMBEDDING, (vocab_size,))[0]
    if known > vocab_size or (known < vocab_size and not start.extend_vocabulary):
        remedy = "Set extend_vocabulary." if known < vocab_size else "Tokenize with its tokenizer."
        yield f"its vocabulary has {known:,} tokens, the pool's {vocab_size:,}. {remedy}"
    rest = {name: shape for name, shape in expected.items() if name not in {EMBEDDING, OUTPUT} or known == vocab_size}
    wrong = [f"{name} is {found.get(name)}, not {shape}" for name, shape in rest.items() if found.get(name) != shape]
    # A milestone holds the optimizer's state too, under names of its own.
    wrong += [
        f"{name} has no place" for name in found if name.startswith(("model.", "lm_head.")) and name not in expected
    ]
    if wrong:
        shown = "; ".join(wrong[:_SHOWN])
        yield f"{len(wrong)} of its weights are not those of train.training.model; first: {shown}."


def _differing_parts(theirs: Mapping[str, Any], ours: Mapping[str, Any], extended: bool) -> list[str]:
    """Return in which parts two tokenizers give a text other tokens; padding and truncation are no matter."""
    parts = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model")
    if not extended:
        return [part for part in parts if theirs.get(part) != ours.get(part)]
    differing = [part for part in parts[:4] if theirs.get(part) != ours.get(part)]
    known, merges = theirs["model"].get("vocab", {}), theirs["model"].get("merges", [])
    if any(ours["model"].get("vocab", {}).get(text) != token for text, token in known.items()):
        differing.append("the ids of known tokens")
    if ours["model"].get("merges", [])[: len(merges)] != merges:
        differing.append("merges")
    return differing
