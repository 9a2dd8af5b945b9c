"""The steps of scorers and of selection over all shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.core.handles import Handle, Tree
from tasks.curate import vectors
from tasks.curate.asking import with_answers
from tasks.curate.combined import kinds as combinations
from tasks.curate.combined.kinds import Combined
from tasks.curate.combined.unit import CombineArgs, ShardScores, combine, combined_file
from tasks.curate.published.documents import LEARNED
from tasks.curate.published.scored import Scored, ScorerTold
from tasks.curate.scorers import kinds
from tasks.curate.scorers.inside import InsideArgs, count_inside, held_target, load_target
from tasks.curate.scorers.kinds import Scorer
from tasks.curate.scorers.method import EmbeddedParams, LearningPass
from tasks.curate.scorers.rated import RatedParams
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
from tasks.curate.selection.choosing import Cut, Selections
from tasks.curate.selection.told import selection_told
from tasks.curate.selection.unit import CUTS_FILE, CutArgs, chosen_file, cut, read_cuts
from tasks.curate.statistics.shards import TextSource
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handles
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step

LOOK = Step("curate.look", "curate: what scorers learn from", look_shard, hold=Hold(held_looker, load_looker))
LEARN = Step("curate.learn", "curate: scorers learn", learn)
SCORE = Step("curate.score", "curate: scores", score_shard, hold=Hold(held_scorer, load_held))
INSIDE = Step("curate.inside", "curate: documents of targets", count_inside, hold=Hold(held_target, load_target))
COMBINE = Step("curate.combine", "curate: combined scores", combine)
TELL = Step("curate.told", "curate: what was kept", tell_of_kept)
CANDIDATES = Step("curate.candidates", "curate: candidates", candidates_of_shard)
# Scores that differ by less than such a share of themselves are noise of rounding or of an untrained model: people read
# them in four digits, and see one number.
_FLAT = 5e-4
CUT = Step("curate.cut", "curate: selection", cut)


@dataclass(frozen=True)
class Spread:
    """The lowest and the highest of the scores of so many documents; infinite ones do not count."""

    documents: int
    lowest: float
    highest: float

    @property
    def is_flat(self) -> bool:
        """Whether several documents have the same score, but for the last digits."""
        far = max(abs(self.lowest), abs(self.highest))
        return self.documents > 1 and self.highest - self.lowest <= _FLAT * far

    @property
    def words(self) -> str:
        """What people are told of it.

        >>> Spread(3, 0.5, 0.5).words, Spread(3, 0.49999, 0.50001).words
        ('0.5', '0.49999 to 0.50001')
        """
        low, high = (f"{end:.6g}" for end in (self.lowest, self.highest))
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class ScoredBy:
    """A scorer after its work: what it has learned, what it told of that, its table of every shard, and its spread."""

    scorer: ChosenScorer
    learned: Tree | None
    told: Mapping[str, Any]
    tables: Sequence[Handle]
    without: int
    in_target: int
    spread: Spread | None

    @property
    def name(self) -> str:
        """What its columns are called after."""
        return self.scorer.config.name


@dataclass(frozen=True)
class CombinedBy:
    """A combined score: its table of every shard."""

    config: Combined
    tables: Sequence[Handle]
    without: int

    @property
    def name(self) -> str:
        """Its column."""
        return self.config.name


@dataclass(frozen=True)
class Selected:
    """What selections do: to the candidates of every shard (None: no profile selects), and what is told of it."""

    candidates: Sequence[Handle]
    chosen: Sequence[Handle | None]
    cuts: Sequence[Cut]


def chosen_scorers(scorers: Sequence[Scorer]) -> tuple[ChosenScorer, ...]:
    """Return the scorers with the user's files, read once for their digests.

    Raises:
        ConfigError: one of them does not exist.
    """
    return tuple(_chosen(one) for one in scorers)


def uses_gpu(scorers: Sequence[ChosenScorer]) -> bool:
    """Return whether a scorer has a model that computes on a GPU where there is one."""
    methods = [kinds.method(one.config) for one in scorers]
    return any(one.on_device or (isinstance(one.learning, LearningPass) and one.learning.on_device) for one in methods)


def scored(workshop: Workshop, scorers: Sequence[ChosenScorer], texts: Sequence[TextSource]) -> list[ScoredBy]:
    """Return the scores of every document by every scorer."""
    return [_scored(workshop, one, texts) for one in scorers]


def combined(
    workshop: Workshop, combinations: Sequence[Combined], scorers: Sequence[ScoredBy], statistics: Sequence[Handle]
) -> list[CombinedBy]:
    """Return the combined scores of every document, from scores and from the tables of statistics."""
    return [_combined(workshop, one, scorers, statistics) for one in combinations]


def selected(workshop: Workshop, candidates: Sequence[CandidateArgs], selections: Selections) -> Selected:
    """Return what of the scores is kept."""
    found = tuple(record.file(CANDIDATES_FILE) for record in CANDIDATES.map(workshop, candidates))
    if not any(selections.values()):
        return Selected(found, [None] * len(found), ())
    record = CUT.one(workshop, CutArgs(found, selections))
    chosen = [record.file(chosen_file(number)) for number in range(len(found))]
    return Selected(found, chosen, read_cuts(record.file(CUTS_FILE).local()))


def told(
    workshop: Workshop,
    scorers: Sequence[ScoredBy],
    combinations: Sequence[CombinedBy],
    kept: Sequence[Handle],
    cuts: Sequence[Cut],
) -> Scored:
    """Return what is published of scorers and selections; `kept` are the tables of kept documents."""
    return Scored(
        scorers={one.name: _told(workshop, one, kept) for one in scorers}
        | {one.name: _told_combined(one) for one in combinations},
        selections=tuple(selection_told(one) for one in cuts),
    )


def scorer_warnings(scorers: Sequence[ScoredBy]) -> list[str]:
    """Return what a reader must know of scorers: what they warn of themselves, and documents that are their target."""
    found = [f"scorer {one.name}: {one.told['warning']}." for one in scorers if "warning" in one.told]
    found += [
        f"scorer {one.name}: {one.in_target:,} documents are texts of its target: they have the scores of the target itself."
        for one in scorers
        if one.in_target
    ]
    found += [
        f"scorer {one.name}: it says the same of all {one.spread.documents:,} documents ({one.spread.words}): what is "
        "selected by it is a matter of chance."
        for one in scorers
        if one.spread is not None and one.spread.is_flat
    ]
    return found


def learned_files(scorers: Sequence[ScoredBy]) -> dict[str, Handle]:
    """Return what is published of what scorers have learned, by the names in the output."""
    found: dict[str, Handle] = {}
    for one in scorers:
        learning = kinds.method(one.scorer.config).learning
        if learning is not None and one.learned is not None:
            name = one.scorer.config.name
            there = [file for file in learning.publishes if file in one.learned.names]
            found |= {f"{LEARNED}/{name}/{file}": one.learned[file] for file in there}
    return found


def _combined(
    workshop: Workshop, config: Combined, scorers: Sequence[ScoredBy], statistics: Sequence[Handle]
) -> CombinedBy:
    given = {one.name: {*kinds.columns_of(one.scorer.config)} for one in scorers}
    used = [one for one in scorers if given[one.name] & {*config.weights}]
    of_statistics = {*config.weights} - {column for columns in given.values() for column in columns}
    needed = bool(of_statistics) or combinations.method(config).by_tokens(config)
    shards = tuple(
        ShardScores(tuple(one.tables[number] for one in used), table if needed else None)
        for number, table in enumerate(statistics)
    )
    record = COMBINE.one(workshop, CombineArgs(config, shards))
    tables = [record.file(combined_file(number)) for number in range(len(shards))]
    return CombinedBy(config, tables, record.summary["without"])


def _told_combined(one: CombinedBy) -> ScorerTold:
    weights = {f"weight of {name}": weight for name, weight in one.config.weights.items()}
    return ScorerTold(kind=one.config.kind, columns=(one.name,), learned=weights, kept={}, without=one.without)


def _told(workshop: Workshop, scored_by: ScoredBy, kept: Sequence[Handle]) -> ScorerTold:
    config, learning = scored_by.scorer.config, kinds.method(scored_by.scorer.config).learning
    of_kept: Mapping[str, float] = {}
    if isinstance(learning, LearningPass) and learning.told_of_kept is not None and scored_by.learned is not None:
        looks = _looks(workshop, scored_by.scorer, [TextSource(table) for table in kept])
        of_kept = TELL.one(workshop, ToldArgs(config, scored_by.learned, looks)).summary
    return ScorerTold(
        kind=config.kind,
        columns=tuple(kinds.columns_of(config)),
        learned=scored_by.told,
        kept=of_kept,
        without=scored_by.without,
        in_target=scored_by.in_target,
        lowest=None if scored_by.spread is None else scored_by.spread.lowest,
        highest=None if scored_by.spread is None else scored_by.spread.highest,
    )


def _scored(workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]) -> ScoredBy:
    steps = vectors.scored if isinstance(scorer.config, EmbeddedParams) else _of_texts
    learning, records = steps(workshop, scorer, texts)
    learned, told = (None, {}) if learning is None else (learning.tree, learning.summary)
    without, finite = (sum(record.summary[name] for record in records) for name in ("without", "finite"))
    tables = [record.file(SCORES_FILE) for record in records]
    ends = [end for record in records for end in record.summary["ends"]]
    spread = Spread(finite, min(ends), max(ends)) if ends else None
    return ScoredBy(scorer, learned, told, tables, without, _in_target(workshop, scorer, texts), spread)


def _in_target(workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]) -> int:
    method = kinds.method(scorer.config)
    if method.target is None:
        return 0
    target = method.target(scorer.config, scorer.files)
    if not target.files:
        return 0
    files = tuple(scorer.files[name] for name in target.files)
    records = INSIDE.map(workshop, [InsideArgs(text, files, target.fields) for text in texts])
    return sum(record.summary["documents"] for record in records)


def _of_texts(
    workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]
) -> tuple[UnitRecord | None, list[UnitRecord]]:
    """Return the records of what a scorer of texts has learned, if it learns, and of the scores of every shard."""
    method = kinds.method(scorer.config)
    learning = _learned(workshop, scorer, texts) if method.learning else None
    gpus = workshop.gpus_per_trainer if method.on_device else 0.0
    tree = None if learning is None else learning.tree
    units = [ScoreArgs(text, scorer, tree, "cuda" if gpus else "cpu") for text in texts]
    return learning, SCORE.map(workshop, units, resources=replace(SCORE.resources, gpus=gpus))


def _learned(workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]) -> UnitRecord:
    looks = _looks(workshop, scorer, texts)
    return LEARN.one(workshop, LearnArgs(with_answers(workshop, scorer, looks), looks))


def _looks(workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]) -> tuple[Handle, ...]:
    config, learning = scorer.config, kinds.method(scorer.config).learning
    assert isinstance(learning, LearningPass)
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
    without: dict[str, Any] = {name: type(getattr(config, name))() for name in method.file_fields}
    if isinstance(config, RatedParams):
        asked = config.model_copy(update={**without, "endpoint": None})
        return ChosenScorer(asked, files, endpoint=config.endpoint)
    if not isinstance(config, EmbeddedParams):
        return ChosenScorer(config.model_copy(update=without), files)
    without["embedding"] = vectors.without_place(config.embedding)
    return ChosenScorer(config.model_copy(update=without), files, vectors.embedder_files(config.embedding))
