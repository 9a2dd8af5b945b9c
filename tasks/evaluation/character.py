"""What the stage finds out about what its models are like: units over models, and what is published of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tasks.core.handles import Tree
from tasks.evaluation.config import FlatnessParams
from tasks.evaluation.flatness import FlatnessArgs, measure_flatness
from tasks.evaluation.published_like import FlatModel, Flatness
from tasks.evaluation.tasks.unit import TrainedModel
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step
from tasks.training.published import TrainedRun

FLATNESS = Step("evaluate.flatness", "evaluate: flatness", measure_flatness)


def flatness(
    workshop: Workshop,
    params: FlatnessParams,
    runs: Sequence[TrainedRun],
    models: Mapping[str, TrainedModel],
    pool: Tree,
) -> tuple[Flatness, list[UnitRecord]]:
    """Return how flat the loss of each run's model is; it is measured on the device that full runs are trained on."""
    gpus = workshop.gpus_per_trainer
    device = "cuda" if gpus else "cpu"
    args = [FlatnessArgs(models[run.name].config, models[run.name].weights, pool, params, device) for run in runs]
    records = FLATNESS.map(workshop, args, resources=replace(FLATNESS.resources, gpus=gpus))
    told = [_flat_model(run, record) for run, record in zip(runs, records, strict=True)]
    return (
        Flatness(windows=params.windows, num_probes=params.num_probes, seed=params.seed, models=tuple(told)),
        records,
    )


def _flat_model(run: TrainedRun, record: UnitRecord) -> FlatModel:
    forms_P = np.array(record.summary["forms"], dtype=np.float64)
    return FlatModel(
        model=run.name,
        parameters=run.parameters,
        loss=record.summary["loss"],
        trace=float(forms_P.mean()),
        standard_error=float(forms_P.std(ddof=1) / len(forms_P) ** 0.5),
        critical_sharpness=record.summary["critical_sharpness"],
    )
