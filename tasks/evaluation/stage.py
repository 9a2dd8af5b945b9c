"""The stage `evaluate`: one unit per model on the split `test`, then the decision."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
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
from tasks.evaluation.compare import Measured
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.decide import FORMAT, decision
from tasks.tokenize.pool import INDEX_FILE, LENGTHS_FILE, read_pool

STAGE = "evaluate"
CODE = ("tasks.core", "tasks.evaluation", "tasks.tokenize", "tasks.training")
# The split that no search and no training has looked at.
SPLIT = "test"
_READ_OF_POOL = (INDEX_FILE, LENGTHS_FILE, f"tokens/{SPLIT}/")
_MODELS = "models/"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class _ModelArgs:
    mixture: str
    seed: int
    model: Path
    pool: Path
    tokens_per_domain: int | None


@dataclass(frozen=True)
class _DecisionArgs:
    params: EvaluateParams
    names: tuple[str, ...]
    models: tuple[Measured, ...]
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
        {name: decided.file(name) for name in ("decision.json", "results.json")},
        lambda files: Manifest(
            STAGE, digests, science, code, files, summary=decided.summary, environment=float_environment()
        ),
    )


def _measured(params: EvaluateParams, given: Mapping[str, StageInput], workshop: Workshop, code: str) -> _DecisionArgs:
    """Measure every model, and return all that the decision reads."""
    pool, trained = given["tokenize"].verified(*_READ_OF_POOL), given["train"].manifest
    search = given["search"].verified("recipe.json", "forecast.json")
    models = _models(trained, given["train"].verified(_MODELS), pool, params)
    pool_digest, science = _read_by_models(given["tokenize"]), {"tokens_per_domain": params.test_tokens_per_domain}
    digests = [{"pool": pool_digest, "model": _folder_digest(trained, model)} for model in models]
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
    results = [tuple(float(record.summary["bpb"][name]) for name in names) for record in records]
    return _DecisionArgs(
        params=params,
        names=names,
        models=tuple(Measured(args.mixture, args.seed, bpb) for args, bpb in zip(models, results, strict=True)),
        recipe=_json(search / "recipe.json"),
        forecast=_json(search / "forecast.json"),
        model_parameters=int(records[0].summary["model_parameters"]),
    )


def _models(trained: Manifest, folder: Path, pool: Path, params: EvaluateParams) -> list[_ModelArgs]:
    paths = [PurePosixPath(file.path).parent for file in trained.files if PurePosixPath(file.path).name == _WEIGHTS]
    found = [path for path in paths if path.as_posix().startswith(_MODELS)]
    if not found:
        raise DataError(f"{folder}: there are no models in {_MODELS}. Run the train stage again.")
    models = []
    for path in found:
        mixture, _, seed = path.name.rpartition("-seed")
        if not mixture or not seed.isdecimal():
            raise DataError(f"{folder}/{path}: expected a name such as natural-seed0. Run train again.")
        models.append(_ModelArgs(mixture, int(seed), folder / path, pool, params.test_tokens_per_domain))
    return models


def _folder_digest(trained: Manifest, model: _ModelArgs) -> str:
    """Return the digest of what is read of a model: weights and config, not its loss curve."""
    folder = f"{_MODELS}{model.model.name}"
    read = {f"{folder}/{_WEIGHTS}", f"{folder}/config.json"}
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
    value = decision(
        args.models,
        args.recipe,
        args.forecast,
        confidence=args.params.confidence,
        model_parameters=args.model_parameters,
        tokens=tokens,
    )
    _write(folder / "decision.json", value)
    _write(folder / "results.json", _results(args))
    told = {"headline": value["headline"], "statement": value["statement"], "per_domain": value["per_domain"]}
    gains = {name: comparison["gain"] for name, comparison in value["comparisons"].items()}
    return UnitResult(summary={**told, "gains": gains, "forecast": value["forecast_statement"]})


def _results(args: _DecisionArgs) -> dict[str, Any]:
    objective_D = np.array(args.recipe["objective"], dtype=np.float64)
    return {
        "format": FORMAT,
        "domains": list(args.names),
        "models": [
            {
                "mixture": model.mixture,
                "seed": model.seed,
                "bpb": dict(zip(args.names, model.bpb, strict=True)),
                "mean": float(np.array(model.bpb) @ objective_D),
            }
            for model in args.models
        ],
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
