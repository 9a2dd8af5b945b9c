"""What the planted experiments of trained runs show: every probe put to every model, then the effects."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from infra.executors import Resources
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle, Tree
from tasks.evaluation.planted.params import PlantedParams
from tasks.evaluation.planted.probes import PROBES_PER_UNIT, ProbeArgs, ask_probes, probed_model, probes_of
from tasks.evaluation.planted.published import PlantedEffects
from tasks.evaluation.planted.told import Probed, told_mixture
from tasks.evaluation.tasks.unit import ModelOn, TrainedModel, load
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import stage_input
from tasks.runtime.step import Hold, Step
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.planted.published import PlantedPlan
from tasks.training.published import MODELS_FOLDER, TrainedRun, TrainedRuns
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE

PROBE = Step("evaluate.planted", "evaluate: planted experiments", ask_probes, hold=Hold(probed_model, load))


def effects_in(
    folder: Path, tokens: Path, params: PlantedParams, confidence: float, workshop: Workshop
) -> PlantedEffects:
    """Return what the experiments show in the runs that a train stage published, on a pool's tokenizer.

    Raises:
        ConfigError: nothing was planted into them.
    """
    given = {"train": folder, "tokenize": tokens}
    trained, tokenized = (stage_input(workshop, given, name) for name in ("train", "tokenize"))
    files, tokenizer = trained.tree(TrainedRuns.FILE, f"{MODELS_FOLDER}/"), tokenized.tree(TOKENIZER_FILE)
    runs = trained.read(TrainedRuns).runs
    models = {run.name: _model(files, run, tokenizer[TOKENIZER_FILE]) for run in runs}
    found, _ = planted_effects(workshop, params, runs, models, plans_of(files, runs), confidence)
    return found


def plans_of(files: Tree, runs: Sequence[TrainedRun]) -> dict[str, Handle]:
    """Return what was planted into each run that has planted experiments, by its name; of the train stage's files."""
    return {run.name: files[f"{run.folder}/{PlantedPlan.FILE}"] for run in runs if run.planted is not None}


def _model(files: Tree, run: TrainedRun, tokenizer: Handle) -> TrainedModel:
    return TrainedModel(files[f"{run.folder}/{CONFIG_FILE}"], files[f"{run.folder}/{WEIGHTS_FILE}"], tokenizer)


def planted_effects(
    workshop: Workshop,
    params: PlantedParams,
    runs: Sequence[TrainedRun],
    models: Mapping[str, TrainedModel],
    plans: Mapping[str, Handle],
    confidence: float,
) -> tuple[PlantedEffects, list[UnitRecord]]:
    """Return what the experiments of all runs show, mixture by mixture; models and plans by the names of the runs.

    Raises:
        ConfigError: nothing was planted into these runs.
    """
    planted = [run for run in runs if run.planted is not None]
    if not planted:
        raise ConfigError(
            "evaluate.planted: nothing was planted into these runs. Name experiments in train.planted, or leave it out."
        )
    gpus = workshop.gpus_per_trainer
    device = "cuda" if gpus else "cpu"
    read = {run.name: PlantedPlan.parse(plans[run.name].text(), run.name) for run in planted}
    args = [
        (run.name, ProbeArgs(ModelOn(models[run.name], device), plans[run.name], part))
        for run in planted
        for part in range(-(-len(probes_of(read[run.name])) // PROBES_PER_UNIT))
    ]
    records = PROBE.map(workshop, [each for _, each in args], resources=Resources(gpus=gpus))
    bits: dict[str, list[float]] = {}
    for (name, _), record in zip(args, records, strict=True):
        bits.setdefault(name, []).extend(record.summary["bits_per_byte"])
    mixtures = [
        told_mixture(
            name, [Probed(run.seed, read[run.name], np.array(bits[run.name])) for run in own], confidence, params
        )
        for name in dict.fromkeys(run.mixture for run in planted)
        if (own := [run for run in planted if run.mixture == name])
    ]
    return PlantedEffects(confidence=confidence, power=params.power, mixtures=tuple(mixtures)), records
