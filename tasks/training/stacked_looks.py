"""What a stack looks at before the gradient of a step, and after it: token weights, and how experts were used.

Axes: N proxies still running, S sequences, X tokens given and tokens to predict, T places of a sample, L layers.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from tasks.training.data import Batch
from tasks.training.distributed import world_sum
from tasks.training.experts.balance import Routing
from tasks.training.model import scoring_of
from tasks.training.stacked_model import hidden_states, nats_of_tokens
from tasks.training.stacked_state import Stack
from tasks.training.step_losses import looks_first, token_weights
from tasks.training.teachers.loaded import teaching


def routings_of(stack: Stack, pairs_NSXT: Tensor) -> list[Routing] | None:
    """Return what the experts of each run are told in this step, which may take a look at all of it; None = no experts."""
    states = [run.experts for run in stack.runs if run.experts is not None]
    if not states:
        return None
    routings = [state.routing() for state in states]
    if not states[0].needs_shares or stack.training.micro_batches == 1:
        return routings
    scoring = scoring_of(stack.training, stack.runs[0].data.pool.document_end, stack.segment.metadata)
    for part in torch.split(pairs_NSXT, stack.part_size, dim=1):
        hidden_states(stack.layout_there, stack.weights_NW, stack.low_NW, part, scoring, routings)
    sums_NLX = _told_by_all(stack, [routing.taken() for routing in routings])
    return [state.routing(state.shares(told_LX)) for state, told_LX in zip(states, sums_NLX, strict=True)]


def _told_by_all(stack: Stack, told: Sequence[Tensor]) -> Tensor:
    """Return what the layers of each run told of a step, of the samples of all processes, [N, L, X]."""
    return world_sum(torch.stack([told_SLX.double().sum(dim=0) for told_SLX in told]), stack.world)


def follow_experts(stack: Stack, routings: Sequence[Routing] | None, batches: Mapping[int, Batch]) -> None:
    """Count how the tokens of a step were routed, and let the balance loss go on by it."""
    if routings is None:
        return
    told = [routing.taken() for routing in routings]
    for run, told_SLX, told_LX in zip(stack.runs, told, _told_by_all(stack, told), strict=True):
        assert run.experts is not None, "all runs of a stack have one config"
        run.experts.add(stack.step, told_SLX, batches[run.place].samples.domains)
        run.experts.follow(told_LX)


def weights_of_tokens(
    stack: Stack, pairs_NSXT: Tensor, batches: Mapping[int, Batch], routings: Sequence[Routing] | None
) -> Tensor | None:
    """Return what each of this process's tokens counts, [N, S, T]; None = 1."""
    training, first, summed = stack.training, stack.parts[0] * stack.part_size, partial(world_sum, world=stack.world)
    looks = looks_first(training, stack.step)
    nats_NST = _looked_at(stack, pairs_NSXT, routings) if looks else [None] * len(stack.runs)
    found = [
        token_weights(
            training, run.data, batches[run.place], stack.step, nats, first, summed, pairs_NSXT.device, scores
        )
        for run, nats, scores in zip(stack.runs, nats_NST, _scores(stack, pairs_NSXT), strict=True)
    ]
    some = [weights_ST for weights_ST in found if weights_ST is not None]
    return torch.stack(some) if some else None


def _scores(stack: Stack, pairs_NSXT: Tensor) -> Sequence[Tensor | None]:
    """Return what the teachers say of each run's samples, [S] each, where they choose among them; None = they do not."""
    taught = teaching(stack.teachers, stack.step)
    if taught is None:
        return [None] * len(pairs_NSXT)
    scoring = scoring_of(stack.training, stack.runs[0].data.pool.document_end, stack.segment.metadata)
    return [taught.scores(pairs_SXT.split(stack.part_size), scoring) for pairs_SXT in pairs_NSXT]


def _looked_at(stack: Stack, pairs_NSXT: Tensor, routings: Sequence[Routing] | None) -> Tensor:
    """Return the nats of this process's tokens before the step, [N, S, T], -1 = no target."""
    scoring = scoring_of(stack.training, stack.runs[0].data.pool.document_end, stack.segment.metadata)
    own, parts = (stack.layout_there, stack.weights_NW, stack.low_NW), torch.split(pairs_NSXT, stack.part_size, dim=1)
    made = [nats_of_tokens(*own, part, scoring, routings) for part in parts]
    for routing in routings or ():
        routing.taken()
    return torch.cat(made, dim=1)
