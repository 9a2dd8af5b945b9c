"""The steps of a curation over all shards: each lists its units, maps them, and says what it found.

A unit's key holds what its result follows from and nothing else: the digests of the shard's texts, the params of this
very step, and the code it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_code, digest_json
from tasks.core.manifest import stage_key
from tasks.core.params import Params
from tasks.core.scripts import icu_version
from tasks.core.stage import Placement, UnitRecord, UnitWork, Workshop, map_units
from tasks.curate.annotators.language import model_digest
from tasks.curate.annotators.phones import phones_known
from tasks.curate.annotators.tokens import tokenizer_digest
from tasks.curate.annotators.url import list_digests
from tasks.curate.config import CurateParams
from tasks.curate.decontaminate.benchmarks import benchmark_digests
from tasks.curate.decontaminate.unit import (
    CONTAMINATION,
    DecontaminateArgs,
    IndexArgs,
    decontaminate_shard,
    in_all,
    index_benchmarks,
)
from tasks.curate.dedup.stage import versions
from tasks.curate.gather import GatherArgs, gather_shards
from tasks.curate.judge import Evidence
from tasks.curate.published.funnel import ContaminationCounts, Refinement
from tasks.curate.refine.unit import REFINED, RefineArgs, merged_summaries, refine_identity, refine_shard
from tasks.curate.rewriting.unit import REWRITING, REWRITTEN, RewriteArgs, rewrite_shard
from tasks.curate.rules.profile import Profile
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.unit import ANNOTATIONS, GROUPS, AnnotateArgs, Reading, Wanted, annotate_shard
from tasks.curate.units import STANDING, DecideArgs, StandArgs, decide_shard, stand_shard

STAGE = "curate"
# What the expensive units run: a changed rule, profile or cluster step leaves their results as they are.
_TEXT_CODE = ("tasks.core", "tasks.curate.statistics", "tasks.curate.native", "tasks.curate.english")
ANNOTATE_CODE = (*_TEXT_CODE, "tasks.curate.annotators")
REWRITE_CODE = (*_TEXT_CODE, "tasks.curate.rewriting")
REFINE_CODE = (*_TEXT_CODE, "tasks.curate.annotators", "tasks.curate.refine")
DECONTAMINATE_CODE = (*_TEXT_CODE, "tasks.curate.decontaminate")


@dataclass(frozen=True)
class Shard:
    """A shard of documents on its way: its number, its texts after the steps so far, and what those follow from."""

    number: str
    texts: TextSource
    digests: Mapping[str, str]

    def then(self, step: str, changed: Placement) -> "Shard":
        """Return the shard after a step that changed its texts."""
        return Shard(self.number, self.texts.then(step, changed.source), {**self.digests, step: changed.record.digest})


@dataclass(frozen=True)
class ShardEvidence:
    """What was found out about one shard: its statistics, those behind a rewriting, what benchmarks share with it."""

    statistics: Placement
    rewriting: Placement | None
    contamination: Placement | None

    @property
    def tables(self) -> Evidence:
        """Where the statistics lie."""
        return Evidence(self.statistics.source, self.rewriting.source if self.rewriting else None)

    @property
    def hits(self) -> Path | None:
        """Where the contaminated documents are listed."""
        return self.contamination.source if self.contamination else None

    @property
    def digests(self) -> dict[str, str]:
        """The digests of the tables."""
        tables = {"statistics": self.statistics, "rewriting": self.rewriting, "contamination": self.contamination}
        return {name: table.record.digest for name, table in tables.items() if table is not None}


@dataclass(frozen=True)
class Bench:
    """What every step works with: where units run, the params, the sources of the documents, and the stage's code."""

    workshop: Workshop
    params: CurateParams
    sources: tuple[str, ...]
    code: tuple[str, ...]

    def units(
        self,
        step: str,
        label: str,
        work: UnitWork,
        orders: Sequence[tuple[Mapping[str, str], Any]],
        values: Any,
        packages: tuple[str, ...],
    ) -> list[UnitRecord]:
        """Return the records of one step's units; an order is (digests of what it reads, args)."""
        code = digest_code(packages)
        return map_units(
            self.workshop,
            stage=STAGE,
            label=f"{STAGE}: {label}",
            work=work,
            units=[(stage_key(f"{STAGE}.{step}", digests, {"values": values}, code), args) for digests, args in orders],
            packages=packages,
        )


def gathered(bench: Bench, groups: Sequence[tuple[Shard, ...]]) -> list[Shard]:
    """Return one shard per group, called as its first one."""
    several = [group for group in groups if len(group) > 1]
    orders = [
        (
            {f"s{i}": shard.digests["s"] for i, shard in enumerate(group)},
            GatherArgs(tuple(shard.texts.documents for shard in group)),
        )
        for group in several
    ]
    records = iter(bench.units("gather", "small shards", gather_shards, orders, {}, bench.code))
    return [group[0] if len(group) == 1 else _whole(group[0].number, next(records)) for group in groups]


def _whole(number: str, record: UnitRecord) -> Shard:
    made = record.file(f"{number}.parquet")
    return Shard(number, TextSource(made.source), {"s": made.record.digest})


def annotated(bench: Bench, shards: Sequence[Shard]) -> list[Placement]:
    """Return the table of statistics of every shard."""
    params, wanted = bench.params, wanted_groups(bench.params, bench.sources)
    values = {"wanted": asdict(wanted), "annotators": _json(params.annotators), "files": files_of(params, wanted)}
    values |= {"phonenumbers": phones_known()} if "pii" in wanted.every else {}
    orders = [(shard.digests, AnnotateArgs(shard.texts, wanted, params.annotators)) for shard in shards]
    records = bench.units("annotate", "statistics", annotate_shard, orders, values, ANNOTATE_CODE)
    return [record.file(ANNOTATIONS) for record in records]


def wanted_groups(params: CurateParams, sources: Sequence[str]) -> Wanted:
    """Return which statistics are taken of the documents of which source."""
    groups = {name: params.profile_called(name).groups for name in {params.profile_name(one) for one in sources}}
    used = {group for found in groups.values() for group in found} | {*params.annotate}
    return Wanted(
        tuple(group for group in GROUPS if group in used),
        params.annotate,
        {one: tuple(group for group in GROUPS if group in groups[params.profile_name(one)]) for one in sources},
        {one: _reading(params.profile_called(params.profile_name(one))) for one in sources},
    )


def _reading(profile: Profile) -> Reading:
    return Reading(profile.words, profile.language_text)


def files_of(params: CurateParams, wanted: Wanted) -> dict[str, str]:
    """Return digests of what statistics follow from besides params: the user's files, and ICU's version."""
    annotators, found = params.annotators, {}
    if "gopher" in wanted.every and any(reading.words == "script" for reading in wanted.readings.values()):
        found["icu"] = digest_json(icu_version())
    if "language" in wanted.every:
        found["language model"] = model_digest(annotators.language)
    if "url" in wanted.every:
        found |= list_digests(annotators.url)
    if "tokens" in wanted.every and annotators.tokens is not None:
        found["tokenizer"] = tokenizer_digest(annotators.tokens)
    return found


def external(params: CurateParams, sources: Sequence[str]) -> dict[str, str]:
    """Return the digests of all that a curation reads besides its documents."""
    found = files_of(params, wanted_groups(params, sources))
    if params.decontaminate is not None:
        found |= benchmark_digests(params.decontaminate)
    if params.duplicates is not None:
        found |= versions(params.duplicates)
    return found


def rewritten(bench: Bench, shards: Sequence[Shard]) -> tuple[list[Shard], list[Placement | None]]:
    """Return the shards with their lines rewritten, and the statistics taken on the way (None: nothing is rewritten)."""
    of_source = {source: bench.params.rewriting_of(source) for source in bench.sources}
    every = tuple(sorted({one for one in of_source.values() if one is not None}, key=lambda one: one.model_dump_json()))
    if not every:
        return list(shards), [None] * len(shards)
    values = {source: _json(one) for source, one in of_source.items()}
    orders = [(shard.digests, RewriteArgs(shard.texts, of_source, every)) for shard in shards]
    records = bench.units("rewrite", "lines", rewrite_shard, orders, values, REWRITE_CODE)
    pairs = zip(shards, records, strict=True)
    return [shard.then("rewriting", record.file(REWRITTEN)) for shard, record in pairs], [
        record.file(REWRITING) for record in records
    ]


def refined(bench: Bench, shards: Sequence[Shard]) -> tuple[list[Shard], Refinement | None]:
    """Return the shards with their texts refined, and the account of it with samples (None: refining is off)."""
    refine = bench.params.refine
    if refine is None:
        return list(shards), None
    orders = [(shard.digests, RefineArgs(shard.texts.documents, refine)) for shard in shards]
    records = bench.units("refine", "refine", refine_shard, orders, refine_identity(refine), REFINE_CODE)
    refinement = Refinement.model_validate(merged_summaries([record.summary for record in records], refine.samples))
    changed = [shard.then("refine", record.file(REFINED)) for shard, record in zip(shards, records, strict=True)]
    return changed, refinement


def contaminated(
    bench: Bench, shards: Sequence[Shard]
) -> tuple[Sequence[Placement | None], ContaminationCounts | None]:
    """Return, per shard, the documents that hold n-grams of benchmarks, and how many of which (None: it is off)."""
    wanted = bench.params.decontaminate
    if wanted is None:
        return [None] * len(shards), None
    files, values = benchmark_digests(wanted), _json(wanted)
    [index] = bench.units(
        "benchmarks", "benchmarks", index_benchmarks, [(files, IndexArgs(wanted))], values, DECONTAMINATE_CODE
    )
    orders = [({**shard.digests, **files}, DecontaminateArgs(shard.texts, index.folder, wanted)) for shard in shards]
    records = bench.units("decontaminate", "decontaminate", decontaminate_shard, orders, values, DECONTAMINATE_CODE)
    counts = ContaminationCounts.model_validate(in_all(index.summary, [record.summary for record in records]))
    return [record.file(CONTAMINATION) for record in records], counts


def standing(bench: Bench, evidence: Sequence[ShardEvidence]) -> list[Placement]:
    """Return, per shard, which documents may stand for their duplicates."""
    values = _json(bench.params)
    orders = [(one.digests, StandArgs(one.tables, one.hits, bench.params)) for one in evidence]
    return [
        record.file(STANDING) for record in bench.units("stand", "standing", stand_shard, orders, values, bench.code)
    ]


def decided(
    bench: Bench, shards: Sequence[Shard], evidence: Sequence[ShardEvidence], duplicates: Sequence[Placement | None]
) -> list[UnitRecord]:
    """Return the records with what is kept and what is dropped."""
    orders = []
    for shard, one, found in zip(shards, evidence, duplicates, strict=True):
        digests = {**shard.digests, **one.digests, "duplicates": found.record.digest if found else ""}
        args = DecideArgs(shard.texts, one.tables, one.hits, found.source if found else None, bench.params)
        orders.append((digests, args))
    return bench.units("decide", "decisions", decide_shard, orders, _json(bench.params), bench.code)


def _json(params: Params | None) -> Any:
    return None if params is None else params.model_dump(mode="json")
