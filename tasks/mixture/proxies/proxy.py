"""One proxy: a small model trained on one mixture, and its bits per byte on the split `search`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.tokenize.pool import read_pool
from tasks.training.config import TrainingConfig, num_flops, num_parameters
from tasks.training.types import Phase, RunSpec

# The only split that a search may look at; `test` is for the decision alone.
SPLIT = "search"


@dataclass(frozen=True)
class ProxySpec:
    """What decides a proxy's result, besides the pool. One seed: the same initialisation and document order."""

    weights: tuple[float, ...]
    seed: int
    training: TrainingConfig
    max_epochs: float
    tokens_per_domain: int

    def to_json(self) -> dict[str, Any]:
        """Return the spec as it stands in a proxy's key."""
        return {
            "weights": list(self.weights),
            "seed": self.seed,
            "training": self.training.model_dump(mode="json"),
            "max_epochs": self.max_epochs,
            "tokens_per_domain": self.tokens_per_domain,
        }


@dataclass(frozen=True)
class ProxyResult:
    """Bits per byte per domain, the training loss of each step (nats per token), and the size of the run."""

    bpb: tuple[float, ...]
    losses: tuple[float, ...]
    model_parameters: int
    tokens: int
    flops: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as it stands in `proxy.json`."""
        return {**vars(self), "bpb": list(self.bpb), "losses": list(self.losses)}


def measure_proxy(spec: ProxySpec, pool_folder: Path) -> ProxyResult:
    """Train and measure one proxy on one thread; the same spec and pool give the same result.

    Raises:
        DivergedError: a loss is no finite number.
        ConfigError: the weights do not fit the pool or its caps.
    """
    from tasks.training.measure import bits_per_byte
    from tasks.training.run import train

    pool = read_pool(pool_folder)
    phases = (Phase(spec.training.num_tokens, spec.weights),)
    trained = train(RunSpec("proxy", phases, spec.seed, spec.training, spec.max_epochs), pool)
    bpb = bits_per_byte(trained.model, pool, SPLIT, spec.tokens_per_domain)
    return ProxyResult(
        bpb=tuple(bpb[name] for name in pool.names),
        losses=trained.losses,
        model_parameters=num_parameters(spec.training.model, pool.vocab_size)[0],
        tokens=spec.training.num_tokens,
        flops=num_flops(spec.training, pool.vocab_size),
    )
