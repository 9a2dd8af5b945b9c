"""The driver of `curate`: every step over every shard, then one manifest with an account that closes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.errors import DataError, NothingKeptError
from tasks.core.handles import Handle
from tasks.core.manifest import Manifest
from tasks.curate import steps
from tasks.curate.config import CurateParams
from tasks.curate.dedup.stage import Candidates, Found, earlier_versions, find_duplicates
from tasks.curate.fates import lost_sources, warnings
from tasks.curate.gather import neighbours
from tasks.curate.published.documents import (
    ANNOTATIONS,
    CANDIDATES,
    CONTAMINATED,
    DROPPED,
    FINGERPRINTS,
    KEPT,
    REWRITING,
    SCORES,
)
from tasks.curate.published.funnel import FateCounts, Funnel
from tasks.curate.published.languages import LearnedLanguages
from tasks.curate.published.scored import Scored
from tasks.curate.scoring import CombinedBy, ScoredBy, combined, learned_files, scored, scorer_warnings, told, uses_gpu
from tasks.curate.selection.method import NOT_SELECTED
from tasks.curate.selection.told import selection_warnings
from tasks.curate.steps import Curation, Shard, ShardEvidence
from tasks.curate.units import CONTAMINATED_FILE, DROPPED_FILE, KEPT_FILE
from tasks.ingest.published.documents import DOCUMENTS
from tasks.ingest.published.sources import Sources
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageInput, StageRun, published, stage_input

STAGE = "curate"


def run(params: CurateParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Keep or drop every document, with a reason: rules on quality and repetition, benchmarks, duplicates.

    Raises:
        NothingKeptError: every document was dropped. What was published stays, to be looked at.
    """
    ingested = stage_input(workshop, inputs, "ingest")
    _require_documents(ingested)
    curation = Curation.of(workshop, params, tuple(sorted(ingested.read(Sources).sources)))
    against = {f"against/{i}": one.digest for i, one in enumerate(earlier_versions(workshop, params.duplicates))}
    digests = {"ingest": ingested.digest, **curation.user_files, **against}
    gpus = workshop.gpus_per_trainer if uses_gpu(curation.scorers) else 0.0
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=gpus)
    if (found := stage.unchanged()) is not None:
        return _with_something_kept(found, output, workshop)
    groups = list(neighbours(ingested.tree(f"{DOCUMENTS}/")))
    files, funnel = curated(curation, steps.gathered(workshop, groups))
    for warning in funnel.warnings:
        workshop.observer.say(f"{STAGE}: {warning}")
    # What a reader of the manifest wants first.
    summary = funnel.model_dump(mode="json", include={"warnings", "lost_sources", "duplicates"})
    manifest = stage.publish(files, account=funnel.counts.account, summary=summary)
    return _with_something_kept(manifest, output, workshop)


def curated(curation: Curation, shards: Sequence[Shard]) -> tuple[dict[str, Content], Funnel]:
    """Return what is published, and what became of the documents."""
    # 1. Texts as they should be read: unicode repaired, unwanted lines gone, personal data redacted.
    texts, refined = steps.refined(curation, shards)
    # 2. Every statistic and score of every document, then of what a rewriting leaves of its lines, then benchmarks.
    statistics = steps.annotated(curation, texts)
    curation = steps.with_languages(curation, statistics)
    scorers = scored(curation.workshop, curation.scorers, [shard.texts for shard in texts])
    combinations = combined(curation.workshop, curation.params.combined, scorers, statistics)
    texts, behind = steps.rewritten(curation, texts)
    hits, contaminated = steps.contaminated(curation, texts)
    every: list[ScoredBy | CombinedBy] = [*scorers, *combinations]
    tables = list(zip(*(one.tables for one in every), strict=True)) or [()] * len(shards)
    evidence = [ShardEvidence(*found) for found in zip(statistics, behind, hits, tables, strict=True)]
    # 3. Who stands for whom, among the documents that pass all else; what repeats in those that stay.
    duplicates = _duplicates(curation, texts, evidence)
    texts = [shard.then("repeats", cut) if cut else shard for shard, cut in zip(texts, duplicates.cuts, strict=True)]
    # 4. What is kept by scores of what passes, and one fate for every document.
    chosen = steps.selected(curation, texts, evidence, duplicates.tables)
    decided = steps.decided(curation, texts, evidence, duplicates.tables, chosen)
    counts = sum((FateCounts.model_validate(record.summary) for record in decided), FateCounts())
    funnel = Funnel(
        counts=counts,
        warnings=(*warnings(counts), *scorer_warnings(scorers), *selection_warnings(chosen.cuts if chosen else ())),
        lost_sources=lost_sources(counts),
        duplicates=duplicates.counts,
        refined=refined,
        contaminated=contaminated,
    )
    files: dict[str, Content] = {**_tables(shards, evidence, decided, duplicates), Funnel.FILE: funnel}
    if curation.learned is not None:
        files[LearnedLanguages.FILE] = curation.learned
    if chosen is not None:
        kept = [record.file(KEPT_FILE) for record in decided]
        files[Scored.FILE] = told(curation.workshop, scorers, combinations, kept, chosen.cuts)
        files |= _scores(shards, every) | learned_files(scorers)
        files |= {
            f"{CANDIDATES}/{shard.number}.parquet": table
            for shard, table in zip(shards, chosen.candidates, strict=True)
        }
    return files, funnel


def _scores(shards: Sequence[Shard], scorers: Sequence[ScoredBy | CombinedBy]) -> dict[str, Handle]:
    return {
        f"{SCORES}/{one.name}/{shard.number}.parquet": table
        for one in scorers
        for shard, table in zip(shards, one.tables, strict=True)
    }


def _with_something_kept(manifest: Manifest, output: Path, workshop: Workshop) -> Manifest:
    account = manifest.account
    if account is None or account.kept.documents:
        return manifest
    judged = published(workshop.store, str(output.absolute())).read(Funnel).counts.judged
    other = "" if "any_language" in judged else "; any_language is for text that is not English"
    selecting = any(reason.startswith(NOT_SELECTED) for reason in account.dropped)
    ask = (
        f"; or select less strictly: `mixwright audit {output} --what-if select.0....` answers at once"
        if selecting
        else ""
    )
    raise NothingKeptError(
        f"{output}: curate kept none of {account.taken.documents:,} documents: {account.losses()}. See them with `mixwright "
        f"audit {output} --rules --examples 2`; then take another profile (curate.profile, "
        f"curate.profile_of_source{other}), or change that threshold (curate.profiles){ask}."
    )


def _require_documents(ingested: StageInput) -> None:
    if not any(record.path.startswith(f"{DOCUMENTS}/") for record in ingested.manifest.files):
        raise DataError(
            f"{ingested.location}: ingest published no documents. Look at its quarantined/ for the reasons."
        )


def _duplicates(curation: Curation, shards: Sequence[Shard], evidence: Sequence[ShardEvidence]) -> Found:
    params = curation.params.duplicates
    if params is None:
        return Found.nothing(len(shards))
    standing = steps.standing(curation, evidence)
    candidates = [Candidates(shard.number, shard.texts, own) for shard, own in zip(shards, standing, strict=True)]
    return find_duplicates(curation.workshop, candidates, params, curation.params.seed)


def _tables(
    shards: Sequence[Shard], evidence: Sequence[ShardEvidence], decided: Sequence[UnitRecord], duplicates: Found
) -> dict[str, Handle]:
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
    for number, fingerprint in duplicates.fingerprints.items():
        files[f"{FINGERPRINTS}/{number}.parquet"] = fingerprint
    return files
