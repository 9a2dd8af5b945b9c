"""Proxies: small models, each trained on one mixture, and their bits per byte on the split `search`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.core.published import Published
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.config import TrainingConfig, num_flops, num_parameters
from tasks.training.types import DivergedError, Phase, RunSpec

if TYPE_CHECKING:
    from tasks.training.run import RunResult

# The only split that a search may look at; `test` is for the decision alone.
SPLIT = "search"


@dataclass(frozen=True)
class ProxySpec:
    """What decides a proxy's result, besides the pool. One seed: the same initialisation and document order.

    With `target_tokens`, the tokens of the run that it stands for, a proxy may use as small a share of each domain as it
    is of that run, so that it repeats every domain as often (arXiv 2606.07597); None = all there is. `max_epochs` holds
    for the rows it may use. `tokens_per_domain` are held-out tokens to measure it on, at most.
    """

    weights: tuple[float, ...]
    seed: int
    training: TrainingConfig
    max_epochs: float
    tokens_per_domain: tuple[int, ...]
    target_tokens: int | None = None

    @property
    def row_share(self) -> float | None:
        """The share of each domain's rows that may be used: at most all, when the target is smaller than the proxy."""
        return None if self.target_tokens is None else min(1.0, self.training.num_tokens / self.target_tokens)

    def to_json(self) -> dict[str, Any]:
        """Return the spec as it stands in a proxy's key."""
        return {
            "weights": list(self.weights),
            "seed": self.seed,
            "training": self.training.model_dump(mode="json"),
            "max_epochs": self.max_epochs,
            "tokens_per_domain": list(self.tokens_per_domain),
            "row_share": self.row_share,
        }


class ProxyResult(Published):
    """Bits per byte per domain, the training loss of each step (nats per token), and the size of the run.

    `instruction_set` is that of the CPU it ran on: the last bits depend on it, so it is recorded; no key holds it.
    """

    FILE: ClassVar[str] = "proxy.json"

    format: Literal[2] = 2
    bpb: tuple[float, ...]
    losses: tuple[float, ...]
    model_parameters: int
    tokens: int
    flops: int
    instruction_set: str


def measure_proxies(
    specs: Sequence[ProxySpec], pool_folder: Path, *, checkpoints: Sequence[Path] | None = None, gpu_share: float = 0.0
) -> tuple[ProxyResult | DivergedError, ...]:
    """Train proxies of one training config together and measure them; each gives what it gives alone.

    A proxy whose loss is no finite number any more gives the error that says so; the others go on. With a folder of
    `checkpoints` for each, a killed call is taken up again. With a `gpu_share` they run on a GPU and take at most that
    share of its memory; the numbers are those of the CPU up to rounding.

    Raises:
        ConfigError: the training configs differ, or weights do not fit the pool or its caps.
    """
    from tasks.training.stacked import train_stacked

    device = _device(gpu_share)
    pool = read_pool(pool_folder)
    runs = [
        RunSpec(
            "proxy",
            (Phase(spec.training.num_tokens, spec.weights),),
            spec.seed,
            spec.training,
            spec.max_epochs,
            spec.row_share,
        )
        for spec in specs
    ]
    trained = train_stacked(runs, pool, checkpoints=checkpoints, device=device)
    return tuple(_measured(spec, run, pool, device) for spec, run in zip(specs, trained, strict=True))


def _device(gpu_share: float) -> str:
    """Return where to run, and keep to the share of the GPU's memory: others may be placed beside us."""
    if not gpu_share:
        return "cpu"
    import torch

    torch.cuda.set_per_process_memory_fraction(min(gpu_share, 1.0))
    return "cuda"


def _measured(
    spec: ProxySpec, run: "RunResult | DivergedError", pool: TokenPool, device: str
) -> ProxyResult | DivergedError:
    import torch

    from tasks.training.measure import bits_per_byte

    if isinstance(run, DivergedError):
        return run
    weights = {name: weight.to(device) for name, weight in run.model.weights.items()}
    try:
        bpb = bits_per_byte(replace(run.model, weights=weights), pool, SPLIT, spec.tokens_per_domain)
    except DivergedError as error:
        return error
    return ProxyResult(
        bpb=tuple(bpb[name] for name in pool.names),
        losses=run.losses,
        model_parameters=num_parameters(spec.training.model, pool.vocab_size)[0],
        tokens=spec.training.num_tokens,
        flops=num_flops(spec.training, pool.vocab_size),
        instruction_set=torch.backends.cpu.get_cpu_capability(),
    )
