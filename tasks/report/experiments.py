"""What is trained and what training did: the recipe with its baselines, the training curves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.errors import DataError
from tasks.mixture.published import MIXTURES, Recipe
from tasks.pictures.curves import Curve, curve_of
from tasks.training.published import TrainedRuns
from tasks.training.published_experts import ExpertsUsed
from tasks.training.published_run import read_losses


@dataclass(frozen=True)
class Training:
    """The full runs: their curves, and by mixture how often each domain was gone through, as the ledger has it.

    `branches` are mixtures that went on from another one: from which, and behind which of its steps. `experts` is how the
    first run used its sparse experts; None = it has none.
    """

    curves: tuple[Curve, ...]
    epochs: Mapping[str, tuple[float, ...]]
    model_parameters: int
    flops: int
    branches: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    experts: ExpertsUsed | None = None


def read_recipe(search: Path, domains: Sequence[str]) -> Recipe:
    """Return the recipe; its domains are checked against the token pool's.

    Raises:
        DataError: it is no recipe, or is for other domains.
    """
    recipe = Recipe.read(search)
    if recipe.domains != tuple(domains):
        raise DataError(
            f"{search / Recipe.FILE}: its domains are {', '.join(recipe.domains)}, the pool has {', '.join(domains)}."
        )
    return recipe


def read_training(train: Path, domains: Sequence[str]) -> Training:
    """Return the training curves of each mixture, and what its runs consumed.

    Raises:
        DataError: a field is missing, there are no runs, or runs of one mixture have different steps.
    """
    losses: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    epochs: dict[str, tuple[float, ...]] = {}
    runs = TrainedRuns.read(train).runs
    mixtures = {run.name: run.mixture for run in runs}
    for run in runs:
        losses[run.mixture].append(read_losses(train / run.folder))
        if missing := [name for name in domains if name not in run.consumed]:
            raise DataError(
                f"{train / TrainedRuns.FILE}: {run.name} consumed nothing of {missing[0]}. Run train again."
            )
        epochs.setdefault(run.mixture, tuple(run.consumed[name].epochs for name in domains))
    return Training(
        curves=tuple(curve_of(mixture, losses[mixture]) for mixture in MIXTURES if mixture in losses),
        epochs=epochs,
        model_parameters=runs[0].parameters,
        flops=sum(run.flops for run in runs),
        branches={run.mixture: (mixtures[run.trunk.run], run.trunk.step) for run in runs if run.trunk is not None},
        experts=_experts(train / runs[0].folder),
    )


def _experts(run: Path) -> ExpertsUsed | None:
    return ExpertsUsed.read(run) if (run / ExpertsUsed.FILE).exists() else None
