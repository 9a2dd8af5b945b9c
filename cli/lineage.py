"""Lineage, both ways: from a model to what it saw, from a document to the models that saw it, from a digest to its stage."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cli.folder import RunFolder
from tasks.core.errors import DataError
from tasks.curate.why import Story, describe, why
from tasks.stages import NAMES
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.config import TrainParams
from tasks.training.exposure import Span, exposure
from tasks.training.run import order_of
from tasks.training.types import Phase, RunSpec


def tell(run: RunFolder, key: str) -> list[str]:
    """Return what is known of a key: a model's name, a document's id, or a digest (or its first 8 characters and more).

    Raises:
        DataError: nothing in this run is called that.
    """
    models = _models(run)
    if key in models:
        return _of_model(run, models[key])
    if found := _of_digest(run, key):
        return found
    try:
        story = why(run.stage("curate"), key)
    except DataError as error:
        raise DataError(
            f"{key}: no model, digest or document of the run in {run.path} is called that. Models: "
            f"{', '.join(models) or 'none yet'}."
        ) from error
    return [*describe(story).splitlines(), *_of_document(run, story)]


def _models(run: RunFolder) -> dict[str, dict[str, Any]]:
    path = run.stage("train") / "runs.json"
    if not path.is_file():
        return {}
    return {described["name"]: described for described in json.loads(path.read_text(encoding="utf-8"))["runs"]}


def _of_model(run: RunFolder, described: dict[str, Any]) -> list[str]:
    lines = [
        f"{described['name']}: {described['parameters']:,} parameters, {described['tokens']:,} tokens, seed "
        f"{described['seed']}, weights {described['weights_digest'][:12]}",
        "  saw, by domain:",
    ]
    for name, consumed in described["consumed"].items():
        lines.append(f"    {name:<40} {consumed['tokens']:>12,} tokens  {consumed['epochs']:6.2f} epochs")
    return [*lines, "  from:", *(f"    {line}" for line in _chain(run, "train"))]


def _of_digest(run: RunFolder, key: str) -> list[str]:
    if len(key) < 8:
        return []
    for name, manifest in run.manifests().items():
        if manifest.output.startswith(key) or manifest.key.startswith(key):
            return [f"{key}: stage {name} of the run in {run.path}", *(f"  {line}" for line in _chain(run, name))]
    return []


def _of_document(run: RunFolder, story: Story) -> Iterator[str]:
    place = _place(run, story.id)
    if place is None:
        yield "  in no token shard of this run"
        return
    yield f"  domain {place['domain']}, split {place['split']}, {place['tokens']:,} tokens from {place['first_token']:,}"
    if place["split"] != "train":
        yield "  no model saw it: it is held out"
        return
    pool = read_pool(run.stage("tokenize"))
    span = Span(pool.names.index(place["domain"]), place["first_token"], place["tokens"])
    for name, spec in _specs(run, pool):
        length = spec.training.model.sequence_length
        yield f"  seen by {name}: {exposure(order_of(spec, pool), span, length):.2f} times"


def _place(run: RunFolder, document_id: str) -> dict[str, Any] | None:
    path = run.stage("tokenize") / "documents.parquet"
    if not path.is_file():
        return None
    rows = pq.read_table(path, filters=pc.field("id") == document_id).to_pylist()
    return dict(rows[0]) if rows else None


def _specs(run: RunFolder, pool: TokenPool) -> Iterator[tuple[str, RunSpec]]:
    manifest = run.manifests().get("train")
    if manifest is None:
        return
    params = TrainParams.model_validate(manifest.params)
    recipe = json.loads((run.stage("search") / "recipe.json").read_text(encoding="utf-8"))
    for name, described in _models(run).items():
        phases = tuple(Phase(phase["tokens"], tuple(phase["weights"])) for phase in described["phases"])
        yield name, RunSpec(name, phases, described["seed"], params.training, recipe["max_epochs"])


def _chain(run: RunFolder, last: str) -> Iterator[str]:
    manifests = run.manifests()
    for name in NAMES[: NAMES.index(last) + 1]:
        if (manifest := manifests.get(name)) is not None:
            yield f"{name:<9} output {manifest.output[:16]}  key {manifest.key[:16]}  code {manifest.code[:12]}"
    yield f"raw input {manifests['ingest'].inputs['raw'][:16]}"
