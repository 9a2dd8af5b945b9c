"""The steps of scorers and of selection over all shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.core.handles import Handle, Tree
from tasks.curate.published.documents import LEARNED
from tasks.curate.published.scored import Scored, ScorerTold, SelectionTold, Size
from tasks.curate.scorers import kinds
from tasks.curate.scorers.kinds import Scorer
from tasks.curate.scorers.method import LearningPass
from tasks.curate.scorers.unit import (
    LOOK_FILE,
    SCORES_FILE,
    ChosenScorer,
    LearnArgs,
    LookArgs,
    ScoreArgs,
    ToldArgs,
    held_looker,
    held_scorer,
    learn,
    load_held,
    load_looker,
    look_shard,
    score_shard,
    tell_of_kept,
)
from tasks.curate.selection.candidates import CANDIDATES_FILE, CandidateArgs, candidates_of_shard
from tasks.curate.selection.cuts import Selections, read_cuts
from tasks.curate.selection.unit import CUTS_FILE, CutArgs, cut
from tasks.curate.statistics.shards import TextSource
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handles
from tasks.runtime.step import Hold, Step

LOOK = Step("curate.look", "curate: what scorers learn from", look_shard, hold=Hold(held_looker, load_looker))
LEARN = Step("curate.learn", "curate: scorers learn", learn)
SCORE = Step("curate.score", "curate: scores", score_shard, hold=Hold(held_scorer, load_held))
TELL = Step("curate.told", "curate: what was kept", tell_of_kept)
CANDIDATES = Step("curate.candidates", "curate: candidates", candidates_of_shard)
CUT = Step("curate.cut", "curate: selection", cut)


@dataclass(frozen=True)
class ScoredBy:
    """A scorer after its work: what it has learned, what it told of that, and its table of every shard."""

    scorer: ChosenScorer
    learned: Tree | None
    told: Mapping[str, Any]
    tables: Sequence[Handle]
    without: int


def chosen_scorers(scorers: Sequence[Scorer]) -> tuple[ChosenScorer, ...]:
    """Return the scorers with the user's files, read once for their digests.

    Raises:
        ConfigError: one of them does not exist.
    """
    return tuple(_chosen(one) for one in scorers)


def uses_gpu(scorers: Sequence[ChosenScorer]) -> bool:
    """Return whether a scorer has a model that computes on a GPU where there is one."""
    methods = [kinds.method(one.config) for one in scorers]
    return any(one.on_device or (one.learning is not None and one.learning.on_device) for one in methods)


def scored(workshop: Workshop, scorers: Sequence[ChosenScorer], texts: Sequence[TextSource]) -> list[ScoredBy]:
    """Return the scores of every document by every scorer."""
    return [_scored(workshop, one, texts) for one in scorers]


def selected(workshop: Workshop, candidates: Sequence[CandidateArgs], selections: Selections) -> Handle | None:
    """Return what of the scores is kept; None where no profile selects by scores."""
    if not any(selections.values()):
        return None
    found = tuple(record.file(CANDIDATES_FILE) for record in CANDIDATES.map(workshop, candidates))
    return CUT.one(workshop, CutArgs(found, selections)).file(CUTS_FILE)


def told(workshop: Workshop, scorers: Sequence[ScoredBy], kept: Sequence[Handle], cuts: Handle | None) -> Scored:
    """Return what is published of scorers and selections; `kept` are the tables of kept documents."""
    return Scored(
        scorers={one.scorer.config.name: _told(workshop, one, kept) for one in scorers},
        selections=tuple(
            SelectionTold(
                profile=one.profile,
                score=one.selection.score,
                keeps=one.told,
                considered=Size(documents=one.documents, tokens=one.tokens),
                kept=Size(documents=one.kept_documents, tokens=one.kept_tokens),
            )
            for one in (() if cuts is None else read_cuts(cuts.local()))
        ),
    )


def learned_files(scorers: Sequence[ScoredBy]) -> dict[str, Handle]:
    """Return what is published of what scorers have learned, by the names in the output."""
    found: dict[str, Handle] = {}
    for one in scorers:
        learning = kinds.method(one.scorer.config).learning
        if learning is not None and one.learned is not None:
            name = one.scorer.config.name
            found |= {f"{LEARNED}/{name}/{file}": one.learned[file] for file in learning.publishes}
    return found


def _told(workshop: Workshop, scored_by: ScoredBy, kept: Sequence[Handle]) -> ScorerTold:
    config, learning = scored_by.scorer.config, kinds.method(scored_by.scorer.config).learning
    of_kept: Mapping[str, float] = {}
    if learning is not None and learning.told_of_kept is not None and scored_by.learned is not None:
        looks = _looks(workshop, scored_by.scorer, [TextSource(table) for table in kept])
        of_kept = TELL.one(workshop, ToldArgs(config, scored_by.learned, looks)).summary
    return ScorerTold(
        kind=config.kind,
        columns=tuple(kinds.columns_of(config)),
        learned=scored_by.told,
        kept=of_kept,
        without=scored_by.without,
    )


def _scored(workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]) -> ScoredBy:
    learned: Tree | None = None
    told: Mapping[str, Any] = {}
    if kinds.method(scorer.config).learning is not None:
        record = LEARN.one(workshop, LearnArgs(scorer, _looks(workshop, scorer, texts)))
        learned, told = record.tree, record.summary
    gpus = workshop.gpus_per_trainer if kinds.method(scorer.config).on_device else 0.0
    units = [ScoreArgs(text, scorer, learned, "cuda" if gpus else "cpu") for text in texts]
    records = SCORE.map(workshop, units, resources=replace(SCORE.resources, gpus=gpus))
    without = sum(record.summary["without"] for record in records)
    return ScoredBy(scorer, learned, told, [record.file(SCORES_FILE) for record in records], without)


def _looks(workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]) -> tuple[Handle, ...]:
    config, learning = scorer.config, kinds.method(scorer.config).learning
    assert learning is not None
    looker = ChosenScorer(_as_looked(config, learning), scorer.files if learning.looks_at_files else {})
    gpus = workshop.gpus_per_trainer if learning.on_device else 0.0
    units = [LookArgs(text, looker, "cuda" if gpus else "cpu") for text in texts]
    return tuple(
        record.file(LOOK_FILE) for record in LOOK.map(workshop, units, resources=replace(LOOK.resources, gpus=gpus))
    )


def _as_looked(config: Scorer, learning: LearningPass) -> Scorer:
    """Return a scorer's config as looks read it: other fields are as they are by default, or nothing."""
    if learning.look_fields is None:
        return config
    read = {"kind", "name", *learning.look_fields}
    unread = {name: field for name, field in type(config).model_fields.items() if name not in read}
    return config.model_copy(
        update={name: None if field.is_required() else field.get_default() for name, field in unread.items()}
    )


def _chosen(config: Scorer) -> ChosenScorer:
    method = kinds.method(config)
    files = file_handles(method.user_files(config))
    without = {name: type(getattr(config, name))() for name in method.file_fields}
    return ChosenScorer(config.model_copy(update=without), files)
