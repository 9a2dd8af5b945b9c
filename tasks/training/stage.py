"""The train stage: searched, natural and uniform mixtures, each with the same seeds and the same number of tokens."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from infra.distributed import Seat
from infra.progress import UnitReport
from tasks.core.digest import digest_code, digest_file
from tasks.core.errors import DataError
from tasks.core.manifest import FileRecord, Manifest, stage_key
from tasks.core.stage import (
    Placement,
    UnitRecord,
    UnitResult,
    Workshop,
    float_environment,
    map_shared_units,
    publish,
    stage_input,
    unchanged,
)
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import Mixture, TrainParams, num_flops, num_parameters
from tasks.training.device import instruction_set
from tasks.training.order import starved
from tasks.training.published import (
    CONFIG_FILE,
    EXPORT_FOLDER,
    LEDGER_FILE,
    LOSSES_FILE,
    MODELS_FOLDER,
    TRANSFORMERS_FILES,
    WEIGHTS_FILE,
    Consumed,
    TrainedPhase,
    TrainedRun,
    TrainedRuns,
    ledger_text,
    losses_text,
    read_losses,
)
from tasks.training.run import RunResult, order_of, train
from tasks.training.types import Phase, RunSpec, World

STAGE = "train"
CODE = ("tasks.core", "tasks.tokenize", "tasks.training")
RECIPE = "recipe.json"
BASELINES: tuple[Mixture, ...] = ("natural", "uniform", "unimax")
MODEL_FILES = (CONFIG_FILE, LEDGER_FILE, LOSSES_FILE, WEIGHTS_FILE)
EXPORT_FILES = (CONFIG_FILE, WEIGHTS_FILE, *TRANSFORMERS_FILES)


@dataclass(frozen=True)
class Mixtures:
    """What search proposes, and what it must beat: phases by mixture, and how often a domain may be repeated."""

    phases: Mapping[Mixture, tuple[Phase, ...]]
    max_epochs: float


@dataclass(frozen=True)
class RunArgs:
    """One unit of the stage: the run, where its pool lies, and where its checkpoints are kept until it is finished."""

    spec: RunSpec
    pool: Path
    checkpoints: Path


def run(params: TrainParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train a model on each mixture with each seed, and export the first on the searched mixture."""
    tokenized, searched = stage_input(inputs, "tokenize"), stage_input(inputs, "search")
    contents = {"tokenize": tokenized.digest, "search": searched.digest}
    values, code = params.model_dump(mode="json"), digest_code(CODE)
    if found := unchanged(output, stage=STAGE, inputs=contents, params=values, code=code):
        workshop.observer.say("train: unchanged (same inputs, params and code), taken as it is")
        return found
    folder = tokenized.verified(*POOL_FILES, "tokens/train/", TOKENIZER_FILE)
    recipe, pool = searched.verified(RECIPE) / RECIPE, read_pool(folder)
    specs = run_specs(params, read_recipe(recipe, pool, params.training.num_tokens))
    _tell_starved(specs, pool, workshop)
    records = _trained(specs, contents["tokenize"], folder, workshop)
    with tempfile.TemporaryDirectory() as drafts:
        planned = zip(_planned(params), specs, records, strict=True)
        trained = TrainedRuns(runs=tuple(_described(one, spec, record, pool) for one, spec, record in planned))
        files = _files(trained.runs, records) | _tokenizer(folder)
        return publish(
            output,
            files=files | {TrainedRuns.FILE: _placement(trained.write(Path(drafts)))},
            manifest=lambda files: Manifest(
                stage=STAGE,
                inputs=contents,
                params=values,
                code=code,
                files=files,
                summary=_summary(params, pool, trained.runs),
                environment=float_environment(),
            ),
        )


def read_recipe(path: Path, pool: TokenPool, num_tokens: int) -> Mixtures:
    """Return the mixtures of a `recipe.json`; the baselines are one phase of `num_tokens` each.

    Raises:
        DataError: it is no recipe, or one for other domains than the pool's.
        ConfigError: weights that are none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        searched = tuple(Phase(int(phase["tokens"]), tuple(phase["weights"])) for phase in value["phases"])
        baselines = {name: (Phase(num_tokens, tuple(value["baselines"][name])),) for name in BASELINES}
        domains, max_epochs = tuple(value["domains"]), float(value["max_epochs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a recipe this version can read: {error!r}. Run search again.") from error
    if domains != pool.names:
        raise DataError(
            f"{path}: a recipe for the domains {', '.join(domains)}; the pool has {', '.join(pool.names)}. "
            "Run search again on this pool."
        )
    return Mixtures({"searched": searched, **baselines}, max_epochs)


def run_specs(params: TrainParams, recipe: Mixtures) -> list[RunSpec]:
    """Return the runs, mixture by mixture; runs with the same seed are paired."""
    return [
        RunSpec(_name(mixture, seed), recipe.phases[mixture], seed, params.training, recipe.max_epochs)
        for mixture, seed in _planned(params)
    ]


def _planned(params: TrainParams) -> list[tuple[Mixture, int]]:
    """Return mixture and seed of every run."""
    seeds = range(params.seed, params.seed + params.num_seeds)
    return [(mixture, seed) for mixture in params.mixtures for seed in seeds]


def _name(mixture: Mixture, seed: int) -> str:
    return f"{mixture}-seed{seed}"


def work(args: RunArgs, folder: Path | None, seat: Seat) -> UnitResult:
    """Make one run, alone or as one of several data-parallel workers; the first writes its files."""
    pool = read_pool(args.pool)
    world = World(seat.size, seat.rank, seat.group)
    trained = train(args.spec, pool, checkpoints=args.checkpoints, world=world)
    if folder is not None:
        _write(trained, args, pool, folder)
    last = trained.losses[-max(1, len(trained.losses) // 10) :]
    return UnitResult(
        summary={
            "final_loss": sum(last) / len(last),
            "samples": list(trained.ledger.totals),
            "device": "cpu",
            "instruction_set": instruction_set(),
        }
    )


def _write(trained: RunResult, args: RunArgs, pool: TokenPool, folder: Path) -> None:
    from tasks.training.export import write_model, write_tokenizer_files

    write_model(trained.model, pool.document_end, folder)
    length = args.spec.training.model.sequence_length
    write_tokenizer_files(args.pool / TOKENIZER_FILE, pool.document_end, length, folder)
    (folder / LOSSES_FILE).write_text(losses_text(trained.losses), encoding="utf-8")
    (folder / LEDGER_FILE).write_text(ledger_text(trained.ledger.blocks()), encoding="utf-8")


def _trained(specs: list[RunSpec], pool_digest: str, pool: Path, workshop: Workshop) -> list[UnitRecord]:
    """Return the record of each run; runs that are the same work (a searched mixture may be uniform) are made once."""
    keys = [_key(spec, pool_digest) for spec in specs]
    first = dict(zip(reversed(keys), reversed(specs), strict=True))
    order = list(dict.fromkeys(keys))

    def finished(index: int, record: UnitRecord) -> None:
        key = order[index]
        shutil.rmtree(checkpoints[key], ignore_errors=True)
        for spec in (spec for spec, own in zip(specs, keys, strict=True) if own == key):
            workshop.observer.unit(_report(spec, key, record))

    with ExitStack() as stack:
        checkpoints = {key: stack.enter_context(workshop.store.scratch(STAGE, key)).absolute() for key in order}
        records = map_shared_units(
            workshop,
            stage=STAGE,
            label="train",
            work=work,
            units=[(key, RunArgs(first[key], pool, checkpoints[key])) for key in order],
            packages=CODE,
            on_finished=finished,
        )
    return [records[order.index(key)] for key in keys]


def _key(spec: RunSpec, pool_digest: str) -> str:
    """Return the key of a run: not its name, and of the recipe only what is executed."""
    params = {
        "phases": [[phase.num_tokens, list(phase.weights)] for phase in spec.phases],
        "seed": spec.seed,
        "training": spec.training.model_dump(mode="json"),
    }
    return stage_key(f"{STAGE}.run", {"tokenize": pool_digest}, params, digest_code(CODE))


def _tell_starved(specs: list[RunSpec], pool: TokenPool, workshop: Workshop) -> None:
    """Check every run before the first starts, and say which domains a mixture names but cannot give one sample."""
    for spec in specs:
        if missed := starved(order_of(spec, pool), spec.phases):
            workshop.observer.say(f"{spec.name}: too small a weight for a single sample: {', '.join(missed)}")


def _report(spec: RunSpec, key: str, record: UnitRecord) -> UnitReport:
    weights = [list(phase.weights) for phase in spec.phases]
    return UnitReport(
        name=spec.name,
        key=key,
        params={"seed": spec.seed, "tokens": spec.training.num_tokens, "weights": json.dumps(weights)},
        metrics={"final_loss": record.summary["final_loss"]},
        curves={"loss": list(enumerate(read_losses(record.folder)))},
    )


def _described(planned: tuple[Mixture, int], spec: RunSpec, record: UnitRecord, pool: TokenPool) -> TrainedRun:
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
        weights_digest=record.file(WEIGHTS_FILE).record.digest,
        device=record.summary["device"],
        instruction_set=record.summary["instruction_set"],
    )


def _files(runs: Sequence[TrainedRun], records: Sequence[UnitRecord]) -> dict[str, Placement]:
    """Return what is published of every run, and the first of the searched mixture once more, to be loaded elsewhere."""
    files = {
        f"{run.folder}/{name}": record.file(name)
        for run, record in zip(runs, records, strict=True)
        for name in MODEL_FILES
    }
    searched = [record for run, record in zip(runs, records, strict=True) if run.mixture == "searched"]
    exported = [*searched, *records][0]
    return files | {f"{EXPORT_FOLDER}/{name}": exported.file(name) for name in EXPORT_FILES}


def _tokenizer(folder: Path) -> dict[str, Placement]:
    return {f"{EXPORT_FOLDER}/{TOKENIZER_FILE}": _placement(folder / TOKENIZER_FILE)}


def _placement(path: Path) -> Placement:
    return Placement(path, FileRecord(path.name, digest_file(path), path.stat().st_size))


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
