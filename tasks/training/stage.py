"""The train stage: searched, natural and uniform mixtures, each with the same seeds and the same number of tokens."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.progress import UnitReport
from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.manifest import Manifest
from tasks.mixture.published import MixtureName, Recipe
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageRun, environment_over, stage_input
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import num_flops, num_parameters
from tasks.training.order import starved
from tasks.training.params import TrainParams
from tasks.training.published import EXPORT_FOLDER, MODELS_FOLDER, Consumed, TrainedPhase, TrainedRun, TrainedRuns
from tasks.training.published_run import (
    CONFIG_FILE,
    LEDGER_FILE,
    LOSSES_FILE,
    TRANSFORMERS_FILES,
    WEIGHTS_FILE,
    read_losses,
)
from tasks.training.run import order_of
from tasks.training.types import Phase, RunSpec
from tasks.training.unit import SPLIT, RunArgs, train_run

STAGE = "train"
TRAIN = Step("train.run", "train", train_run, distributed=True)
MODEL_FILES = (CONFIG_FILE, LEDGER_FILE, LOSSES_FILE, WEIGHTS_FILE)
EXPORT_FILES = (CONFIG_FILE, WEIGHTS_FILE, *TRANSFORMERS_FILES)


def run(params: TrainParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train a model on each mixture with each seed, and export the first on the searched mixture."""
    tokenized, searched = stage_input(workshop, inputs, "tokenize"), stage_input(workshop, inputs, "search")
    digests = {"tokenize": tokenized.digest, "search": searched.digest}
    stage = StageRun(workshop, STAGE, __name__, params, digests, output)
    if (found := stage.unchanged()) is not None:
        return found
    read = tokenized.tree(*POOL_FILES, f"tokens/{SPLIT}/", TOKENIZER_FILE)
    recipe = searched.read(Recipe)
    pool = read_pool(read.local(), SPLIT)
    specs = run_specs(params, recipe, pool.names)
    _tell_starved(specs, pool, workshop)

    def finished(index: int, record: UnitRecord) -> None:
        workshop.observer.unit(_report(specs[index], record))

    # Runs that are the same work (a searched mixture may be uniform) are made once.
    records = TRAIN.map(workshop, [RunArgs(spec, read) for spec in specs], on_finished=finished)
    planned = zip(_planned(params), specs, records, strict=True)
    trained = TrainedRuns(runs=tuple(_described(one, spec, record, pool) for one, spec, record in planned))
    files = _files(trained.runs, records) | {f"{EXPORT_FOLDER}/{TOKENIZER_FILE}": read[TOKENIZER_FILE]}
    return stage.publish(
        {**files, TrainedRuns.FILE: trained},
        summary=_summary(params, pool, trained.runs),
        environment=environment_over(records),
    )


def run_specs(params: TrainParams, recipe: Recipe, domains: Sequence[str]) -> list[RunSpec]:
    """Return the runs, mixture by mixture; runs with the same seed are paired. A baseline is one phase.

    Raises:
        DataError: the recipe is for other domains than the pool's.
    """
    if recipe.domains != tuple(domains):
        raise DataError(
            f"{Recipe.FILE}: a recipe for the domains {', '.join(recipe.domains)}; the pool has {', '.join(domains)}. "
            "Run search again on this pool."
        )
    return [
        RunSpec(
            f"{mixture}-seed{seed}",
            _phases(recipe, mixture, params.training.num_tokens),
            seed,
            params.training,
            recipe.max_epochs,
        )
        for mixture, seed in _planned(params)
    ]


def _phases(recipe: Recipe, mixture: MixtureName, num_tokens: int) -> tuple[Phase, ...]:
    if mixture == "searched":
        return tuple(Phase(phase.tokens, phase.weights) for phase in recipe.phases)
    return (Phase(num_tokens, recipe.baselines[mixture]),)


def _planned(params: TrainParams) -> list[tuple[MixtureName, int]]:
    """Return mixture and seed of every run."""
    seeds = range(params.seed, params.seed + params.num_seeds)
    return [(mixture, seed) for mixture in params.mixtures for seed in seeds]


def _tell_starved(specs: list[RunSpec], pool: TokenPool, workshop: Workshop) -> None:
    """Check every run before the first starts, and say which domains a mixture names but cannot give one sample."""
    for spec in specs:
        if missed := starved(order_of(spec, pool), spec.phases):
            workshop.observer.say(f"{spec.name}: too small a weight for a single sample: {', '.join(missed)}")


def _report(spec: RunSpec, record: UnitRecord) -> UnitReport:
    weights = [list(phase.weights) for phase in spec.phases]
    return UnitReport(
        name=spec.name,
        key=record.key,
        params={"seed": spec.seed, "tokens": spec.training.num_tokens, "weights": json.dumps(weights)},
        metrics={"final_loss": record.summary["final_loss"]},
        curves={"loss": list(enumerate(read_losses(record.folder)))},
    )


def _described(planned: tuple[MixtureName, int], spec: RunSpec, record: UnitRecord, pool: TokenPool) -> TrainedRun:
    length = spec.training.model.sequence_length
    rows, samples = pool.rows("train", length).tolist(), record.summary["samples"]
    consumed = {
        name: Consumed(samples=count, tokens=count * length, epochs=count / available if available else 0.0)
        for name, count, available in zip(pool.names, samples, rows, strict=True)
    }
    mixture, seed = planned
    return TrainedRun(
        name=spec.name,
        mixture=mixture,
        seed=seed,
        folder=f"{MODELS_FOLDER}/{spec.name}",
        phases=tuple(TrainedPhase(tokens=phase.num_tokens, weights=phase.weights) for phase in spec.phases),
        tokens=spec.training.num_tokens,
        parameters=num_parameters(spec.training.model, pool.vocab_size)[0],
        flops=num_flops(spec.training, pool.vocab_size),
        final_loss=record.summary["final_loss"],
        consumed=consumed,
        weights_digest=record.file(WEIGHTS_FILE).digest,
        device=record.identity["device"],
        instruction_set=record.environment["instruction_set"],
    )


def _files(runs: Sequence[TrainedRun], records: Sequence[UnitRecord]) -> dict[str, Handle]:
    """Return what is published of every run, and the first of the searched mixture once more, to be loaded elsewhere."""
    files = {
        f"{run.folder}/{name}": record.file(name)
        for run, record in zip(runs, records, strict=True)
        for name in MODEL_FILES
    }
    searched = [record for run, record in zip(runs, records, strict=True) if run.mixture == "searched"]
    exported = [*searched, *records][0]
    return files | {f"{EXPORT_FOLDER}/{name}": exported.file(name) for name in EXPORT_FILES}


def _summary(params: TrainParams, pool: TokenPool, runs: Sequence[TrainedRun]) -> dict[str, object]:
    parameters, body = num_parameters(params.training.model, pool.vocab_size)
    return {
        "parameters": parameters,
        "parameters_outside_embedding": body,
        "tokens_per_run": params.training.num_tokens,
        "flops_per_run": num_flops(params.training, pool.vocab_size),
        "runs": len(runs),
        "final_loss": {run.name: run.final_loss for run in runs},
    }
