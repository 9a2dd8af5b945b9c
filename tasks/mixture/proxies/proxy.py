"""Proxies: small models, each trained on one mixture, and their bits per byte on the split `search`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from tasks.core.handles import Tree
from tasks.core.identity import LABEL
from tasks.core.published import Published
from tasks.core.results import Here, UnitResult, never
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.tokenize.published import Split
from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.types import Device, DivergedError, Phase, RunSpec

if TYPE_CHECKING:
    from tasks.training.model import Decoder
    from tasks.training.result import RunResult

# What else is measured of a trained proxy: losses of further held-out sets.
AndMeasure = Callable[["Decoder"], tuple[float, ...]]

# The only split that a search may look at; `test` is for the decision alone.
SPLIT: Split = "search"


@dataclass(frozen=True)
class ProxySpec:
    """What decides a proxy's result, besides the pool. One seed: the same initialisation and document order.

    `row_share` is the share of each domain's rows that it may use (`row_share_of`); None = all there is. `max_epochs` holds
    for the rows it may use. `tokens_per_domain` are held-out tokens to measure it on, at most.
    """

    weights: tuple[float, ...]
    seed: int
    training: TrainingConfig
    max_epochs: float
    tokens_per_domain: tuple[int, ...]
    row_share: float | None = None


def row_share_of(training: TrainingConfig, target_tokens: int) -> float:
    """Return the share of each domain's rows with which a proxy repeats every domain as often as the run it stands for.

    As small a share as the proxy is of that run (arXiv 2606.07597); all of them, where the target is the smaller one.
    """
    return min(1.0, training.num_tokens / target_tokens)


@dataclass(frozen=True)
class ProxyArgs:
    """One unit: the proxy and the pool it reads. `gpu_share` (0 = on the processor) is placement."""

    spec: ProxySpec
    pool: Tree
    gpu_share: float = field(default=0.0, metadata=LABEL)


class ProxyResult(Published):
    """Bits per byte per domain, the training loss of each step (nats per token), and the size of the run.

    `of_tasks` are the scores of tasks, turned so that less is better. The instruction set it was computed with stands in
    the record of the unit: no key and no result holds it.
    """

    FILE: ClassVar[str] = "proxy.json"

    format: Literal[2] = 2
    bpb: tuple[float, ...]
    losses: tuple[float, ...]
    model_parameters: int
    tokens: int
    flops: int
    of_tasks: tuple[float, ...] = ()

    @property
    def set_losses(self) -> tuple[float, ...]:
        """The losses of all held-out sets: of the domains, then of tasks."""
        return self.bpb + self.of_tasks


def search_proxies(args: Sequence[ProxyArgs], places: Sequence[Here]) -> list[UnitResult | DivergedError]:
    """Measure a group of proxies in one process; one that diverged gives its error, and the others their results."""
    return measured_group([each.spec for each in args], args[0].pool.local(), places, gpu_share=args[0].gpu_share)


def measured_group(
    specs: Sequence[ProxySpec],
    pool_folder: Path,
    places: Sequence[Here],
    *,
    gpu_share: float,
    and_measure: AndMeasure | None = None,
) -> list[UnitResult | DivergedError]:
    """Measure a group of proxies and write their results where they belong."""
    scratches = [here.scratch for here in places if here.scratch is not None]
    results = measure_proxies(
        specs,
        pool_folder,
        checkpoints=scratches if len(scratches) == len(specs) else None,
        gpu_share=gpu_share,
        on_step=lambda step: _heard(step, specs, places),
        asked_to_stop=places[0].asked_to_stop,
        and_measure=and_measure,
    )
    found: list[UnitResult | DivergedError] = []
    for result, here in zip(results, places, strict=True):
        if isinstance(result, ProxyResult):
            result.write(here.folder)
        found.append(UnitResult() if isinstance(result, ProxyResult) else result)
    return found


def _heard(step: int, specs: Sequence[ProxySpec], places: Sequence[Here]) -> None:
    for spec, here in zip(specs, places, strict=True):
        here.progress(step, spec.training.num_steps)


def measure_proxies(
    specs: Sequence[ProxySpec],
    pool_folder: Path,
    *,
    checkpoints: Sequence[Path] | None = None,
    gpu_share: float = 0.0,
    on_step: Callable[[int], None] = lambda step: None,
    asked_to_stop: Callable[[], bool] = never,
    and_measure: AndMeasure | None = None,
) -> tuple[ProxyResult | DivergedError, ...]:
    """Train proxies of one training config together and measure them; each gives what it gives alone.

    A proxy whose loss is no finite number any more gives the error that says so; the others go on. With a folder of
    `checkpoints` for each, a killed call is taken up again. With a `gpu_share` they run on a GPU and take at most that
    share of its memory; the numbers are those of the CPU up to rounding. `on_step` hears how many steps are made.

    Raises:
        ConfigError: the training configs differ, or weights do not fit the pool or its caps.
        StoppedError: `asked_to_stop` was true before a step; checkpoints of it are kept.
    """
    from tasks.training.stacked import train_stacked

    device = device_of(gpu_share)
    pool = read_pool(pool_folder, "train", SPLIT)
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
    trained = train_stacked(
        runs,
        pool,
        checkpoints=checkpoints,
        device=device,
        on_step=lambda step, _: on_step(step),
        asked_to_stop=asked_to_stop,
    )
    return tuple(_measured(spec, run, pool, device, and_measure) for spec, run in zip(specs, trained, strict=True))


def device_of(gpu_share: float) -> Device:
    """Return where to run, and keep to the share of the GPU's memory: others may be placed beside us."""
    if not gpu_share:
        return "cpu"
    import torch

    torch.cuda.set_per_process_memory_fraction(min(gpu_share, 1.0))
    return "cuda"


def _measured(
    spec: ProxySpec, run: "RunResult | DivergedError", pool: TokenPool, device: str, and_measure: AndMeasure | None
) -> ProxyResult | DivergedError:
    from tasks.training.measure import bits_per_byte

    if isinstance(run, DivergedError):
        return run
    try:
        model = run.model.to(device)
        bpb = bits_per_byte(model, pool, SPLIT, spec.tokens_per_domain)
    except DivergedError as error:
        return error
    return ProxyResult(
        bpb=tuple(bpb[name] for name in pool.names),
        losses=run.losses,
        model_parameters=num_parameters(spec.training.model, pool.vocab_size)[0],
        tokens=spec.training.num_tokens,
        flops=num_flops(spec.training, pool.vocab_size),
        of_tasks=() if and_measure is None else and_measure(model),
    )
