"""The driver of `curate`: every step over every shard, then one manifest with an account that closes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_code
from tasks.core.errors import DataError, NothingKeptError
from tasks.core.manifest import Manifest
from tasks.core.scripts import icu_version
from tasks.core.stage import Placement, UnitRecord, Workshop, publish, stage_input, unchanged
from tasks.curate import steps
from tasks.curate.config import CurateParams
from tasks.curate.dedup.stage import Candidates, Found, find_duplicates
from tasks.curate.fates import lost_sources, warnings
from tasks.curate.gather import neighbours
from tasks.curate.published.documents import (
    ANNOTATIONS,
    CONTAMINATED,
    DROPPED,
    FINGERPRINTS,
    KEPT,
    REWRITING,
)
from tasks.curate.published.funnel import FateCounts, Funnel
from tasks.curate.statistics.shards import TextSource
from tasks.curate.steps import STAGE, Bench, Shard, ShardEvidence
from tasks.curate.units import CONTAMINATED_FILE, DROPPED_FILE, KEPT_FILE
from tasks.ingest.published import DOCUMENTS, Sources

CODE = ("tasks.core", "tasks.curate")


def run(params: CurateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Keep or drop every document, with a reason: rules on quality and repetition, benchmarks, duplicates.

    Raises:
        NothingKeptError: every document was dropped. What was published stays, to be looked at.
    """
    ingested = stage_input(inputs, "ingest")
    groups = document_shards(ingested.folder, ingested.manifest)
    sources = tuple(sorted(Sources.read(ingested.verified(Sources.FILE)).sources))
    digests = {"ingest": ingested.digest, **steps.external(params, sources)}
    values, code = params.model_dump(mode="json"), digest_code(CODE)
    if found := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code):
        workshop.observer.say(f"{STAGE}: unchanged (same inputs, params and code), taken as it is")
        return _with_something_kept(found, output)
    ingested.verified(f"{DOCUMENTS}/")
    bench = Bench(workshop, params, sources, CODE)
    files, funnel = curated(bench, steps.gathered(bench, groups))
    for warning in funnel.warnings:
        workshop.observer.say(f"{STAGE}: {warning}")
    environment = {"icu": icu_version()} if "icu" in digests else {}
    manifest = publish(
        output,
        files,
        lambda records: Manifest(
            STAGE, digests, values, code, records, funnel.counts.account, _summary(funnel), environment
        ),
        contracts=[funnel],
    )
    return _with_something_kept(manifest, output)


def _summary(funnel: Funnel) -> dict[str, Any]:
    """Return what a reader of the manifest wants first."""
    return funnel.model_dump(mode="json", include={"warnings", "lost_sources", "duplicates"})


def _with_something_kept(manifest: Manifest, output: Path) -> Manifest:
    account = manifest.account
    if account is None or account.kept.documents:
        return manifest
    other = (
        "" if "any_language" in Funnel.read(output).counts.judged else "; any_language is for text that is not English"
    )
    raise NothingKeptError(
        f"{output}: curate kept none of {account.taken.documents:,} documents: {account.losses()}. See them with `mixwright "
        f"audit --folder {output} --rules --examples 2`; then take another profile (curate.profile, "
        f"curate.profile_of_source{other}), or change that threshold (curate.profiles)."
    )


def curated(bench: Bench, shards: Sequence[Shard]) -> tuple[dict[str, Placement], Funnel]:
    """Return what is published, and what became of the documents."""
    # 1. Texts as they should be read: unicode repaired, unwanted lines gone, personal data redacted.
    texts, refined = steps.refined(bench, shards)
    # 2. Every statistic of every document, then of what a rewriting leaves of its lines, then benchmarks.
    statistics = steps.annotated(bench, texts)
    texts, behind = steps.rewritten(bench, texts)
    hits, contaminated = steps.contaminated(bench, texts)
    evidence = [ShardEvidence(*found) for found in zip(statistics, behind, hits, strict=True)]
    # 3. Who stands for whom, among the documents that pass all else; what repeats in those that stay.
    duplicates = _duplicates(bench, texts, evidence)
    texts = [shard.then("repeats", cut) if cut else shard for shard, cut in zip(texts, duplicates.cuts, strict=True)]
    # 4. One fate for every document.
    decided = steps.decided(bench, texts, evidence, duplicates.tables)
    counts = sum((FateCounts.model_validate(record.summary) for record in decided), FateCounts())
    funnel = Funnel(
        counts=counts,
        warnings=warnings(counts),
        lost_sources=lost_sources(counts),
        duplicates=duplicates.counts,
        refined=refined,
        contaminated=contaminated,
    )
    return _files(shards, evidence, decided, duplicates), funnel


def document_shards(folder: Path, manifest: Manifest) -> list[tuple[Shard, ...]]:
    """Return the shards of documents that ingest published; small ones are in groups, to be curated as one.

    Raises:
        DataError: the folder is that of another stage, or holds no documents.
    """
    if manifest.stage != "ingest":
        raise DataError(
            f"{folder}: published by {manifest.stage}, curate reads what ingest published. Name that folder."
        )
    records = [record for record in manifest.files if record.path.startswith(f"{DOCUMENTS}/")]
    if not records:
        raise DataError(f"{folder}: ingest published no documents. Look at its quarantined/ for the reasons.")
    return [
        tuple(
            Shard(Path(record.path).stem, TextSource(folder.absolute() / record.path), {"s": record.digest})
            for record in group
        )
        for group in neighbours(records)
    ]


def _duplicates(bench: Bench, shards: Sequence[Shard], evidence: Sequence[ShardEvidence]) -> Found:
    wanted = bench.params.duplicates
    if wanted is None:
        return Found.nothing(len(shards))
    standing = steps.standing(bench, evidence)
    candidates = [
        Candidates(shard.texts, shard.digests, stand.source, stand.record.digest)
        for shard, stand in zip(shards, standing, strict=True)
    ]
    return find_duplicates(bench.workshop, candidates, wanted, bench.params.seed)


def _files(
    shards: Sequence[Shard], evidence: Sequence[ShardEvidence], decided: Sequence[UnitRecord], duplicates: Found
) -> dict[str, Placement]:
    files = {}
    for shard, one, fate in zip(shards, evidence, decided, strict=True):
        name = f"{shard.number}.parquet"
        files[f"{ANNOTATIONS}/{name}"] = one.statistics
        files[f"{KEPT}/{name}"] = fate.file(KEPT_FILE)
        files[f"{DROPPED}/{name}"] = fate.file(DROPPED_FILE)
        if one.rewriting is not None:
            files[f"{REWRITING}/{name}"] = one.rewriting
        if one.contamination is not None:
            files[f"{CONTAMINATED}/{name}"] = fate.file(CONTAMINATED_FILE)
    for name, fingerprint in duplicates.fingerprints.items():
        files[f"{FINGERPRINTS}/{name}"] = fingerprint
    return files
