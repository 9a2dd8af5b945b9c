"""How a domain's loss went against the number of times that its text was gone through, run by run.

How often is what the executed plan says: `runs.json` at the end, the ledger on the way. A ledger counts in blocks of steps;
within one the draws of a domain are spread evenly.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.evaluation.published import MeasuredModel
from tasks.evaluation.published_like import EpochPoint, LossAgainstEpochs, RepeatedDomain, RepeatedModel
from tasks.training.published import TrainedRun
from tasks.training.published_run import EvaluationRow, LedgerRow, read_evaluations, read_ledger


def loss_against_epochs(
    trained: Path, runs: Sequence[TrainedRun], models: Sequence[MeasuredModel]
) -> LossAgainstEpochs:
    """Return it for every run in the folder that the train stage published; `models` are those of the runs, in order."""
    return LossAgainstEpochs(
        models=tuple(_of_run(trained / run.folder, run, model) for run, model in zip(runs, models, strict=True))
    )


def _of_run(folder: Path, run: TrainedRun, model: MeasuredModel) -> RepeatedModel:
    evaluations = read_evaluations(folder)
    # A run that was not evaluated on its way is told by its end alone.
    ledger = read_ledger(folder) if evaluations else ()
    return RepeatedModel(
        model=run.name,
        mixture=run.mixture,
        seed=run.seed,
        domains={
            name: RepeatedDomain(
                epochs=run.consumed[name].epochs, bits_per_byte=bits, on_the_way=points(name, evaluations, ledger)
            )
            for name, bits in model.bpb.items()
        },
    )


def points(domain: str, evaluations: Sequence[EvaluationRow], ledger: Sequence[LedgerRow]) -> tuple[EpochPoint, ...]:
    """Return each evaluation of a domain, with how often its text had been gone through."""
    steps, epochs = [0], [0.0]
    for row in ledger:
        if row.domain == domain:
            steps += [row.first_step, row.last_step + 1]
            epochs += [epochs[-1], row.epochs]
    return tuple(
        EpochPoint(step=row.step, epochs=float(np.interp(row.step, steps, epochs)), bits_per_byte=row.bits_per_byte)
        for row in evaluations
        if row.domain == domain
    )
