"""The diagonal of a model's Fisher information on text, from the gradients of whole samples.

Axes: S samples, T tokens of a sample.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.data import OrderedRows, order_over
from tasks.training.ewc.params import Ewc
from tasks.training.model import Decoder, Scoring
from tasks.training.order import check_caps
from tasks.training.rows import rows_of
from tasks.training.segments import Layout
from tasks.training.types import Phase


def fisher(model: Decoder, samples: Iterator[Tensor]) -> dict[str, Tensor]:
    """Return the Fisher information of each weight per token, float32, by name, from samples [1, 2, T].

    The mean over samples of the squared gradient of a sample's nats, divided by its tokens. The targets are the text's own
    tokens (the empirical Fisher information), and gradients of a sample's tokens are taken to be uncorrelated.
    """
    model.requires_grad_(requires_grad=True)
    sums = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in model.weights.items()}
    count = 0
    for pairs_SXT in samples:
        with torch.enable_grad():
            nats, _ = model(pairs_SXT[:, 0], "float32", pairs_SXT[:, 1], Scoring())
            nats.backward()
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                sums[name] += weight.grad.double().square() / pairs_SXT.shape[2]
                weight.grad = None
        count += 1
    return {name: (total / count).float() for name, total in sums.items()}


def samples_of(config: Ewc, model: ModelConfig, pool: TokenPool) -> Iterator[Tensor]:
    """Yield the samples that the information is estimated on, [1, 2, T] each: by domain, none twice, as `seed` draws.

    Raises:
        ConfigError: the domains have fewer tokens.
    """
    shares = {one.domain: one.weight for one in config.earlier}
    phase = Phase(config.tokens, tuple(shares.get(name, 0.0) for name in pool.names))
    rows = rows_of(pool, Layout(model.sequence_length), None)
    order = order_over(rows, (phase,), pool.names, config.seed)
    check_caps([order], 1.0, f"ewc.tokens {config.tokens:,}")
    found = OrderedRows(order, pool, rows)
    return (torch.from_numpy(found.read(number, number + 1, number).pairs) for number in range(order.num_samples))


def require_samples(training: TrainingConfig, pool: TokenPool, where: str) -> None:
    """Refuse an estimate of a run on more tokens than there are, before any step is made.

    Raises:
        ConfigError: which domains would be repeated.
    """
    if training.ewc is None:
        return
    try:
        samples_of(training.ewc, training.model, pool)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error} Lower ewc.tokens, or name other domains in ewc.earlier.") from error
