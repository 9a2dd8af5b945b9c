"""The train stage: a recipe's mixture and its baselines, each with the same seeds and the same number of tokens."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from infra.executors import Resources
from infra.progress import UnitReport
from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle, Tree
from tasks.core.manifest import Manifest
from tasks.mixture.published import Recipe, read_recipe
from tasks.mixture.published_forecast import Forecast
from tasks.runtime.context import Workshop
from tasks.runtime.costs import unit_metrics
from tasks.runtime.files import file_handle
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageRun, environment_over, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool, train_digest
from tasks.tokenize.prefixed import METADATA
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import num_parameters
from tasks.training.ewc.stage import anchors
from tasks.training.export import export_words
from tasks.training.forgetting import forgetting
from tasks.training.held_out import SPLIT as HELD_OUT
from tasks.training.held_out import evaluation_words
from tasks.training.memory import engine_words
from tasks.training.params import TrainParams
from tasks.training.planted.published import PlantedPlan
from tasks.training.planted.stage import given_items, plant_all, told_of
from tasks.training.published import (
    EXPORT_FOLDER,
    MODELS_FOLDER,
    Consumed,
    TrainedRun,
    TrainedRuns,
    TrunkStep,
)
from tasks.training.published_experts import ExpertsUsed
from tasks.training.published_forgetting import Forgetting
from tasks.training.published_run import (
    CONFIG_FILE,
    EVALUATIONS_FILE,
    LEDGER_FILE,
    LOSSES_FILE,
    MILESTONES,
    TRANSFORMERS_FILES,
    WEIGHTS_FILE,
    read_evaluations,
    read_losses,
)
from tasks.training.published_updates import ForecastUpdates
from tasks.training.rebuilt import trained_phase
from tasks.training.recipes import PlannedRun, planned_runs
from tasks.training.segments import flops_of
from tasks.training.starts.kinds import StartConfig
from tasks.training.starts.kinds import paths as start_paths
from tasks.training.starts.start import Start
from tasks.training.starts.weights import StartPaths, num_tokens, optimizer_steps, start_mistakes
from tasks.training.static_mask import mask_words
from tasks.training.summary import summary_of
from tasks.training.teachers.fit import require_fit
from tasks.training.teachers.kinds import TeacherConfig
from tasks.training.teachers.kinds import paths as teacher_paths
from tasks.training.trunks import as_decided, milestone_of, num_trunks
from tasks.training.types import Device, RunSpec
from tasks.training.unit import RunArgs, splits_of, train_run
from tasks.training.updates import RunCurve, updates
from tasks.training.worlds import (
    require_segments_shared,
    require_shared,
    shares_segments,
    smaller_worlds,
    workers_words,
)

STAGE = "train"
# The input that stands in for a search: a recipe's file.
RECIPE = "recipe"


def tokens_trained(args: RunArgs) -> int:
    """Return the tokens that a run trains on, without those of its trunk."""
    return args.spec.training.num_tokens - args.spec.tokens_before


TRAIN = Step("train.run", "train", train_run, distributed=True, stops=True, tokens=tokens_trained)
MODEL_FILES = (
    CONFIG_FILE,
    EVALUATIONS_FILE,
    ExpertsUsed.FILE,
    LEDGER_FILE,
    LOSSES_FILE,
    PlantedPlan.FILE,
    WEIGHTS_FILE,
)
EXPORT_FILES = (CONFIG_FILE, WEIGHTS_FILE, *TRANSFORMERS_FILES)


def run(params: TrainParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train a model on each mixture with each seed, and export the first on the recipe's.

    The recipe is a search's, or that of a file (`inputs["recipe"]`), which needs no search.
    """
    tokenized = stage_input(workshop, inputs, "tokenize")
    given = _recipe_input(inputs, workshop)
    digests = {"tokenize": tokenized.digest, **given.digests}
    start = start_of(params.start)
    digests |= {} if start is None else {"start": start.digest}
    teachers = teachers_of(params.teachers)
    digests |= {"teachers": digest_json([one.digest for one in teachers])} if teachers else {}
    items = given_items(params.planted)
    digests |= {"planted": digest_json([one.digest for one in items])} if items else {}
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_trainer)
    if (found := stage.unchanged()) is not None:
        return found
    splits = splits_of(params.training)
    read = tokenized.tree(*POOL_FILES, *(f"tokens/{split}/" for split in splits), METADATA, TOKENIZER_FILE)
    recipe = given.read()
    pool = read_pool(read.local(), *splits)
    # Every run is checked before the first starts.
    _require_fit(start, params, read[TOKENIZER_FILE], pool)
    where, steps = str(inputs.get(RECIPE, Recipe.FILE)), None if start is None else start.optimizer_steps
    planned = planned_runs(params, recipe, pool, train_digest(read), where, steps, teachers)
    require_fit([one.spec for one in planned.runs], pool.vocab_size, read[TOKENIZER_FILE])
    require_worlds([one.spec for one in planned.runs], workshop)
    runs = plant_all(params.planted, items, planned.runs, read[TOKENIZER_FILE], pool, workshop)
    for note in (*planned.notes, *filter(None, [export_words(params.training.model)])):
        workshop.observer.say(note)
    if workshop.gpus_per_trainer:
        workshop.observer.say(engine_words(params.training, pool.vocab_size, workshop.world_size))
    if params.training.static_mask is not None:
        workshop.observer.say(mask_words(params.training, pool.vocab_size))
    if params.training.evaluations is not None:
        workshop.observer.say(evaluation_words(planned.runs[0].spec.training, pool.tokens(HELD_OUT).tolist()))

    records = train_all(runs, read, start, workshop)
    pairs = zip(runs, records, strict=True)
    trained = TrainedRuns(runs=tuple(_described(one, record, pool) for one, record in pairs))
    files = _files(trained.runs, records, recipe.name)
    measured = ((run, read_evaluations(record.folder)) for run, record in zip(trained.runs, records, strict=True))
    if (learnt := forgetting(measured, pool.names, params.training.tokens_per_step)) is not None:
        files |= {Forgetting.FILE: learnt}
    if recipe.forecast is not None and (forecast := given.forecast()) is not None:
        read_back = ((one, read_losses(record.folder)) for one, record in zip(planned.runs, records, strict=True))
        said = updates(forecast, [RunCurve(one.mixture, one.spec.training, losses) for one, losses in read_back])
        files |= {} if said is None else {ForecastUpdates.FILE: said}
    return stage.publish(
        {**files, f"{EXPORT_FOLDER}/{TOKENIZER_FILE}": read[TOKENIZER_FILE], TrainedRuns.FILE: trained},
        summary=summary_of(params, pool, trained.runs),
        environment=environment_over(records),
    )


@dataclass(frozen=True)
class _RecipeInput:
    """Where the recipe comes from: its digest by the name of the input, and how it and its forecast are read."""

    digests: dict[str, str]
    read: Callable[[], Recipe]
    forecast: Callable[[], Forecast | None]


def _recipe_input(inputs: Mapping[str, Path], workshop: Workshop) -> _RecipeInput:
    if RECIPE in inputs:
        path = inputs[RECIPE]
        return _RecipeInput({RECIPE: digest_file(path)}, partial(read_recipe, path), lambda: None)
    searched = stage_input(workshop, inputs, "search")
    return _RecipeInput({"search": searched.digest}, partial(searched.read, Recipe), partial(searched.read, Forecast))


def start_of(config: StartConfig) -> Start | None:
    """Return what runs start from, by content; None = scratch."""
    found = start_paths(config)
    return None if found is None else _by_content(found)


def teachers_of(configs: Sequence[TeacherConfig]) -> tuple[Start, ...]:
    """Return the models that runs learn from, by content."""
    return tuple(_by_content(teacher_paths(one)) for one in configs)


def _by_content(found: StartPaths) -> Start:
    weights, tokenizer = file_handle(found.weights), file_handle(found.tokenizer)
    return Start(
        file_handle(found.config),
        weights,
        tokenizer,
        found.extend_vocabulary,
        found.other_rope_base,
        None if found.record is None else optimizer_steps(found.record, weights),
        tuple(map(file_handle, found.more)) or None,
        num_tokens(tokenizer) if found.padded_vocabulary else None,
        found.upcycle or None,
    )


def _require_fit(start: Start | None, params: TrainParams, tokenizer: Handle, pool: TokenPool) -> None:
    """Refuse a start that is not of the model that is trained, or not of the pool's tokenizer."""
    if start is None:
        return
    if found := tuple(start_mistakes(start, params.training, pool.vocab_size, tokenizer)):
        told = "\n".join(f"  {one}" for one in found)
        raise ConfigError(f"train.start: {len(found)} mistake(s) in {start.weights.local()}:\n{told}")


def train_all(planned: Sequence[PlannedRun], read: Tree, start: Start | None, workshop: Workshop) -> list[UnitRecord]:
    """Make all runs, trunks before their branches; what is the same work (uniform was searched) once."""
    made, records = dict[RunSpec, UnitRecord](), dict[int, UnitRecord]()
    worlds, depths = _smaller(planned, workshop), [num_trunks(one.spec) for one in planned]
    for depth in sorted({*depths}):
        places = [place for place, own in enumerate(depths) if own == depth]
        runs = [planned[place] for place in places]
        found = _trained(runs, read, start, made, workshop, worlds)
        made |= {one.spec: record for one, record in zip(runs, found, strict=True)}
        records |= dict(zip(places, found, strict=True))
    return [records[place] for place in range(len(planned))]


def _trained(
    runs: Sequence[PlannedRun],
    read: Tree,
    start: Start | None,
    made: Mapping[RunSpec, UnitRecord],
    workshop: Workshop,
    worlds: Sequence[int],
) -> list[UnitRecord]:
    """Make runs that begin at the start, or runs that are branches of what is `made`."""

    def tell(index: int, record: UnitRecord) -> None:
        spec = runs[index].spec
        workshop.observer.unit(_report(spec, record, unit_metrics(workshop.store, TRAIN.name, record.key)))
        if len(workers := record.summary.get("workers", ())) > 1:
            workshop.observer.say(f"{spec.name} was trained {workers_words(workers)}")

    device: Device = "cuda" if workshop.gpus_per_trainer else "cpu"
    branches = runs[0].spec.trunk is not None
    held = anchors([one.spec for one in runs], made, read, start, workshop)
    return TRAIN.map(
        workshop,
        [
            RunArgs(
                replace(as_decided(one.spec, made), anchor=own),
                read_by(one.spec, read),
                None if branches else start,
                milestone_of(one.spec.trunk, made),
                one.hooks,
                device,
            )
            for one, own in zip(runs, held, strict=True)
        ],
        label="train: branches" if branches else None,
        on_finished=tell,
        names=[one.spec.name for one in runs],
        resources=Resources(gpus=workshop.gpus_per_trainer),
        smaller_worlds=worlds,
    )


def read_by(spec: RunSpec, read: Tree) -> Tree:
    """Return what a run reads of the pool: metadata only where a part of it has some."""
    if any(segment.metadata for segment in spec.segments):
        return read
    return read.under(*POOL_FILES, "tokens/", TOKENIZER_FILE)


def _smaller(runs: Sequence[PlannedRun], workshop: Workshop) -> tuple[int, ...]:
    """Return with how many workers the runs may go on where there is no longer room for all."""
    least = workshop.min_world_size
    if least is None:
        return ()
    fits = [smaller_worlds(one.spec.training, workshop.world_size, least) for one in runs]
    return tuple(size for size in fits[0] if all(size in each for each in fits) and _share(runs, size))


def _share(runs: Sequence[PlannedRun], size: int) -> bool:
    """Return whether so many workers share the steps of every length of samples."""
    return all(one.spec.training.engine is None or shares_segments(one.spec.segments, size) for one in runs)


def require_worlds(specs: Sequence[RunSpec], workshop: Workshop) -> None:
    """Refuse runs whose steps the workshop's workers cannot share, before any of them starts.

    Raises:
        ConfigError: which numbers cannot be shared, and what would do.
    """
    for spec in specs:
        require_shared(spec.training, workshop.world_size)
        if spec.training.engine is not None:
            require_segments_shared(spec.segments, workshop.world_size)


def _report(spec: RunSpec, record: UnitRecord, costs: Mapping[str, float]) -> UnitReport:
    weights = [
        phase.weights if phase.end_weights is None else [phase.weights, phase.end_weights] for phase in spec.phases
    ]
    # By steps made, as while it was under way.
    curves = {"loss": list(enumerate(read_losses(record.folder), start=1))}
    for row in read_evaluations(record.folder):
        curves.setdefault(f"bits_per_byte/{row.domain}", []).append((row.step, row.bits_per_byte))
    return UnitReport(
        name=spec.name,
        key=record.key,
        params={"seed": spec.seed, "tokens": spec.training.num_tokens, "weights": json.dumps(weights)},
        metrics={"final_loss": record.summary["final_loss"], **_skipped(record), **_of_experts(record), **costs},
        curves=curves,
    )


def _skipped(record: UnitRecord) -> dict[str, float]:
    """Return how many steps were left out, where a run may leave out some."""
    steps = record.summary.get("skipped_steps")
    return {} if steps is None else {"skipped_steps": len(steps)}


def _of_experts(record: UnitRecord) -> dict[str, float]:
    """Return how a run used its experts, means over its layers, where it has some."""
    if not (record.folder / ExpertsUsed.FILE).is_file():
        return {}
    layers = ExpertsUsed.read(record.folder).layers
    told = {
        "balance": [layer.balance for layer in layers],
        "drop_rate": [layer.whole_drop_rate for layer in layers],
        "information": [layer.information for layer in layers],
    }
    return {f"experts/{name}": fmean(values) for name, values in told.items()}


def _described(planned: PlannedRun, record: UnitRecord, pool: TokenPool) -> TrainedRun:
    spec, counted = planned.spec, record.summary
    columns = zip(pool.names, counted["samples"], counted["tokens"], counted["epochs"], strict=True)
    consumed = {
        name: Consumed(samples=samples, tokens=tokens, epochs=epochs) for name, samples, tokens, epochs in columns
    }
    decided = record.summary.get("weights") or [phase.weights for phase in spec.phases]
    before = 0 if spec.trunk is None else spec.trunk.step
    return TrainedRun(
        name=spec.name,
        mixture=planned.mixture,
        seed=spec.seed,
        folder=f"{MODELS_FOLDER}/{spec.name}",
        phases=tuple(trained_phase(phase, weights) for phase, weights in zip(spec.phases, decided, strict=True)),
        tokens=spec.training.num_tokens,
        parameters=num_parameters(spec.training.model, pool.vocab_size)[0],
        flops=flops_of(spec.segments, pool.vocab_size, before, spec.training.num_steps),
        final_loss=record.summary["final_loss"],
        consumed=consumed,
        weights_digest=record.file(WEIGHTS_FILE).digest,
        device=record.identity["device"],
        instruction_set=record.environment["instruction_set"],
        trunk=None if spec.trunk is None else TrunkStep(run=spec.trunk.spec.name, step=spec.trunk.step),
        workers=record.summary.get("workers", ()),
        planted=None if spec.planted is None else told_of(spec.planted, record.summary["displaced"], pool.names),
    )


def _files(runs: Sequence[TrainedRun], records: Sequence[UnitRecord], own: str) -> dict[str, Content]:
    """Return what is published of every run, and the first on the recipe's `own` mixture once more, to load elsewhere."""
    files: dict[str, Content] = {
        f"{run.folder}/{name}": record.file(name)
        for run, record in zip(runs, records, strict=True)
        for name in record.tree.names
        if name in MODEL_FILES or name.startswith(f"{MILESTONES}/")
    }
    searched = [record for run, record in zip(runs, records, strict=True) if run.mixture == own]
    exported = [*searched, *records][0]
    return files | {f"{EXPORT_FOLDER}/{name}": exported.file(name) for name in EXPORT_FILES}
