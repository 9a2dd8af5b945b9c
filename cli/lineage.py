"""Lineage, both ways: from a model to what it saw, from a document to the models that saw it, from a digest to its stage."""

from collections.abc import Iterator

from cli.folder import RunFolder
from tasks.core.errors import DamagedError, DataError
from tasks.core.text_table import text_table
from tasks.curate.why import Story, describe, why
from tasks.mixture.published import Recipe
from tasks.stages import NAMES, RAW
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.tokenize.published_documents import find_document
from tasks.training.data import run_data
from tasks.training.exposure import DocumentSpan, exposure
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRun, TrainedRuns
from tasks.training.types import Phase, RunSpec


def tell(run: RunFolder, key: str) -> list[str]:
    """Return what is known of a key: a model's name, a document's id, or a digest (or its first 8 characters and more).

    Raises:
        DataError: nothing in this run is called that.
        DamagedError: what curate published is not what is there.
    """
    models = _models(run)
    if key in models:
        return _of_model(run, models[key])
    if found := _of_digest(run, key):
        return found
    try:
        story = why(run.stage("curate"), key)
    except DamagedError:
        raise
    except DataError as error:
        raise DataError(
            f"{key}: no model, digest or document of the run in {run.path} is called that. Models: "
            f"{', '.join(models) or 'none yet'}."
        ) from error
    return [*describe(story).splitlines(), *_of_document(run, story)]


def _models(run: RunFolder) -> dict[str, TrainedRun]:
    if "train" not in run.manifests():
        return {}
    return {trained.name: trained for trained in TrainedRuns.read(run.stage("train")).runs}


def _of_model(run: RunFolder, trained: TrainedRun) -> list[str]:
    lines = [
        f"{trained.name}: {trained.parameters:,} parameters, {trained.tokens:,} tokens, seed {trained.seed}, weights "
        f"{trained.weights_digest[:12]}, trained on {trained.device} with {trained.instruction_set}",
        "  saw, by domain:",
    ]
    rows = [(name, f"{seen.tokens:,}", f"{seen.epochs:.2f}") for name, seen in trained.consumed.items()]
    lines += [f"    {line}" for line in text_table(("domain", "tokens", "epochs"), rows)]
    return [*lines, "  from:", *(f"    {line}" for line in _chain(run, "train"))]


def _of_digest(run: RunFolder, key: str) -> list[str]:
    if len(key) < 8:
        return []
    for name, manifest in run.manifests().items():
        if manifest.output.startswith(key) or manifest.key.startswith(key):
            return [f"{key}: stage {name} of the run in {run.path}", *(f"  {line}" for line in _chain(run, name))]
    return []


def _of_document(run: RunFolder, story: Story) -> Iterator[str]:
    tokenized = run.stage("tokenize")
    place = find_document(tokenized, story.id) if "tokenize" in run.manifests() else None
    if place is None:
        yield "  in no token shard of this run"
        return
    yield f"  domain {place.domain}, split {place.split}, {place.tokens:,} tokens from {place.first_token:,}"
    if place.split != "train":
        yield "  no model saw it: it is held out"
        return
    pool = read_pool(tokenized)
    span = DocumentSpan(pool.names.index(place.domain), place.first_token, place.tokens)
    for name, spec in _specs(run, pool):
        length = spec.training.model.sequence_length
        yield f"  seen by {name}: {exposure(run_data(spec, pool).order, span, length):.2f} times"


def _specs(run: RunFolder, pool: TokenPool) -> Iterator[tuple[str, RunSpec]]:
    manifest = run.manifests().get("train")
    if manifest is None:
        return
    params = TrainParams.model_validate(manifest.params)
    max_epochs = Recipe.read(run.stage("search")).max_epochs
    for name, trained in _models(run).items():
        phases = tuple(Phase(phase.tokens, phase.weights, phase.end_weights) for phase in trained.phases)
        yield name, RunSpec(name, phases, trained.seed, params.training, max_epochs)


def _chain(run: RunFolder, last: str) -> Iterator[str]:
    manifests = run.manifests()
    chain = {name: manifests[name] for name in NAMES[: NAMES.index(last) + 1] if name in manifests}
    rows = [(name, one.output[:16], one.key[:16], one.code[:12]) for name, one in chain.items()]
    yield from text_table(("stage", "output", "key", "code"), rows, left=4)
    yield f"raw input {manifests['ingest'].inputs[RAW][:16]}"
