"""Held-out text while a run is under way: bits per byte of every domain at chosen steps. No weight depends on it."""

from tasks.tokenize.pool import TokenPool
from tasks.tokenize.published import Split
from tasks.training.config import TrainingConfig
from tasks.training.data_config import EvaluationConfig
from tasks.training.measure import bits_per_byte
from tasks.training.model import Decoder

# What a run is watched on: `test` is for the decision alone.
SPLIT: Split = "search"


def evaluated(model: Decoder, pool: TokenPool, config: EvaluationConfig) -> tuple[float, ...]:
    """Return bits per byte of each of the pool's domains, in float32.

    Raises:
        EvidenceError: a domain has nothing to measure.
        DivergedError: the model's predictions are no finite numbers.
    """
    found = bits_per_byte(model, pool, SPLIT, config.tokens_per_domain)
    return tuple(found[name] for name in pool.names)


def evaluation_words(training: TrainingConfig, split_tokens: list[int]) -> str:
    """Return what the evaluations of a run cost, in a sentence; a forward pass is a third of a training step's work.

    `split_tokens` are those that each domain has to be measured on.
    """
    config = training.evaluations
    assert config is not None, "asked for where there are some"
    times = sum(config.is_due(step) for step in range(training.num_steps + 1))
    # At least one window of each domain.
    most = max(config.tokens_per_domain, training.model.sequence_length)
    tokens = sum(min(most, available) for available in split_tokens)
    share = times * tokens / (3 * training.num_tokens)
    return (
        f"each run is evaluated {times} times on {tokens:,} held-out tokens: about {share:.1%} more arithmetic than its "
        "training"
    )
