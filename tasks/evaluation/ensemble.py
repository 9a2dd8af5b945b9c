"""Several models measured as one: bits per byte of the mean of their probabilities, beside those of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.tokenize.published import TOKENIZER_FILE, Split
from tasks.training.export import read_config, read_model
from tasks.training.measure import bits_per_byte
from tasks.training.published_run import WEIGHTS_FILE


@dataclass(frozen=True)
class MeasuredEnsemble:
    """Bits per byte by domain: of each model by the name of its folder, and of all together."""

    members: Mapping[str, Mapping[str, float]]
    ensemble: Mapping[str, float]


def measured_ensemble(
    folders: Sequence[Path], tokens: Path, pool: TokenPool, split: Split, tokens_per_domain: int | None = None
) -> MeasuredEnsemble:
    """Measure models in folders of a train stage or of Hugging Face on a split of the pool in `tokens`.

    Raises:
        ConfigError: there are fewer than two models, two are the same, or one has other tokens or another context.
        DataError: a folder has no model.
    """
    if len(folders) < 2:
        raise ConfigError(f"{len(folders)} model(s): an ensemble is of two or more. Name --model once for each.")
    require_alike(folders, tokens, pool.vocab_size)
    models = [read_model(folder) for folder in folders]
    each = {
        str(folder): bits_per_byte(model, pool, split, tokens_per_domain)
        for folder, model in zip(folders, models, strict=True)
    }
    return MeasuredEnsemble(each, bits_per_byte(models, pool, split, tokens_per_domain))


def require_alike(folders: Sequence[Path], tokens: Path, vocab_size: int) -> None:
    """Refuse models whose probabilities have no mean: of other tokens than the pool in `tokens`, or twice the same.

    Raises:
        ConfigError: two are the same, or one has other tokens or another context.
        DataError: a folder has no model.
    """
    digests = [digest_file(path) for folder in folders if (path := folder / WEIGHTS_FILE).is_file()]
    if len({*digests}) < len(digests):
        raise ConfigError(f"two of the {len(folders)} models have the same weights. Name each once.")
    described = [read_config(folder) for folder in folders]
    first, _ = described[0]
    for folder, (config, size) in zip(folders, described, strict=True):
        _require_fit(folder, config.sequence_length, size, first.sequence_length, tokens, vocab_size)


def _require_fit(folder: Path, context: int, size: int, first: int, tokens: Path, vocab_size: int) -> None:
    if size != vocab_size:
        raise ConfigError(
            f"{folder}: its vocabulary has {size:,} tokens, and that of {tokens} {vocab_size:,}. "
            "Probabilities of other tokens have no mean; take it with its own tokens."
        )
    # A run's folder has none: its tokenizer is the one that its stage read.
    own = folder / TOKENIZER_FILE
    if own.is_file() and digest_file(own) != digest_file(tokens / TOKENIZER_FILE):
        raise ConfigError(f"{folder}: its {TOKENIZER_FILE} is not that of {tokens}. Take it with its own tokens.")
    if context != first:
        raise ConfigError(f"{folder}: its context is {context} tokens, that of the first model {first}. Leave one out.")
