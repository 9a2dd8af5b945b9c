"""The stage `evaluate`: one unit per model on the split `test`, then the decision."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.digest import digest_code, digest_tree
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import (
    StageInput,
    UnitResult,
    Workshop,
    float_environment,
    map_units,
    publish,
    stage_input,
    unchanged,
)
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.decide import decision
from tasks.evaluation.published import Decision, MeasuredModel, MeasuredModels
from tasks.tokenize.pool import POOL_FILES, read_pool
from tasks.training.published import CONFIG_FILE, MODELS_FOLDER, WEIGHTS_FILE, TrainedRun, TrainedRuns

STAGE = "evaluate"
CODE = ("tasks.core", "tasks.evaluation", "tasks.tokenize", "tasks.training")
# The split that no search and no training has looked at.
SPLIT = "test"
_READ_OF_POOL = (*POOL_FILES, f"tokens/{SPLIT}/")
_READ_OF_MODELS = (WEIGHTS_FILE, CONFIG_FILE)


@dataclass(frozen=True)
class _ModelArgs:
    model: Path
    pool: Path
    tokens_per_domain: int | None


@dataclass(frozen=True)
class _DecisionArgs:
    params: EvaluateParams
    names: tuple[str, ...]
    runs: tuple[TrainedRun, ...]
    bpb: tuple[tuple[float, ...], ...]
    recipe: Mapping[str, Any]
    forecast: Mapping[str, Any]
    model_parameters: int


def run(params: EvaluateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Measure the trained models on held-out text, and decide whether the search may claim a gain."""
    given = {name: stage_input(inputs, name) for name in ("tokenize", "search", "train")}
    digests = {name: each.digest for name, each in given.items()}
    science, code = params.model_dump(mode="json"), digest_code(CODE)
    if (done := unchanged(output, stage=STAGE, inputs=digests, params=science, code=code)) is not None:
        workshop.observer.say("evaluate: unchanged (same inputs, params and code), taken as it is")
        return done
    args = _measured(params, given, workshop, code)
    key = stage_key("evaluate.decision", digests, science, code)
    label = "evaluate: decision"
    decided = map_units(
        workshop, stage="evaluate.decision", label=label, work=_decide, units=[(key, args)], packages=CODE
    )[0]
    return publish(
        output,
        {name: decided.file(name) for name in (Decision.FILE, MeasuredModels.FILE)},
        lambda files: Manifest(
            STAGE, digests, science, code, files, summary=decided.summary, environment=float_environment()
        ),
    )


def _measured(params: EvaluateParams, given: Mapping[str, StageInput], workshop: Workshop, code: str) -> _DecisionArgs:
    """Measure every model, and return all that the decision reads."""
    pool, trained = given["tokenize"].verified(*_READ_OF_POOL), given["train"]
    search = given["search"].verified("recipe.json", "forecast.json")
    folder = trained.verified(TrainedRuns.FILE, f"{MODELS_FOLDER}/")
    runs = TrainedRuns.read(folder).runs
    models = [_ModelArgs(folder / run.folder, pool, params.test_tokens_per_domain) for run in runs]
    pool_digest, science = _read_by_models(given["tokenize"]), {"tokens_per_domain": params.test_tokens_per_domain}
    digests = [{"pool": pool_digest, "model": _folder_digest(trained.manifest, run)} for run in runs]
    keys = [stage_key("evaluate.model", digest, science, code) for digest in digests]
    records = map_units(
        workshop,
        stage="evaluate.model",
        label="evaluate: models",
        work=_measure,
        units=list(zip(keys, models, strict=True)),
        packages=CODE,
    )
    names = read_pool(pool).names
    return _DecisionArgs(
        params=params,
        names=names,
        runs=runs,
        bpb=tuple(tuple(float(record.summary["bpb"][name]) for name in names) for record in records),
        recipe=_json(search / "recipe.json"),
        forecast=_json(search / "forecast.json"),
        model_parameters=int(records[0].summary["model_parameters"]),
    )


def _folder_digest(trained: Manifest, run: TrainedRun) -> str:
    """Return the digest of what is read of a model: weights and config, not its loss curve."""
    read = {f"{run.folder}/{name}" for name in _READ_OF_MODELS}
    return digest_tree({file.path: file.digest for file in trained.files if file.path in read})


def _read_by_models(tokenized: StageInput) -> str:
    files = tokenized.manifest.files
    return digest_tree({file.path: file.digest for file in files if file.path.startswith(_READ_OF_POOL)})


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _measure(args: _ModelArgs, folder: Path) -> UnitResult:
    from tasks.training.export import read_model
    from tasks.training.measure import bits_per_byte

    model = read_model(args.model)
    bpb = bits_per_byte(model, read_pool(args.pool), SPLIT, args.tokens_per_domain)
    parameters = sum(weight.numel() for weight in model.weights.values())
    (folder / "bpb.json").write_text(json.dumps(bpb, allow_nan=False), encoding="utf-8")
    return UnitResult(summary={"bpb": bpb, "model_parameters": parameters})


def _decide(args: _DecisionArgs, folder: Path) -> UnitResult:
    tokens = sum(int(phase["tokens"]) for phase in args.recipe["phases"])
    if list(args.names) != list(args.recipe["domains"]):
        raise DataError(
            f"recipe.json is for the domains {', '.join(args.recipe['domains'])}, the token pool has "
            f"{', '.join(args.names)}. Run search and train again on this pool."
        )
    models = _models(args)
    decided = decision(
        models,
        args.recipe,
        args.forecast,
        confidence=args.params.confidence,
        model_parameters=args.model_parameters,
        tokens=tokens,
    )
    decided.write(folder)
    MeasuredModels(domains=args.names, models=tuple(models)).write(folder)
    gains = {name: comparison.gain for name, comparison in decided.comparisons.items()}
    summary = decided.model_dump(include={"claim", "statement", "per_domain"})
    return UnitResult(summary={**summary, "gains": gains, "forecast": decided.forecast_statement})


def _models(args: _DecisionArgs) -> Sequence[MeasuredModel]:
    objective_D = np.array(args.recipe["objective"], dtype=np.float64)
    return [
        MeasuredModel(
            mixture=run.mixture,
            seed=run.seed,
            bpb=dict(zip(args.names, bpb_D, strict=True)),
            mean=float(np.array(bpb_D) @ objective_D),
            device=run.device,
            instruction_set=run.instruction_set,
        )
        for run, bpb_D in zip(args.runs, args.bpb, strict=True)
    ]
