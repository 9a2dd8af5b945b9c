"""Lineage, both ways: from a model to what it saw, from a document to the models that saw it, from a digest to its stage."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from cli.folder import RunFolder
from tasks.core.errors import AccountError, DamagedError, DataError
from tasks.core.text_table import text_table
from tasks.curate.published.documents import KEPT, read_shard
from tasks.curate.why import Story, describe, why
from tasks.runtime.files import file_handle
from tasks.stages import NAMES, RAW
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.tokenize.published_documents import DOCUMENTS_FILE, PackedDocument, find_document, read_documents
from tasks.training.data import run_data
from tasks.training.exposure import exposure, samples_seen, tokens_seen
from tasks.training.ledger import ledger_rows, rebuilt_ledger
from tasks.training.params import TrainParams
from tasks.training.planted.published import PlantedPlan
from tasks.training.published import Planted, TrainedRun, TrainedRuns
from tasks.training.published_run import LEDGER_FILE, read_ledger
from tasks.training.rebuilt import rebuilt_specs
from tasks.training.rows import SPLIT
from tasks.training.segments import steps_of_samples
from tasks.training.types import RunSpec
from tasks.training.worlds import workers_words


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
        f"{trained.weights_digest[:12]}, trained on {trained.device} with {trained.instruction_set}"
        f"{f', {workers_words(trained.workers)}' if trained.workers else ''}",
    ]
    if trained.trunk is not None:
        lines.append(
            f"  a branch of {trained.trunk.run}, behind its step {trained.trunk.step}; with that one's steps it"
        )
    lines.append("  saw, by domain:")
    rows = [(name, f"{seen.tokens:,}", f"{seen.epochs:.2f}") for name, seen in trained.consumed.items()]
    lines += [f"    {line}" for line in text_table(("domain", "tokens", "epochs"), rows)]
    if trained.planted is not None:
        lines += ["  planted, over tokens of these domains:", *(f"    {line}" for line in _planted(trained.planted))]
    pool = read_pool(run.stage("tokenize"), SPLIT)
    spec = _specs(run)[trained.name]
    lines += [
        "  saw, by source:",
        *(f"    {line}" for line in _by_source(run, spec, pool)),
        _ledger(run, trained, spec, pool),
    ]
    return [*lines, "  from:", *(f"    {line}" for line in _chain(run, "train"))]


def _planted(planted: Planted) -> Iterator[str]:
    rows = [
        (name, f"{each.treated:,} of {each.items:,}", f"{each.texts:,}", f"{each.tokens:,}")
        for name, each in planted.experiments.items()
    ]
    yield from text_table(("experiment", "items treated", "texts", "tokens"), rows)


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
    for name, spec in _specs(run).items():
        yield f"  seen by {name}: {_seen(spec, pool, place)}"


def _seen(spec: RunSpec, pool: TokenPool, place: PackedDocument) -> str:
    """Return how often a run trained on a document, and in which steps first and last."""
    data, domain = run_data(spec, pool), pool.names.index(place.domain)
    document = int(np.searchsorted(pool.domains[domain].splits["train"].starts, np.uint64(place.first_token)))
    times, samples = exposure(data, domain, document), samples_seen(data, domain, document)
    if samples is None:
        return "never"
    first, last = steps_of_samples(data.segments, np.array(samples)).tolist()
    return f"{times:.2f} times, first in step {first:,}, last in step {last:,}"


def _ledger(run: RunFolder, trained: TrainedRun, spec: RunSpec, pool: TokenPool) -> str:
    """Return that the ledger which was logged is the one that the recipe gives when its samples are read once more.

    Raises:
        AccountError: it is another one; how many rows differ, and the first.
    """
    data, logged = run_data(spec, pool), read_ledger(run.stage("train") / trained.folder)
    rebuilt = tuple(ledger_rows(rebuilt_ledger(data), data))
    if spec.training.objective is not None:
        # What an objective made tokens count followed from their losses.
        rebuilt, logged = (tuple(replace(row, weight=None) for row in rows) for rows in (rebuilt, logged))
    if wrong := [line for line, pair in enumerate(zip_longest(rebuilt, logged), start=2) if pair[0] != pair[1]]:
        raise AccountError(
            f"{trained.name}: {len(wrong)} of {len(rebuilt)} rows of the ledger are not those of the recipe; first: line "
            f"{wrong[0]} of {LEDGER_FILE}. Ledger or tokens were changed after training: get both again (`dvc pull`)."
        )
    return f"  ledger: {len(rebuilt)} rows rebuilt from the recipe, equal to what was logged"


def _by_source(run: RunFolder, spec: RunSpec, pool: TokenPool) -> Iterator[str]:
    """Yield what a model saw of each source, through the documents of the pool."""
    import pyarrow as pa
    import pyarrow.compute as pc

    documents = read_documents(run.stage("tokenize") / DOCUMENTS_FILE, pc.field("split") == SPLIT)
    kept = pa.concat_tables(
        [read_shard(path, ["id", "source"]) for path in sorted(run.stage("curate").glob(f"{KEPT}/*"))]
    )
    sources = kept["source"].take(pc.index_in(documents["id"], kept["id"]))
    data, found = run_data(spec, pool), list[pa.Table]()
    for domain in pool.domains:
        own, seen = pc.equal(documents["domain"], domain.name), tokens_seen(data, domain.index)
        found.append(
            pa.table({"source": sources.filter(own), "tokens": seen, "documents": (seen > 0).astype(np.int64)})
        )
    total = pa.concat_tables(found).group_by("source").aggregate([("tokens", "sum"), ("documents", "sum")])
    seen_rows = [row for row in total.to_pylist() if row["tokens_sum"]]
    rows = [(row["source"], f"{row['tokens_sum']:,}", f"{row['documents_sum']:,}") for row in seen_rows]
    yield from text_table(("source", "tokens", "documents"), sorted(rows))


def _specs(run: RunFolder) -> dict[str, RunSpec]:
    manifest = run.manifests().get("train")
    if manifest is None:
        return {}
    models = _models(run)
    plans = {
        name: file_handle(run.stage("train") / each.folder / PlantedPlan.FILE)
        for name, each in models.items()
        if each.planted is not None
    }
    return rebuilt_specs(list(models.values()), TrainParams.model_validate(manifest.params), plans)


def _chain(run: RunFolder, last: str) -> Iterator[str]:
    manifests = run.manifests()
    chain = {name: manifests[name] for name in NAMES[: NAMES.index(last) + 1] if name in manifests}
    rows = [(name, one.output[:16], one.key[:16], one.code[:12]) for name, one in chain.items()]
    yield from text_table(("stage", "output", "key", "code"), rows, left=4)
    yield f"raw input {manifests['ingest'].inputs[RAW][:16]}"
