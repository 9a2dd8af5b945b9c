"""The weights in a folder as Hugging Face lays it out: config.json, one safetensors file or several, and tokenizer.json."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE
from tasks.training.starts.sharded import INDEX_FILE, shards
from tasks.training.starts.weights import StartPaths


class FromHuggingFace(Params):
    """Start from a Llama-like model on the disk, with a new optimizer."""

    kind: Literal["hugging_face"]
    folder: str = Field(min_length=1, description="a local folder")
    extend_vocabulary: bool = Field(
        default=False,
        description="the pool's tokenizer may have more tokens at its end; their rows begin as the mean of the others",
    )
    padded_vocabulary: bool = Field(
        default=False,
        description="the model may have more rows of its embedding than its tokenizer has tokens; these are left out",
    )
    other_rope_base: bool = Field(
        default=False,
        description="the run's RoPE base may be another one than the model's, as where its context is extended",
    )
    upcycle: bool = Field(
        default=False,
        description="the model is dense, and each expert of train.training.model begins as a copy of its feed-forward",
    )


def paths(config: FromHuggingFace, setting: str = "train.start") -> StartPaths:
    """Return where the files of the start are; `setting` is what names it.

    Raises:
        ConfigError: which of them are not there.
        DataError: its weights are in several files, and these are not what their index says.
    """
    folder = Path(config.folder)
    described, weights, tokenizer = (folder / name for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE))
    index = folder / INDEX_FILE
    several = index.is_file() and not weights.is_file()
    needed = (described, tokenizer) if several else (described, weights, tokenizer)
    if missing := [path.name for path in needed if not path.is_file()]:
        raise ConfigError(
            f"{setting}.folder: {folder} has no {', '.join(missing)}. Name a folder with a model's config, its weights in "
            f"safetensors files, and its tokenizer.{_other_weights(folder)}"
        )
    first, *more = shards(index) if several else (weights,)
    return StartPaths(
        described,
        first,
        tokenizer,
        config.extend_vocabulary,
        config.other_rope_base,
        more=tuple(more),
        padded_vocabulary=config.padded_vocabulary,
        upcycle=config.upcycle,
    )


def _other_weights(folder: Path) -> str:
    """Return what to do with weights that are there in another form."""
    if any(folder.glob("*.bin")):
        return " Its weights are pickled, which can run any code and is never read: save it as safetensors."
    return ""
