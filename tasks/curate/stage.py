"""The driver of `curate`: annotate and sign every shard, find duplicates over all, decide every shard, publish."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_code
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import Placement, UnitRecord, Workshop, map_units, publish, unchanged
from tasks.curate.config import CurateParams
from tasks.curate.dedup.unit import SignArgs, sign_shard
from tasks.curate.funnel import Funnel, warnings
from tasks.curate.statistics.unit import ANNOTATIONS, AnnotateArgs, annotate_shard
from tasks.curate.units import DROPPED, KEPT, DecideArgs, DuplicatesArgs, decide_shard, duplicates_file, find_duplicates

STAGE = "curate"
CODE = ("tasks.core", "tasks.curate")
# What the expensive units run: a changed rule, profile or cluster step leaves their results as they are.
ANNOTATE_CODE = ("tasks.core", "tasks.curate.statistics")
SIGN_CODE = ("tasks.core", "tasks.curate.statistics", "tasks.curate.dedup")


@dataclass(frozen=True)
class Shard:
    """A shard of documents as ingest published it: its number, where it lies, the digest of its content."""

    number: str
    path: Path
    digest: str


def run(params: CurateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Keep or drop every document, with a reason: quality and repetition rules, then duplicates."""
    ingested = Manifest.read(inputs["ingest"])
    shards = document_shards(inputs["ingest"], ingested)
    digests, values, code = {"ingest": ingested.output}, params.model_dump(mode="json"), digest_code(CODE)
    if found := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code):
        workshop.observer.say(f"{STAGE}: unchanged (same inputs, params and code), taken as it is")
        return found
    ingested.verify(inputs["ingest"])
    annotated = _annotate(workshop, shards)
    signed = _sign(workshop, shards, params)
    duplicates = _find_duplicates(workshop, annotated, signed, params)
    decided = _decide(workshop, shards, annotated, duplicates, params)
    funnel = sum((Funnel.from_json(record.summary) for record in decided), Funnel())
    summary = _summary(funnel, duplicates)
    for warning in summary["warnings"]:
        workshop.observer.say(f"{STAGE}: {warning}")
    return publish(
        output,
        _files(shards, annotated, decided),
        lambda files: Manifest(STAGE, digests, values, code, files, funnel.account, summary),
    )


def document_shards(folder: Path, manifest: Manifest) -> list[Shard]:
    """Return the shards of documents that ingest published.

    Raises:
        DataError: the folder is that of another stage, or holds no documents.
    """
    if manifest.stage != "ingest":
        raise DataError(
            f"{folder}: published by {manifest.stage}, curate reads what ingest published. Name that folder."
        )
    records = [record for record in manifest.files if record.path.startswith("documents/")]
    if not records:
        raise DataError(f"{folder}: ingest published no documents. Look at its quarantined/ for the reasons.")
    return [Shard(Path(record.path).stem, folder.absolute() / record.path, record.digest) for record in records]


def _annotate(workshop: Workshop, shards: list[Shard]) -> list[UnitRecord]:
    code = digest_code(ANNOTATE_CODE)
    return map_units(
        workshop,
        stage=STAGE,
        label="curate: statistics",
        work=annotate_shard,
        units=[(stage_key("curate.annotate", {"s": s.digest}, {}, code), AnnotateArgs(s.path)) for s in shards],
        packages=ANNOTATE_CODE,
    )


def _sign(workshop: Workshop, shards: list[Shard], params: CurateParams) -> list[UnitRecord]:
    near = params.near_duplicates
    if near is None:
        return []
    code, shape = digest_code(SIGN_CODE), (near.ngram_words, near.bands * near.rows, params.seed)
    return map_units(
        workshop,
        stage=STAGE,
        label="curate: signatures",
        work=sign_shard,
        units=[
            (stage_key("curate.sign", {"s": s.digest}, {"shape": shape}, code), SignArgs(s.path, *shape))
            for s in shards
        ],
        packages=SIGN_CODE,
    )


def _find_duplicates(
    workshop: Workshop, annotated: list[UnitRecord], signed: list[UnitRecord], params: CurateParams
) -> UnitRecord:
    records = [*annotated, *signed]
    digests = {f"{i}/{file.path}": file.digest for i, record in enumerate(records) for file in record.files}
    key = stage_key("curate.duplicates", digests, params.model_dump(mode="json"), digest_code(CODE))
    folders = tuple(record.folder for record in annotated), tuple(record.folder for record in signed)
    [record] = map_units(
        workshop,
        stage=STAGE,
        label="curate: duplicates",
        work=find_duplicates,
        units=[(key, DuplicatesArgs(*folders, params))],
        packages=CODE,
    )
    return record


def _decide(
    workshop: Workshop, shards: list[Shard], annotated: list[UnitRecord], duplicates: UnitRecord, params: CurateParams
) -> list[UnitRecord]:
    values, code, units = params.model_dump(mode="json"), digest_code(CODE), []
    for i, (shard, record) in enumerate(zip(shards, annotated, strict=True)):
        found = duplicates.file(duplicates_file(i))
        # Statistics follow from the shard and the code; the duplicates of this shard stand for all others.
        key = stage_key("curate.decide", {"s": shard.digest, "duplicates": found.record.digest}, values, code)
        units.append((key, DecideArgs(shard.path, record.folder, found.source, params)))
    return map_units(workshop, stage=STAGE, label="curate: decisions", work=decide_shard, units=units, packages=CODE)


def _files(shards: list[Shard], annotated: list[UnitRecord], decided: list[UnitRecord]) -> dict[str, Placement]:
    files = {}
    for shard, statistics, fate in zip(shards, annotated, decided, strict=True):
        files[f"annotations/{shard.number}.parquet"] = statistics.file(ANNOTATIONS)
        files[f"kept/{shard.number}.parquet"] = fate.file(KEPT)
        files[f"dropped/{shard.number}.parquet"] = fate.file(DROPPED)
    return files


def _summary(funnel: Funnel, duplicates: UnitRecord) -> dict[str, Any]:
    return {"warnings": warnings(funnel), "duplicates": dict(duplicates.summary), **funnel.to_json()}
