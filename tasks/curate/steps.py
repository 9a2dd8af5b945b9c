"""The steps of a curation over all shards: each lists its units, maps them, and says what it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.core.handles import Handle
from tasks.curate import scoring
from tasks.curate.annotators import kinds
from tasks.curate.annotators.kinds import GROUPS, Annotator
from tasks.curate.config import CurateParams
from tasks.curate.decontaminate.benchmarks import benchmark_files, named_files
from tasks.curate.decontaminate.unit import (
    CONTAMINATION,
    DecontaminateArgs,
    IndexArgs,
    decontaminate_shard,
    in_all,
    index_benchmarks,
)
from tasks.curate.gather import GATHERED, GatherArgs, gather_shards
from tasks.curate.judge import Evidence, Judges
from tasks.curate.languages.confidence import ConfidenceArgs, learn_confidence
from tasks.curate.languages.judges import LEAST_CONFIDENCE, in_use
from tasks.curate.languages.unit import ReferenceArgs, learn_thresholds
from tasks.curate.profiles import built_in
from tasks.curate.published.funnel import ContaminationCounts, Refinement
from tasks.curate.published.languages import LanguageThresholds, LearnedLanguages
from tasks.curate.refine.unit import REFINED, RefineArgs, merged_summaries, refine_shard
from tasks.curate.rewriting.unit import REWRITING_FILE, REWRITTEN, RewriteArgs, rewrite_shard
from tasks.curate.scorers.unit import ChosenScorer
from tasks.curate.scoring import Selected, chosen_scorers
from tasks.curate.selection.candidates import CandidateArgs
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.unit import (
    ANNOTATIONS_FILE,
    AnnotateArgs,
    ChosenAnnotator,
    Selection,
    annotate_shard,
    held_annotator,
    load_held,
)
from tasks.curate.units import STANDING, DecideArgs, StandArgs, decide_shard, stand_shard
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handles
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step

GATHER = Step("curate.gather", "curate: small shards", gather_shards)
REFINE = Step("curate.refine", "curate: refine", refine_shard)
# A worker keeps the language model from shard to shard.
ANNOTATE = Step("curate.annotate", "curate: statistics", annotate_shard, hold=Hold(held_annotator, load_held))
REFERENCE = Step("curate.reference", "curate: thresholds by language", learn_thresholds)
CONFIDENCE = Step("curate.confidence", "curate: confidence by language", learn_confidence)
REWRITE = Step("curate.rewrite", "curate: lines", rewrite_shard)
INDEX = Step("curate.benchmarks", "curate: benchmarks", index_benchmarks)
DECONTAMINATE = Step("curate.decontaminate", "curate: decontaminate", decontaminate_shard)
STAND = Step("curate.stand", "curate: standing", stand_shard)
DECIDE = Step("curate.decide", "curate: decisions", decide_shard)


@dataclass(frozen=True)
class Shard:
    """A shard of documents on its way: its number, and its texts after the steps so far."""

    number: str
    texts: TextSource

    def then(self, step: str, texts: Handle) -> "Shard":
        """Return the shard after a step that changed its texts."""
        return Shard(self.number, self.texts.then(step, texts))


@dataclass(frozen=True)
class ShardEvidence:
    """What was found out about one shard: statistics, those behind a rewriting, what benchmarks share with it, scores."""

    statistics: Handle
    rewriting: Handle | None
    contamination: Handle | None
    scores: tuple[Handle, ...] = ()

    @property
    def tables(self) -> Evidence:
        """What is judged by rules."""
        return Evidence(self.statistics, self.rewriting)


@dataclass(frozen=True)
class Curation:
    """What every step is given: where units run, the params, the sources of the documents, and the user's files."""

    workshop: Workshop
    params: CurateParams
    sources: tuple[str, ...]
    annotators: tuple[ChosenAnnotator, ...]
    benchmarks: Mapping[str, Handle]
    scorers: tuple[ChosenScorer, ...]
    references: Mapping[str, Mapping[str, Handle]]
    learned: LearnedLanguages | None = None

    @staticmethod
    def of(workshop: Workshop, params: CurateParams, sources: tuple[str, ...]) -> "Curation":
        """Return a curation; the user's files are read once, for their digests.

        Raises:
            ConfigError: one of them does not exist.
        """
        benchmarks = benchmark_files(params.decontaminate) if params.decontaminate else {}
        chosen = tuple(_chosen(one) for one in annotators_of(params, sources))
        scorers = chosen_scorers(params.scorers)
        given = {} if params.languages is None else params.languages.references
        references = {
            language: file_handles(named_files(files, f"languages.references.{language}"))
            for language, files in sorted(given.items())
        }
        return Curation(workshop, params, sources, chosen, file_handles(benchmarks), scorers, references)

    @property
    def user_files(self) -> dict[str, str]:
        """The digests of the files that the params name."""
        named = {f"{one.config.kind}.{name}": file for one in self.annotators for name, file in one.files.items()}
        named |= {f"benchmarks.{name}": file for name, file in self.benchmarks.items()}
        named |= {f"{one.config.name}.{name}": file for one in self.scorers for name, file in one.files.items()}
        for language, files in self.references.items():
            named |= {f"references.{language}.{name}": file for name, file in files.items()}
        models = {f"{one.config.name}.embedder": one.embedder for one in self.scorers if one.embedder is not None}
        return {name: file.digest for name, file in named.items()} | {name: one.digest for name, one in models.items()}

    @property
    def selected_by(self) -> tuple[str, ...]:
        """The statistics that the profiles of these sources select by."""
        return self.params.statistics_selected_by(self.params.profiles_of({*self.sources}).values())

    @property
    def judges(self) -> Judges:
        """Who judges the documents of which source and, where thresholds were learned, language."""
        return in_use(self.params, self.sources, self.learned).judges


def annotators_of(params: CurateParams, sources: Sequence[str]) -> list[Annotator]:
    """Return the annotators that profiles of these sources, `annotate` or `combined` ask for, in the order of columns."""
    every = kinds.configured(params.annotators)
    profiles = (params.profile_called(params.profile_name(source)) for source in sources)
    groups = {*params.annotated, *(group for profile in profiles for group in params.groups_of(profile))}
    return [config for group in GROUPS if group in groups and (config := every[group]) is not None]


def selection_of(params: CurateParams, sources: Sequence[str]) -> Selection:
    """Return which annotators are run over the documents of which source, and how these are read."""
    profiles = {source: params.profile_called(params.profile_name(source)) for source in sources}
    return Selection(
        params.annotated,
        {source: tuple(filter(params.groups_of(one).__contains__, GROUPS)) for source, one in profiles.items()},
        {source: one.reading for source, one in profiles.items()},
    )


def gathered(workshop: Workshop, groups: Sequence[tuple[Handle, ...]]) -> list[Shard]:
    """Return one shard per group of small ones, called as its first one."""
    records = iter(GATHER.map(workshop, [GatherArgs(group) for group in groups if len(group) > 1]))
    return [
        Shard(group[0].stem, TextSource(group[0] if len(group) == 1 else next(records).file(GATHERED)))
        for group in groups
    ]


def refined(curation: Curation, shards: Sequence[Shard]) -> tuple[list[Shard], Refinement | None]:
    """Return the shards with their texts refined, and the account of it with samples (None: refining is off)."""
    refine = curation.params.refine
    if refine is None:
        return list(shards), None
    records = REFINE.map(curation.workshop, [RefineArgs(shard.texts.documents, refine) for shard in shards])
    refinement = Refinement.model_validate(merged_summaries([record.summary for record in records], refine.samples))
    changed = [shard.then("refine", record.file(REFINED)) for shard, record in zip(shards, records, strict=True)]
    return changed, refinement


def annotated(curation: Curation, shards: Sequence[Shard]) -> list[Handle]:
    """Return the table of statistics of every shard."""
    selection = selection_of(curation.params, curation.sources)
    units = [AnnotateArgs(shard.texts, curation.annotators, selection) for shard in shards]
    return [record.file(ANNOTATIONS_FILE) for record in ANNOTATE.map(curation.workshop, units)]


def with_languages(curation: Curation, statistics: Sequence[Handle]) -> Curation:
    """Return the curation with thresholds for each language, where params ask for them.

    Raises:
        DataError: a reference says too little.
    """
    config = curation.params.languages
    if config is None:
        return curation
    gopher, without = built_in("gopher").rules, config.model_copy(update={"references": {}})
    english = {name: limit for name in config.rules if isinstance(limit := gopher.get(name), float)}
    files = {language: tuple(named.values()) for language, named in curation.references.items()}
    of_reference = REFERENCE.one(curation.workshop, ReferenceArgs(files, without, english)).summary["languages"]
    limits = (config.lowest_confidence, config.highest_confidence)
    of_pool = CONFIDENCE.one(curation.workshop, ConfidenceArgs(tuple(statistics), *limits)).summary["languages"]
    nothing = {"documents": 0, "thresholds": {}}
    languages = {
        name: LanguageThresholds(
            documents=told["documents"],
            reference_documents=of_reference.get(name, nothing)["documents"],
            thresholds=of_reference.get(name, nothing)["thresholds"] | {LEAST_CONFIDENCE: told["least_confidence"]},
        )
        for name, told in of_pool.items()
    }
    return replace(curation, learned=LearnedLanguages(profiles=config.profiles, languages=languages))


def rewritten(curation: Curation, shards: Sequence[Shard]) -> tuple[list[Shard], list[Handle | None]]:
    """Return the shards with their lines rewritten, and the statistics taken on the way (None: nothing is rewritten)."""
    of_source = {source: curation.params.rewriting_of(source) for source in curation.sources}
    every = tuple(sorted({one for one in of_source.values() if one is not None}, key=lambda one: one.model_dump_json()))
    if not every:
        return list(shards), [None] * len(shards)
    records = REWRITE.map(curation.workshop, [RewriteArgs(shard.texts, of_source, every) for shard in shards])
    changed = [shard.then("rewriting", record.file(REWRITTEN)) for shard, record in zip(shards, records, strict=True)]
    return changed, [record.file(REWRITING_FILE) for record in records]


def contaminated(
    curation: Curation, shards: Sequence[Shard]
) -> tuple[Sequence[Handle | None], ContaminationCounts | None]:
    """Return, per shard, the documents that hold n-grams of benchmarks, and how many of which (None: it is off)."""
    params = curation.params.decontaminate
    if params is None:
        return [None] * len(shards), None
    looked_for = params.model_copy(update={"benchmarks": (), "min_hits": 1})
    index = INDEX.one(curation.workshop, IndexArgs(curation.benchmarks, looked_for))
    units = [DecontaminateArgs(shard.texts, index.tree, params.min_hits) for shard in shards]
    records = DECONTAMINATE.map(curation.workshop, units)
    counts = ContaminationCounts.model_validate(in_all(index.summary, [record.summary for record in records]))
    return [record.file(CONTAMINATION) for record in records], counts


def standing(curation: Curation, evidence: Sequence[ShardEvidence]) -> list[Handle]:
    """Return, per shard, which documents may stand for their duplicates."""
    judges = curation.judges
    units = [StandArgs(one.tables, one.contamination, judges) for one in evidence]
    return [record.file(STANDING) for record in STAND.map(curation.workshop, units)]


def selected(
    curation: Curation, shards: Sequence[Shard], evidence: Sequence[ShardEvidence], duplicates: Sequence[Handle | None]
) -> Selected | None:
    """Return what is kept by scores of the documents that pass all else; None where nothing is scored or selected."""
    profiles = curation.params.profiles_of({*curation.sources})
    selections = {name: profile.select for name, profile in profiles.items()}
    if not (curation.params.scorers or curation.params.combined or any(selections.values())):
        return None
    judges, statistics = curation.judges, curation.selected_by
    units = [
        CandidateArgs(shard.texts.documents, one.tables, one.contamination, found, judges, one.scores, statistics)
        for shard, one, found in zip(shards, evidence, duplicates, strict=True)
    ]
    return scoring.selected(curation.workshop, units, selections)


def decided(
    curation: Curation,
    shards: Sequence[Shard],
    evidence: Sequence[ShardEvidence],
    duplicates: Sequence[Handle | None],
    selection: Selected | None,
) -> list[UnitRecord]:
    """Return the records with what is kept and what is dropped; `selection` is what `selected` gave."""
    judges = curation.judges
    chosen = [None] * len(shards) if selection is None else selection.chosen
    units = [
        DecideArgs(shard.texts, one.tables, one.contamination, found, judges, one.scores, own)
        for shard, one, found, own in zip(shards, evidence, duplicates, chosen, strict=True)
    ]
    return DECIDE.map(curation.workshop, units)


def _chosen(config: Annotator) -> ChosenAnnotator:
    files = file_handles(kinds.method(config).user_files(config))
    return ChosenAnnotator(config.model_copy(update=dict.fromkeys(files, "")), files)
