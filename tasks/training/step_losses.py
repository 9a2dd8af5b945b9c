"""What both engines make of the losses of a step's tokens: what each token counts, and the loss of each domain.

Axes: S samples, T places of a sample.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tasks.core.errors import DataError
from tasks.training.config import TrainingConfig
from tasks.training.data import Batch, RunData
from tasks.training.data_config import DataConfig
from tasks.training.objectives.kinds import weights
from tasks.training.objectives.objective import StepLosses
from tasks.training.segments import segment_of, share_of_step
from tasks.training.transforms.row import NO_TARGET


def looks_first(training: TrainingConfig, step: int) -> bool:
    """Return whether the losses of a step are looked at before a gradient of it is made."""
    return training.objective is not None and training.objective.holds(step)


def token_weights(
    training: TrainingConfig,
    data: RunData,
    batch: Batch,
    step: int,
    nats_ST: Tensor | None,
    first: int,
    summed: Callable[[Tensor], Tensor],
    device: torch.device,
    scores_S: Tensor | None = None,
) -> Tensor | None:
    """Return what each token of this process counts in a step, [S, T]; None = 1. Nothing else weighs tokens.

    It is what the data says of it times what the objective makes of the losses of the whole step. `nats_ST` are those of
    this process's samples, -1 = no target; None = they were not looked at (see `looks_first`). `first` is the place of the
    first of them in the step. `summed` returns the sum over all processes. `scores_S` are what the teachers say of this
    process's samples, by which a share of the step's is chosen; None = all count.

    Raises:
        DataError: nothing in the step is predicted.
    """
    given_ST = None if batch.weights is None else torch.from_numpy(batch.weights).to(device)
    if scores_S is not None:
        chosen_S = _selected(training, data, step, scores_S, first, summed)
        chosen_ST = chosen_S[:, None].expand(-1, batch.pairs.shape[2])
        given_ST = chosen_ST if given_ST is None else given_ST * chosen_ST
    if nats_ST is None or training.objective is None:
        return given_ST
    start, stop = share_of_step(data.segments, step)
    own, whole_ST = slice(first, first + len(nats_ST)), nats_ST.new_zeros(stop - start, nats_ST.shape[1])
    whole_ST[own] = nats_ST
    domains_S = torch.from_numpy(data.domains(start, stop)).to(device)
    losses = StepLosses(step, summed(whole_ST), domains_S)
    if not bool(losses.counted_ST.any()):
        require_targets(training, data, step)
    weights_ST = weights(training.objective, losses)[own]
    return weights_ST if given_ST is None else weights_ST * given_ST


def _selected(
    training: TrainingConfig,
    data: RunData,
    step: int,
    scores_S: Tensor,
    first: int,
    summed: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return what each of this process's samples counts, [S]: 0, or the same for all that are chosen, 1 on average."""
    assert training.distillation is not None and training.distillation.select_share is not None, "it made the scores"
    start, stop = share_of_step(data.segments, step)
    own, whole_S = slice(first, first + len(scores_S)), scores_S.new_zeros(stop - start)
    whole_S[own] = scores_S
    # Where scores are alike the first samples are taken.
    order_S = summed(whole_S).argsort(descending=True, stable=True)
    kept = max(1, round(training.distillation.select_share * len(order_S)))
    counts_S = torch.zeros_like(whole_S)
    counts_S[order_S[:kept]] = len(order_S) / kept
    return counts_S[own]


def labels_ahead(
    tokens_BT: Tensor, targets_BT: Tensor, weights_BT: Tensor | None, place: int, apart: int | None
) -> tuple[Tensor, Tensor]:
    """Return what each position is to predict `place` tokens ahead (1 = the next), [B, P], and what that counts, float32.

    P are the positions that have so many tokens behind them. A label counts what it counts as a next token: nothing where it
    is none (padding, metadata, what a transform leaves out), and what the data, an objective or teachers make of it. Where a
    token ends documents that do not see each other (`apart`), a label of another document counts nothing.
    """
    positions = max(targets_BT.shape[1] - place + 1, 0)
    labels_BP = targets_BT[:, place - 1 :]
    counts_BP = (labels_BP != NO_TARGET).float()
    if weights_BT is not None:
        counts_BP = counts_BP * weights_BT[:, place - 1 :]
    if apart is not None:
        # What stands behind a document's end is predicted from the next document; the end itself is its own's.
        documents_BT = (tokens_BT == apart).cumsum(dim=1)
        counts_BP = counts_BP * (documents_BT[:, place - 1 :] == documents_BT[:, :positions])
    return labels_BP.clamp(min=0), counts_BP


def require_targets(training: TrainingConfig, data: RunData, step: int) -> None:
    """Check that something is predicted in a step, and counts; asked where its gradient is 0.

    Raises:
        DataError: why not, and what to do.
    """
    batch = data.read(*share_of_step(data.segments, step))
    counted_ST = batch.pairs[:, 1] != NO_TARGET
    config, samples = training.data or DataConfig(), f"the {len(counted_ST)} samples of step {step}"
    if not counted_ST.any():
        causes = {
            "data.transform": config.transform is not None,
            "data.packing, whose padding is not predicted": config.packing is not None,
            "metadata, which is not predicted": segment_of(data.segments, step).metadata,
        }
        named = " and ".join(name for name, there in causes.items() if there)
        raise DataError(
            f"{samples} have no token that is predicted, with {named}. Mask less, or let steps have more samples "
            "(sequences_per_step)."
        )
    if batch.weights is not None and not batch.weights[counted_ST].any():
        raise DataError(
            f"all {counted_ST.sum():,} tokens predicted in {samples} count 0 in the loss by data.loss_weights "
            f"({config.loss_weights}). Leave such documents out of the pool, or give them a weight above 0."
        )


def loss_by_domain(data: RunData, batches: Sequence[Batch], nats_S: Tensor) -> dict[str, float]:
    """Return nats per token of the samples of some batches, by the names of their domains."""
    domains = np.concatenate([batch.samples.domains for batch in batches])
    lengths = np.concatenate([np.full(len(batch.tokens), batch.pairs.shape[2]) for batch in batches])
    tokens, sums = np.bincount(domains, lengths), np.bincount(domains, nats_S.double().cpu().numpy())
    names = data.pool.names
    return {names[domain]: float(sums[domain] / tokens[domain]) for domain in np.flatnonzero(tokens)}
