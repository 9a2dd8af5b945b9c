"""A trunk of a search's last stage and its branches: a proxy on the picked mixture, and what candidates make of its end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tasks.core.handles import Tree
from tasks.core.identity import LABEL
from tasks.core.published import Published
from tasks.core.results import Here, UnitResult
from tasks.mixture.proxies.proxy import SPLIT, AndMeasure, device_of
from tasks.mixture.published import Weights
from tasks.tokenize.pool import read_pool
from tasks.training.config import TrainingConfig
from tasks.training.types import DivergedError, Phase, RunSpec, Trunk


@dataclass(frozen=True)
class BranchesArgs:
    """A trunk with its seed, the mixtures of its last steps (a `share` of them), and the pool.

    `gpu_share` (0 = on the processor) is placement.
    """

    weights: Weights
    candidates: tuple[Weights, ...]
    share: float
    seed: int
    training: TrainingConfig
    max_epochs: float
    tokens_per_domain: tuple[int, ...]
    pool: Tree
    row_share: float | None = None
    gpu_share: float = field(default=0.0, metadata=LABEL)

    @property
    def step(self) -> int:
        """Steps of the trunk."""
        steps = self.training.num_steps
        return min(max(round((1 - self.share) * steps), 1), steps - 1)


class BranchesResult(Published):
    """Bits per byte of every domain, by candidate; `of_tasks` are the scores of tasks, turned so that less is better."""

    FILE: ClassVar[str] = "branches.json"

    format: Literal[1] = 1
    bpb: tuple[tuple[float, ...], ...]
    of_tasks: tuple[tuple[float, ...], ...] = ()

    @property
    def losses(self) -> tuple[tuple[float, ...], ...]:
        """The losses of all held-out sets, of the domains and then of tasks, by candidate."""
        of_tasks = self.of_tasks or ((),) * len(self.bpb)
        return tuple((*bpb, *scores) for bpb, scores in zip(self.bpb, of_tasks, strict=True))


def search_branches(args: Sequence[BranchesArgs], places: Sequence[Here]) -> list[UnitResult | DivergedError]:
    """Measure trunks with their branches, one trunk after the other."""
    return [measured_branches(each, here) for each, here in zip(args, places, strict=True)]


def measured_branches(
    args: BranchesArgs, here: Here, and_measure: AndMeasure | None = None
) -> UnitResult | DivergedError:
    """Train the trunk once, then all its branches together, and measure them."""
    from tasks.training.measure import bits_per_byte
    from tasks.training.planned import carry_over, train_until
    from tasks.training.stacked import train_stacked

    assert here.scratch is not None, "branches begin with a checkpoint of their trunk"
    device = device_of(args.gpu_share)
    pool, training = read_pool(args.pool.local(), "train", SPLIT), args.training
    whole = (Phase(training.num_tokens, args.weights),)
    trunk = RunSpec("trunk", whole, args.seed, training, args.max_epochs, args.row_share)
    train_until(args.step, trunk, pool, here, here.scratch / "trunk", device)
    left = training.num_tokens - args.step * training.tokens_per_step
    at = Trunk(trunk, args.step)
    specs = [
        RunSpec("branch", (Phase(left, weights),), args.seed, training, args.max_epochs, args.row_share, at)
        for weights in args.candidates
    ]
    folders = [here.scratch / f"branch-{number}" for number in range(len(specs))]
    for spec, folder in zip(specs, folders, strict=True):
        carry_over(args.step, spec, pool, here.scratch / "trunk", folder)
    ended = train_stacked(
        specs,
        pool,
        checkpoints=folders,
        device=device,
        on_step=lambda step, _: here.progress(step, training.num_steps),
        asked_to_stop=here.asked_to_stop,
    )
    found, of_tasks = [], []
    for run in ended:
        if isinstance(run, DivergedError):
            return run
        model = run.model.to(device)
        bpb = bits_per_byte(model, pool, SPLIT, args.tokens_per_domain)
        found.append(tuple(bpb[name] for name in pool.names))
        if and_measure is not None:
            of_tasks.append(and_measure(model))
    BranchesResult(bpb=tuple(found), of_tasks=tuple(of_tasks)).write(here.folder)
    return UnitResult()
