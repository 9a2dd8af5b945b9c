"""What every engine computes under: one thread, deterministic algorithms, and losses that are finite numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tasks.training.config import TrainingConfig
from tasks.training.types import DivergedError


@contextmanager
def deterministic() -> Iterator[None]:
    """Use one thread and deterministic algorithms inside the block: the bits must not depend on the machine's cores."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    # As `use_deterministic_algorithms(True)`, without its import of the compiler (seconds per worker).
    torch.set_deterministic_debug_mode("error")
    # No operation here reads memory that it did not write, and filling costs about 4 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def diverged(training: TrainingConfig, step: int, loss: float, norm: float) -> DivergedError:
    """Return what to raise when loss or gradient are not finite."""
    return DivergedError(
        f"step {step} of {training.num_steps}: the loss is {loss} and its gradient's norm {norm}. Lower "
        f"learning_rate ({training.optimizer.learning_rate:g}), raise warmup_steps, or set gradient_clip."
    )
