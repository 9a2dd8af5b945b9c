"""The train stage: a recipe's mixture and its baselines, each with the same seeds and the same number of tokens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tasks.core.digest import digest_file, digest_json
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle
from tasks.core.manifest import Manifest
from tasks.mixture.published import Recipe, read_recipe
from tasks.mixture.published_forecast import Forecast
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageRun, environment_over, stage_input
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool, train_digest
from tasks.tokenize.prefixed import METADATA
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import TrainingConfig
from tasks.training.export import export_words
from tasks.training.forgetting import forgetting
from tasks.training.guard.plan import run_guards
from tasks.training.guard.stage import GuardObserver, earlier_guards
from tasks.training.guard.stage import published as published_guards
from tasks.training.held_out import SPLIT as HELD_OUT
from tasks.training.held_out import evaluation_words
from tasks.training.memory import engine_words
from tasks.training.model_size import num_parameters
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
from tasks.training.runs.stage import require_worlds, train_all
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
from tasks.training.unit import splits_of
from tasks.training.updates import RunCurve, updates

STAGE = "train"
# The input that stands in for a search: a recipe's file.
RECIPE = "recipe"
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
    start, teachers, items = start_of(params.start), teachers_of(params.teachers), given_items(params.planted)
    digests = {"tokenize": tokenized.digest, **given.digests, **_digests(start, teachers, items)}
    guarded, earlier = earlier_guards(params.guard)
    digests |= guarded
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
    begun = None if start is None else start.digest
    guards = run_guards(params, planned.runs, pool.names, begun, earlier)
    runs = plant_all(params.planted, items, planned.runs, read[TOKENIZER_FILE], pool, workshop)
    for note in (*planned.notes, *_words(planned.runs[0].spec.training, pool, workshop)):
        workshop.observer.say(note)

    watched = replace(workshop, observer=GuardObserver(workshop.observer, guards)) if guards else workshop
    records = train_all(runs, read, start, watched)
    pairs = zip(runs, records, strict=True)
    trained = TrainedRuns(runs=tuple(_described(one, record, pool) for one, record in pairs))
    files = _files(trained.runs, records, recipe.name) | _evidence(trained.runs, records, params, pool)
    measured = {run.name: read_evaluations(record.folder) for run, record in zip(trained.runs, records, strict=True)}
    files |= published_guards(guards, begun, measured)
    if recipe.forecast is not None and (forecast := given.forecast()) is not None:
        files |= _updates(forecast, planned.runs, records)
    return stage.publish(
        {**files, f"{EXPORT_FOLDER}/{TOKENIZER_FILE}": read[TOKENIZER_FILE], TrainedRuns.FILE: trained},
        summary=summary_of(params, pool, trained.runs),
        environment=environment_over(records),
    )


def _digests(start: Start | None, teachers: Sequence[Start], items: Sequence[Handle]) -> dict[str, str]:
    """Return the digests of what a run may be given beside its pool and its recipe, by name."""
    lists = {"teachers": [one.digest for one in teachers], "planted": [one.digest for one in items]}
    found = {} if start is None else {"start": start.digest}
    return found | {name: digest_json(digests) for name, digests in lists.items() if digests}


def _words(training: TrainingConfig, pool: TokenPool, workshop: Workshop) -> Iterator[str]:
    """Yield what a user should know of the runs before they start."""
    if exported := export_words(training.model):
        yield exported
    if workshop.gpus_per_trainer:
        yield engine_words(training, pool.vocab_size, workshop.world_size)
    if training.static_mask is not None:
        yield mask_words(training, pool.vocab_size)
    if training.evaluations is not None:
        yield evaluation_words(training, pool.tokens(HELD_OUT).tolist())


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
        flops=flops_of(spec, pool.vocab_size, before, spec.training.num_steps),
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


def _evidence(
    runs: Sequence[TrainedRun], records: Sequence[UnitRecord], params: TrainParams, pool: TokenPool
) -> dict[str, Content]:
    """Return what the runs had learned and forgot again, where they were evaluated on their way."""
    measured = ((run, read_evaluations(record.folder)) for run, record in zip(runs, records, strict=True))
    learnt = forgetting(measured, pool.names, params.training.tokens_per_step)
    return {} if learnt is None else {Forgetting.FILE: learnt}


def _updates(forecast: Forecast, runs: Sequence[PlannedRun], records: Sequence[UnitRecord]) -> dict[str, Content]:
    """Return the forecast of a search beside what the losses of the runs say of it."""
    read_back = ((one, read_losses(record.folder)) for one, record in zip(runs, records, strict=True))
    said = updates(forecast, [RunCurve(one.mixture, one.spec.training, losses) for one, losses in read_back])
    return {} if said is None else {ForecastUpdates.FILE: said}
