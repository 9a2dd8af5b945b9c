"""The models that tasks are put to: ours, and whatever transformers loads; both tell likelihoods and hidden states."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core.errors import ConfigError, DataError
from tasks.evaluation.tasks.encode import Pair
from tasks.evaluation.tasks.item import Likelihood
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    import numpy as np
    import torch
    from tokenizers import Tokenizer

    from tasks.training.model import Decoder

# Tokens in one forward pass, padding and all: a guess; twice as many were not faster on a CPU.
_BATCH_TOKENS = 4096


class LanguageModel(Protocol):
    """A model with its tokenizer. `beginning` is the token that stands before the first of a document."""

    context_length: int
    beginning: int

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without any that mark its beginning or end."""

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Return how likely what is asked for is, for each pair; none may be longer than `context_length`."""

    def representations(self, inputs: Sequence[tuple[int, ...]], layers: Sequence[int] | None) -> "np.ndarray":
        """Return the hidden states at the last token of each input behind these layers, float32 [input, layer, D].

        Layers count from 1, None = all; the last one's state is normalised.

        Raises:
            ConfigError: there is no such layer.
        """


def open_model(folder: Path, names: Sequence[str], device: str = "cpu") -> LanguageModel:
    """Return the model in files of a folder: as Hugging Face lays it out, or one GGUF file.

    What our decoder computes it loads; everything else is loaded by transformers, if that is installed.

    Raises:
        ConfigError: there is no model or no tokenizer, or more than one model.
    """
    gguf = [name for name in names if name.endswith(".gguf")]
    if len(gguf) > 1:
        raise ConfigError(f"{folder}: {len(gguf)} GGUF files ({', '.join(gguf)}). Name the file that is meant.")
    if gguf:
        return _of_transformers(folder, device, gguf_file=gguf[0])
    if CONFIG_FILE not in names:
        raise ConfigError(f"{folder}: no {CONFIG_FILE} and no GGUF file here, so no model. Name the model's folder.")
    if _ours(folder, names):
        if TOKENIZER_FILE not in names:
            raise ConfigError(
                f"{folder}: no {TOKENIZER_FILE} here. A model without its tokenizer reads no text: add it."
            )
        return open_decoder(folder / CONFIG_FILE, folder / WEIGHTS_FILE, folder / TOKENIZER_FILE, device)
    return _of_transformers(folder, device)


def open_decoder(config: Path, weights: Path, tokenizer: Path, device: str = "cpu") -> "DecoderModel":
    """Load a model of ours; needs safetensors.

    Raises:
        ConfigError: the tokenizer has tokens that the model does not know, or none that begins documents.
        DataError: config and weights do not belong together.
    """
    return open_ensemble([(config, weights)], tokenizer, device)


def open_ensemble(parts: Sequence[tuple[Path, Path]], tokenizer: Path, device: str = "cpu") -> "DecoderModel":
    """Load models of ours, config and weights of each, as the one whose probabilities are the mean of theirs.

    Raises:
        ConfigError: the tokenizer has tokens that they do not know, or none that begins documents.
        DataError: config and weights do not belong together.
    """
    from tasks.training.export import load_model

    # Others keep their weights in 16 bits; here everything is computed in float32.
    models = [load_model(config, weights).float().to(device) for config, weights in parts]
    config, _ = parts[0]
    return DecoderModel(models, read_tokenizer(tokenizer), _beginning(_described(config), config))


def read_tokenizer(path: Path) -> "Tokenizer":
    """Return the tokenizer in a file; needs tokenizers.

    Raises:
        DataError: it is none.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers has no error of its own
        raise DataError(f"{path}: this is no tokenizer: {error}. Get the file again.") from error


class DecoderModel:
    """A model of the decoder that this project trains, or several as one, with the tokenizer."""

    def __init__(self, model: "Decoder | Sequence[Decoder]", tokenizer: "Tokenizer", beginning: int) -> None:
        """Take a model wherever its weights lie; of several, of one vocabulary and context, the mean probabilities count.

        Raises:
            ConfigError: the tokenizer has tokens that the model does not know.
        """
        self._models = tuple(model) if isinstance(model, Sequence) else (model,)
        self._tokenizer, self.beginning = tokenizer, beginning
        model = self._models[0]
        self.context_length = model.config.sequence_length
        if (size := tokenizer.get_vocab_size()) > model.vocab_size:
            raise ConfigError(
                f"the tokenizer has {size:,} tokens, the model knows {model.vocab_size:,}. Take the tokenizer that it was "
                "trained with."
            )

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Return the likelihoods; pairs that read the same are read once, and pairs of about one length together."""
        readers: dict[tuple[int, ...], list[int]] = {}
        for place, pair in enumerate(pairs):
            readers.setdefault(pair.inputs, []).append(place)
        found: dict[int, Likelihood] = {}
        with self._exactly():
            for batch in _batches(readers):
                for inputs, *hidden in zip(batch, *(_hidden(one, batch) for one in self._models), strict=True):
                    for place in readers[inputs]:
                        found[place] = _answer(hidden, self._models, pairs[place])
        return [found[place] for place in range(len(pairs))]

    def representations(self, inputs: Sequence[tuple[int, ...]], layers: Sequence[int] | None) -> "np.ndarray":
        """Return hidden states at the last tokens; inputs that are the same are read once."""
        import numpy as np

        if len(self._models) > 1:
            raise ConfigError(
                f"{len(self._models)} models as one have no hidden states. Ask one of them, or another task."
            )
        (model,) = self._models
        wanted = chosen_layers(layers, model.config.num_layers)
        found: dict[tuple[int, ...], np.ndarray] = {}
        with self._exactly():
            for batch in _batches(set(inputs)):
                found.update(zip(batch, _last_states(model, batch, wanted), strict=True))
        return np.stack([found[one] for one in inputs])

    def _exactly(self) -> AbstractContextManager[None]:
        from tasks.training.numerics import deterministic

        return deterministic() if self._models[0].output.device.type == "cpu" else nullcontext()


def chosen_layers(layers: Sequence[int] | None, number: int) -> Sequence[int]:
    """Return which of a model's `number` layers are meant, counted from 1.

    Raises:
        ConfigError: it has no such layer.
    """
    if strangers := [layer for layer in layers or () if layer > number]:
        raise ConfigError(
            f"layers: the model has {number} layers, so no {strangers[0]}. Name layers from 1 to {number}."
        )
    return range(1, number + 1) if layers is None else layers


def _of_transformers(folder: Path, device: str, **how: str) -> LanguageModel:
    from tasks.evaluation.tasks.transformers_model import TransformersModel

    return TransformersModel(folder, device, **how)


def _ours(folder: Path, names: Sequence[str]) -> bool:
    """Return whether our decoder computes this model and finds its weights, and no others, in one file."""
    from safetensors import SafetensorError, safe_open

    from tasks.training.export import model_config
    from tasks.training.model import weight_shapes

    values = _described(folder / CONFIG_FILE)
    if WEIGHTS_FILE not in names:
        return False
    try:
        shapes = weight_shapes(model_config(values, str(folder / CONFIG_FILE)), values["vocab_size"])
    except (DataError, KeyError):
        return False
    try:
        with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()} == shapes  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f"{folder / WEIGHTS_FILE}: the weights cannot be read: {error}. Get the file again.") from error


def _described(config: Path) -> Mapping[str, Any]:
    """Return what a model's config says.

    Raises:
        DataError: it is no JSON object.
    """
    try:
        value = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {type(value).__name__}")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{config}: this is no JSON object: {error}. Get the file again.") from error
    return value


def _beginning(described: Mapping[str, Any], where: Path) -> int:
    for name in ("bos_token_id", "eos_token_id"):
        token = described.get(name)
        if isinstance(token, list) and token:
            token = token[0]
        if isinstance(token, int):
            return token
    raise ConfigError(
        f"{where}: neither bos_token_id nor eos_token_id, so that it is not known what a document begins with. Add one."
    )


def _batches(inputs: Iterable[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Yield what fills a forward pass, inputs of about one length together; the longest of a batch is its last."""
    batch: list[tuple[int, ...]] = []
    for one in sorted(inputs, key=lambda one: (len(one), one)):
        if batch and len(one) * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _hidden(model: "Decoder", batch: Sequence[tuple[int, ...]]) -> "Iterator[torch.Tensor]":
    """Yield the last layer's output for each sequence, [T, D]."""
    import torch

    with torch.no_grad():
        hidden_BTD = model(_padded(model, batch))
    return (row[: len(one)] for row, one in zip(hidden_BTD, batch, strict=True))


def _last_states(model: "Decoder", batch: Sequence[tuple[int, ...]], layers: Sequence[int]) -> "np.ndarray":
    """Return the states at the last token of each sequence behind some layers, [B, L, D]."""
    import torch

    ends_B = torch.tensor([len(one) - 1 for one in batch], device=model.output.device)
    rows_B = torch.arange(len(batch), device=model.output.device)
    states: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, out: states.append(out[0][rows_B, ends_B]))
        for layer in model.model.layers
    ]
    try:
        with torch.no_grad():
            hidden_BTD = model(_padded(model, batch))
    finally:
        for hook in hooks:
            hook.remove()
    states[-1] = hidden_BTD[rows_B, ends_B]
    found: np.ndarray = torch.stack([states[layer - 1] for layer in layers], dim=1).cpu().numpy()
    return found


def _padded(model: "Decoder", batch: Sequence[tuple[int, ...]]) -> "torch.Tensor":
    """Return sequences as one tensor, [B, T]; what pads the shorter ones stands behind them."""
    import torch

    length = max(map(len, batch))
    return torch.tensor([[*one, *(0,) * (length - len(one))] for one in batch], device=model.output.device)


def _answer(hidden: "Sequence[torch.Tensor]", models: "Sequence[Decoder]", pair: Pair) -> Likelihood:
    """Return how likely what is asked for is, from each model's last layer's output, [T, D]."""
    import torch

    from tasks.training.loss import rows_at_a_time

    asked_N = torch.tensor(pair.asked, device=hidden[0].device)
    rows = rows_at_a_time(models[0].vocab_size, on_gpu=hidden[0].is_cuda)
    parts = [torch.split(one_TD[len(pair.given) - 1 :], rows) for one_TD in hidden]
    with torch.no_grad():
        return joined(
            [
                likelihood(_together([one @ model.output.T for one, model in zip(some, models, strict=True)]), asked)
                for *some, asked in zip(*parts, torch.split(asked_N, rows), strict=True)
            ]
        )


def _together(logits: "Sequence[torch.Tensor]") -> "torch.Tensor":
    """Return a model's logits; of several the logarithm of their mean probabilities, [N, V]."""
    import torch

    if len(logits) == 1:
        return logits[0]
    each_MNV = torch.stack([one_NV.float().log_softmax(dim=-1) for one_NV in logits])
    return each_MNV.logsumexp(dim=0) - log(len(logits))


def likelihood(logits_NV: "torch.Tensor", asked_N: "torch.Tensor") -> Likelihood:
    """Return how likely tokens are under logits, in float32; the sum over tokens is float64."""
    scores_NV = logits_NV.float()
    log_p_N = scores_NV.log_softmax(dim=-1).gather(1, asked_N[:, None])
    greedy = bool((scores_NV.argmax(dim=-1) == asked_N).all())
    return Likelihood(float(log_p_N.double().sum()), len(asked_N), greedy)


def joined(parts: Sequence[Likelihood]) -> Likelihood:
    """Return the likelihood of parts together."""
    return Likelihood(
        sum(part.log_p for part in parts), sum(part.tokens for part in parts), all(part.greedy for part in parts)
    )
