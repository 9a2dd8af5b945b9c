"""Whether models can teach runs: of the pool's tokens, with a context that is long enough, and several if an ensemble."""

from collections.abc import Iterator, Sequence

from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle
from tasks.training.starts.weights import described_model, start_mistakes
from tasks.training.types import RunSpec


def require_fit(specs: Sequence[RunSpec], vocab_size: int, tokenizer: Handle, whose: str = "train") -> None:
    """Refuse teachers that cannot teach a run on a pool with this vocabulary and `tokenizer.json`; `whose` they are.

    Raises:
        ConfigError: all that keeps them from it.
    """
    found = dict.fromkeys(one for spec in specs for one in _mistakes(spec, vocab_size, tokenizer))
    if found:
        raise ConfigError(f"{whose}, teachers: {len(found)} mistake(s):\n" + "\n".join(f"  {one}" for one in found))


def _mistakes(spec: RunSpec, vocab_size: int, tokenizer: Handle) -> Iterator[str]:
    teachers, length = spec.teachers or (), max(segment.model.sequence_length for segment in spec.segments)
    if len({one.weights.digest for one in teachers}) < len(teachers):
        yield f"two of the {len(teachers)} have the same weights: an ensemble is of several models. Name each once."
    if (config := spec.training.distillation) is not None and (config.top_k or 0) > vocab_size:
        yield f"distillation.top_k {config.top_k} of a vocabulary of {vocab_size:,}. Lower it, or set it to null for all."
    for one in teachers:
        where = one.weights.local()
        try:
            model = described_model(one)
        except DataError as error:
            yield str(error)
            continue
        if model.sequence_length < length:
            yield f"{where}: its context is {model.sequence_length} tokens, and samples have {length}. Take another."
        training = spec.training.model_copy(update={"model": model})
        for mistake in start_mistakes(one, training, vocab_size, tokenizer, extensible=False):
            yield f"{where}: {mistake}"
