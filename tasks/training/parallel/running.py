"""A run over the devices of a world: what it holds, and what is looked at before and after the gradient of a step.

Axes: S samples of this process, X tokens given and tokens to predict, T places of a sample, L layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from tasks.training.config import TrainingConfig
from tasks.training.data import Batch, RunData
from tasks.training.ewc.anchor import Anchor
from tasks.training.experts.balance import Routing
from tasks.training.experts.use import ExpertState
from tasks.training.ledger import ConsumptionLog
from tasks.training.masked import Mask
from tasks.training.model import Decoder, Scoring
from tasks.training.optimizers.method import Step
from tasks.training.parallel.job import Job
from tasks.training.parallel.spread import Spread
from tasks.training.result import Evaluation
from tasks.training.step_losses import looks_first, token_weights
from tasks.training.teachers.loaded import Teachers, teaching
from tasks.training.transforms.row import NO_TARGET
from tasks.training.types import RunSpec, StepNumbers, World


@dataclass
class Run:
    """What a run has reached, and what it works with. `workers`: from which step on how many processes made it.

    `log` counts what this process took of the data, `experts` how its tokens were routed; the `mask` holds weights at
    zero, the `anchor` near to the start's.
    """

    spec: RunSpec
    data: RunData
    job: Job
    model: Decoder
    spread: Spread
    state: dict[str, Tensor]
    template: Step
    keeps: bool
    log: ConsumptionLog
    teachers: Teachers | None
    mask: Mask | None = None
    anchor: Anchor | None = None
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    loss_by_domain: Mapping[str, float] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    told: int = 0
    workers: list[tuple[int, int]] = field(default_factory=list)
    experts: ExpertState | None = None

    @property
    def training(self) -> TrainingConfig:
        """How it is trained."""
        return self.spec.training

    @property
    def step(self) -> int:
        """Steps made so far."""
        return len(self.losses)

    def numbers(self) -> StepNumbers:
        """Return the numbers of the last step, with the evaluations that nobody was told of."""
        of_experts, new = {} if self.experts is None else self.experts.numbers, self.evaluations[self.told :]
        self.told = len(self.evaluations)
        return StepNumbers(self.losses[-1], self.norms[-1], self.loss_by_domain, of_experts, new)


def summed_over(tensor: Tensor, world: World) -> Tensor:
    """Return the sum over processes, in place."""
    if world.size > 1:
        import torch.distributed as dist

        dist.all_reduce(tensor, group=world.group)
    return tensor


def routing_of(run: Run, some_SXT: Sequence[Tensor], scoring: Scoring) -> Routing | None:
    """Return what the experts are told in this step, which may take a look at all of it; None = no experts."""
    if (state := run.experts) is None:
        return None
    routing = state.routing()
    if not state.needs_shares or len(some_SXT) * run.job.world.size == 1:
        return routing
    with torch.no_grad():
        for pairs_SXT in some_SXT:
            run.spread.call(pairs_SXT[:, 0], run.training.product_precision, scoring=scoring, routing=routing)
    return state.routing(state.shares(_told_by_all(run, routing.taken())))


def _told_by_all(run: Run, told_SLX: Tensor) -> Tensor:
    """Return what the layers told of a step, of the samples of all processes, [L, X]."""
    return summed_over(told_SLX.double().sum(dim=0), run.job.world)


def follow_experts(run: Run, routing: Routing | None, batch: Batch) -> None:
    """Count how the tokens of a step were routed, and let the balance loss go on by it."""
    if routing is None or run.experts is None:
        return
    told_SLX = routing.taken()
    run.experts.add(run.step - 1, told_SLX, batch.samples.domains)
    run.experts.follow(_told_by_all(run, told_SLX))


def weights_of_tokens(
    run: Run, batch: Batch, some_SXT: Sequence[Tensor], scoring: Scoring, routing: Routing | None
) -> Tensor | None:
    """Return what each of this process's tokens counts, [S, T]; None = 1."""
    training, world = run.training, run.job.world
    nats_ST = _looked_at(run, some_SXT, scoring, routing) if looks_first(training, run.step) else None
    first, summed = world.rank * len(batch.pairs), partial(summed_over, world=world)
    taught = teaching(run.teachers, run.step)
    scores_S = None if taught is None else taught.scores(some_SXT, scoring)
    return token_weights(training, run.data, batch, run.step, nats_ST, first, summed, some_SXT[0].device, scores_S)


@torch.no_grad()
def _looked_at(run: Run, some_SXT: Sequence[Tensor], scoring: Scoring, routing: Routing | None) -> Tensor:
    """Return the nats of this process's tokens before the step, [S, T], -1 = no target."""
    made = []
    for pairs_SXT in some_SXT:
        targets_ST = pairs_SXT[:, 1]
        given = (pairs_SXT[:, 0], run.training.product_precision, targets_ST, scoring, None, None, routing)
        _, nats_ST = run.spread.call(*given)
        made.append(torch.where(targets_ST == NO_TARGET, -1.0, nats_ST))
    if routing is not None:
        routing.taken()
    return torch.cat(made)
