"""What both engines make of the losses of a step's tokens: what each token counts, and the loss of each domain.

Axes: S samples, T places of a sample.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tasks.training.data import Batch, RunData
from tasks.training.objectives.kinds import ObjectiveKind, weights
from tasks.training.objectives.objective import StepLosses
from tasks.training.segments import share_of_step


def token_weights(
    objective: ObjectiveKind,
    data: RunData,
    step: int,
    nats_ST: Tensor,
    first: int,
    summed: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return what each token of this process counts in a step, [S, T], by the losses of the whole step.

    `nats_ST` are those of this process's samples, -1 = no target; `first` is the place of the first of them in the step.
    `summed` returns the sum over all processes.
    """
    start, stop = share_of_step(data.segments, step)
    own, whole_ST = slice(first, first + len(nats_ST)), nats_ST.new_zeros(stop - start, nats_ST.shape[1])
    whole_ST[own] = nats_ST
    domains_S = torch.from_numpy(data.domains(start, stop)).to(nats_ST.device)
    return weights(objective, StepLosses(step, summed(whole_ST), domains_S))[own]


def loss_by_domain(data: RunData, batches: Sequence[Batch], nats_S: Tensor) -> dict[str, float]:
    """Return nats per token of the samples of some batches, by the names of their domains."""
    domains = np.concatenate([batch.samples.domains for batch in batches])
    lengths = np.concatenate([np.full(len(batch.tokens), batch.pairs.shape[2]) for batch in batches])
    tokens, sums = np.bincount(domains, lengths), np.bincount(domains, nats_S.double().cpu().numpy())
    names = data.pool.names
    return {names[domain]: float(sums[domain] / tokens[domain]) for domain in np.flatnonzero(tokens)}
