"""Models of transformers that read documents: loaded from a local folder, given chunks, the same bits for any sharding.

Nothing is fetched, and no code of the folder is run. On a processor every chunk is read alone, so that what else lies in its
shard changes no bit; on a GPU batches have fixed shapes, and shorter chunks are filled up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.curate.scorers.method import Files, Given, ScorerParams

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
Precision = Literal["float32", "bfloat16"]
Floats = NDArray[np.float64]

_READ = (".gguf", ".json", ".safetensors", ".bin", ".pt", ".model", ".txt")
# On a GPU: lengths are multiples of the first, a batch has about so many tokens. Guesses, and part of the code's identity.
_LENGTHS, _BATCH_TOKENS = 64, 32_768


class TransformerParams(ScorerParams):
    """A model in a local folder, as Hugging Face lays it out.

    Attributes:
        model: the folder.
        chunk_tokens: longer documents are read in chunks of so many tokens, and the mean over their tokens is theirs.
        precision: in which the model computes.
    """

    model: Annotated[str, Field(min_length=1)]
    chunk_tokens: Annotated[int, Field(ge=8)] = 512
    precision: Precision = "float32"


@dataclass(frozen=True)
class Chunk:
    """What a model reads at once: its inputs by name, and how many tokens are the text's own."""

    inputs: Mapping[str, Sequence[int]]
    tokens: int

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


@dataclass(frozen=True)
class Reader:
    """A model on its device with its tokenizer; `outputs(model, inputs)` gives what it says of chunks, [B, K]."""

    model: Any
    tokenizer: Any
    chunk_tokens: int
    device: str
    outputs: Callable[[Any, "Mapping[str, torch.Tensor]"], "torch.Tensor"]

    def read(self, texts: Sequence[str], over: Callable[[Floats], Floats]) -> Floats:
        """Return what the model says of texts, float64 [N, K]: the mean over the tokens of `over(its outputs)` of chunks.

        NaN where a text has no tokens.
        """
        chunks = [self._chunks(text) for text in texts]
        said_CK = over(self._of_chunks([chunk for some in chunks for chunk in some]))
        weights_C = np.array([chunk.tokens for some in chunks for chunk in some], np.float64)
        found_NK, at = np.full((len(texts), said_CK.shape[1]), np.nan), 0
        for row, some in enumerate(chunks):
            here, at = slice(at, at + len(some)), at + len(some)
            if total := float(weights_C[here].sum()):
                found_NK[row] = weights_C[here] @ said_CK[here] / total
        return found_NK

    def _chunks(self, text: str) -> list[Chunk]:
        read = self.tokenizer(
            text,
            truncation=True,
            max_length=self.chunk_tokens,
            return_overflowing_tokens=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        names = [name for name in self.tokenizer.model_input_names if name in read]
        own = [len(mask) - sum(mask) for mask in read["special_tokens_mask"]]
        return [Chunk({name: read[name][part] for name in names}, tokens) for part, tokens in enumerate(own) if tokens]

    def _of_chunks(self, chunks: Sequence[Chunk]) -> Floats:
        import torch

        padding = self.tokenizer.pad_token_id
        alone = self.device == "cpu" or padding is None
        batches = [[place] for place in range(len(chunks))] if alone else list(self._batches(chunks))
        if not chunks:
            # One word more tells how many outputs there are.
            return self._of_chunks(self._chunks("a"))[:0]
        found: dict[int, Floats] = {}
        with torch.no_grad(), one_thread(self.device):
            for batch in batches:
                inputs = self._inputs([chunks[place] for place in batch], None if alone else padding)
                said = self.outputs(self.model, inputs)[: len(batch)].float().cpu().double().numpy()
                found.update(zip(batch, said, strict=True))
        return np.stack([found[place] for place in range(len(chunks))])

    def _batches(self, chunks: Sequence[Chunk]) -> Iterator[list[int]]:
        """Yield the places of chunks that are read together: those of one length when filled up, in their order."""
        by_length: dict[int, list[int]] = {}
        for place, chunk in enumerate(chunks):
            by_length.setdefault(self._length(chunk), []).append(place)
        for length, places in sorted(by_length.items()):
            yield from (places[at : at + _rows(length)] for at in range(0, len(places), _rows(length)))

    def _length(self, chunk: Chunk) -> int:
        return min(-(-len(chunk) // _LENGTHS) * _LENGTHS, self.chunk_tokens)

    def _inputs(self, chunks: Sequence[Chunk], padding: int | None) -> "Mapping[str, torch.Tensor]":
        """Return chunks as tensors: one as it is, several filled up to the shape of their batch."""
        import torch

        if padding is None:
            return {name: torch.tensor([ids], device=self.device) for name, ids in chunks[0].inputs.items()}
        length = self._length(chunks[0])
        rows = [*chunks, *[chunks[0]] * (_rows(length) - len(chunks))]
        filled = {"input_ids": padding}
        return {
            name: torch.tensor(
                [[*row.inputs[name], *[filled.get(name, 0)] * (length - len(row))] for row in rows], device=self.device
            )
            for name in chunks[0].inputs
        }


def model_files(folder: str, setting: str) -> dict[str, Path]:
    """Return the files of a model that lie in a folder.

    Raises:
        ConfigError: there is no model.
    """
    found = Path(folder)
    paths = (
        sorted(path for path in found.iterdir() if path.is_file() and path.suffix in _READ) if found.is_dir() else []
    )
    if not any(path.name == CONFIG or path.suffix == ".gguf" for path in paths):
        raise ConfigError(
            f"{setting}: there is no {CONFIG} and no GGUF file in {folder}, so no model. Name the folder of a model; a name "
            "on a hub is not looked up."
        )
    return {path.name: path for path in paths}


def folder_of(files: Files) -> Path:
    """Return the folder in which the files of a model lie."""
    return next(iter(files.values())).parent


def loaded(
    config: TransformerParams,
    given: Given,
    loader: str,
    outputs: Callable[[Any, "Mapping[str, torch.Tensor]"], "torch.Tensor"],
) -> Reader:
    """Return a model that `transformers.<loader>` loads, with its tokenizer.

    Raises:
        ConfigError: transformers is not installed, cannot load it or finds not all its weights; or chunks are too long.
    """
    folder, setting = folder_of(given.files), f"scorer {config.name}, model"
    try:
        import torch
        import transformers
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(
            f"{setting} is read with the package transformers. Install it with `pip install 'mixwright[models]'`."
        ) from error
    talk: Any = logging
    talk.disable_progress_bar()
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **how)
        with _silent(talk):
            model, found = getattr(transformers, loader).from_pretrained(
                folder, dtype=getattr(torch, config.precision), output_loading_info=True, **how
            )
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise ConfigError(f"{setting}: transformers cannot load {folder}: {error}") from error
    if missing := sorted(found["missing_keys"]):
        raise ConfigError(
            f"{setting}: {len(missing)} weights of a {type(model).__name__} are not in {folder}, such as {missing[0]}: "
            "it is another kind of model. Name one that was trained for this."
        )
    if not tokenizer.is_fast:
        raise ConfigError(f"{setting}: {folder} has no tokenizer.json. Save its tokenizer with transformers 5.")
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", config.chunk_tokens))
    if config.chunk_tokens > longest:
        raise ConfigError(
            f"scorer {config.name}, chunk_tokens: {config.chunk_tokens:,}, and {folder} reads at most {longest:,} tokens. "
            "Lower it."
        )
    model.eval().requires_grad_(False)
    return Reader(model.to(given.device), tokenizer, config.chunk_tokens, given.device, outputs)


def softmax(logits: Floats) -> Floats:
    """Return shares that add to 1 over the last axis, from logits of any shape.

    >>> softmax(np.log([[1.0, 3.0]])).round(2).tolist()
    [[0.25, 0.75]]
    """
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def _rows(length: int) -> int:
    return max(1, _BATCH_TOKENS // length)


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Give a block in which torch uses one thread: how many there are would change the last bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _silent(talk: Any) -> Iterator[None]:
    """Give a block in which transformers does not report weights that are not there; it is asked for them instead."""
    before = talk.get_verbosity()
    talk.set_verbosity_error()
    try:
        yield
    finally:
        talk.set_verbosity(before)
