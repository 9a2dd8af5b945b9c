"""What the train stage does with planted experiments: it reads their items, plans each run's, and tells what was planted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tasks.core.errors import ConfigError
from tasks.core.handles import Handle
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.runtime.step import Step
from tasks.tokenize.pool import TokenPool
from tasks.training.planted.overlay import read_plants
from tasks.training.planted.params import PlantedExperiment
from tasks.training.planted.placing import Lengths
from tasks.training.planted.published import PlantedPart, PlantedPlan
from tasks.training.planted.unit import PlantArgs, plant
from tasks.training.published import Planted, PlantedTold
from tasks.training.recipes import PlannedRun
from tasks.training.types import RunSpec

PLANT = Step("train.planted", "train: planted experiments", plant)


def given_items(experiments: Sequence[PlantedExperiment]) -> tuple[Handle, ...]:
    """Return the files of the experiments' items, in order: part of the input, because a file can change its content.

    Raises:
        ConfigError: a file is not there.
    """
    for one in experiments:
        if not Path(one.file).is_file():
            raise ConfigError(
                f"train.planted: {one.name}: {one.file} does not exist. Name a file of items, one JSON object a line."
            )
    return tuple(file_handle(Path(one.file)) for one in experiments)


def plant_all(
    experiments: Sequence[PlantedExperiment],
    items: tuple[Handle, ...],
    runs: Sequence[PlannedRun],
    tokenizer: Handle,
    pool: TokenPool,
    workshop: Workshop,
) -> tuple[PlannedRun, ...]:
    """Return the runs with what is planted into each; runs of one seed have one plan."""
    if not experiments:
        return tuple(runs)
    wanted = dict.fromkeys(_planting(one.spec) for one in runs)
    own = (tuple(experiments), items, tokenizer, pool.document_end)
    records = PLANT.map(workshop, [PlantArgs(*own, seed, lengths) for seed, lengths in wanted])
    plans = {each: record.file(PlantedPlan.FILE) for each, record in zip(wanted, records, strict=True)}
    first = runs[0].spec
    workshop.observer.say(_words(plans[_planting(first)], pool.document_end, first))
    return tuple(replace(one, spec=replace(one.spec, planted=plans[_planting(one.spec)])) for one in runs)


def told_of(plan: Handle, displaced: Sequence[int], domains: Sequence[str]) -> Planted:
    """Return what `runs.json` tells of what was planted into a run."""
    experiments = PlantedPlan.parse(plan.text(), plan.name).experiments
    return Planted(
        experiments={part.name: _told(part) for part in experiments},
        displaced=dict(zip(domains, displaced, strict=True)),
    )


def _told(part: PlantedPart) -> PlantedTold:
    # Each text stands between two ends of a document.
    tokens = sum(item.exposures * (len(item.tokens.split()) + 2) for item in part.items)
    return PlantedTold(
        items=len(part.items),
        treated=sum(item.exposures > 0 for item in part.items),
        texts=sum(item.exposures for item in part.items),
        tokens=tokens,
    )


def _planting(spec: RunSpec) -> tuple[int, Lengths]:
    """Return what of a run decides its plan: its seed, and the lengths of its samples."""
    stops = tuple(one.stop_sample for one in spec.segments)
    return spec.seed, Lengths(stops, tuple(one.model.sequence_length for one in spec.segments))


def _words(plan: Handle, document_end: int, spec: RunSpec) -> str:
    planted = read_plants(plan, document_end)
    tokens = sum(len(text) for text in planted.texts)
    return (
        f"planted: {len(planted.texts):,} texts with {tokens:,} tokens, {100 * tokens / spec.training.num_tokens:.2g} % of "
        f"those of {spec.name}"
    )
