"""The optimizer of a stack of runs: which tensors of a row it is given, and what of its state a checkpoint holds.

An elementwise optimizer has all weights of a run as one vector: a few passes over memory. Another has them by name.
Axes: N proxies, P parameters, W = P padded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.training.config import TrainingConfig
from tasks.training.optimizers.kinds import OptimizerKind, method
from tasks.training.optimizers.method import OptimizerMethod, Step, split_name, state_name
from tasks.training.optimizers.template import step_template
from tasks.training.stacked_layout import Layout

# The name of all weights as one vector.
_ALL = ""


@dataclass(frozen=True)
class StackedOptimizer:
    """An optimizer, where a row keeps its weights, and what all steps have in common."""

    config: OptimizerKind
    method: OptimizerMethod
    layout: Layout
    step: Step


def optimizer_of(training: TrainingConfig, layout: Layout, device: torch.device) -> StackedOptimizer:
    """Return the optimizer of a config for rows of a layout."""
    config = training.optimizer.method
    chosen, step = method(config), step_template(training, layout.places)
    if chosen.elementwise:

        def spread(values: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
            return {_ALL: layout.spread(values)[: layout.parameters].to(device)}

        step = replace(step, decays=spread(step.decays), rates=None if step.rates is None else spread(step.rates))
    return StackedOptimizer(config, chosen, layout, step)


def new_state(optimizer: StackedOptimizer, rows: tuple[int, ...], device: torch.device | str) -> dict[str, Tensor]:
    """Return the state before the first step, of `rows` = (N,) runs, or () for one alone."""
    layout = optimizer.layout
    shapes = {_ALL: (layout.parameters,)} if optimizer.method.elementwise else layout.shapes
    return optimizer.method.init(optimizer.config, {name: (*rows, *shape) for name, shape in shapes.items()}, device)


def begin(optimizer: StackedOptimizer, weights_W: Tensor, state: Mapping[str, Tensor]) -> None:
    """Change what a new run begins with, weights and state, as its optimizer asks."""
    if optimizer.method.begin is not None:
        optimizer.method.begin(optimizer.config, _parts(optimizer, weights_W), state)


def change(
    optimizer: StackedOptimizer,
    weights: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    *,
    rate: float,
    step: int,
) -> None:
    """Change weights and state in place by step `step`; of one run, [W] and [P], or of all, [N, W] and [N, P]."""
    given, slopes = (_parts(optimizer, rows) for rows in (weights, gradient))
    optimizer.method.update(optimizer.config, given, slopes, state, optimizer.step.at(step, rate))


def named_state(optimizer: StackedOptimizer, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of one run as a checkpoint holds it: a tensor for each weight that has one."""
    found = dict[str, Tensor]()
    for name, tensor in state.items():
        slot, weight = split_name(name)
        parts = {weight: tensor} if weight else optimizer.layout.named(tensor)
        found |= {state_name(slot, one): part for one, part in parts.items()}
    return found


def read_state(optimizer: StackedOptimizer, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of one run from the tensors of a checkpoint."""
    found = dict[str, Tensor]()
    for name in new_state(optimizer, (), "meta"):
        slot, weight = split_name(name)
        parts = [weight] if weight else list(optimizer.layout.places)
        read = [tensors[state_name(slot, one)] for one in parts]
        found[name] = read[0] if weight else torch.cat([tensor.flatten() for tensor in read])
    return found


def _parts(optimizer: StackedOptimizer, rows: Tensor) -> dict[str, Tensor]:
    """Return views of what the optimizer changes, with the first axes of `rows`."""
    layout = optimizer.layout
    if optimizer.method.elementwise:
        return {_ALL: rows[..., : layout.parameters]}
    return layout.named(rows)
