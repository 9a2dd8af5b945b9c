"""The driver of deduplication: signatures per shard, groups per band, clusters over all, what repeats in the survivors.

No unit holds all documents' signatures. What each reads, and its memory: `signing.unit` and `similarity` one shard's texts;
`groups` one partition of one band's keys, 40 bytes for each of at most 4 million documents, and blocks of rows; `duplicates`
100 bytes per document of all shards; `repeats` one shard's texts, or one million pieces. The units go to the workshop's
executor: where one machine is too small, Ray spreads the bands over many.

Only the signatures are kept across changed thresholds: they know neither standings nor limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import DataError
from tasks.core.handles import Handle, Tree
from tasks.curate.dedup.config import Duplicates
from tasks.curate.dedup.corpus import Corpus, SignedShard
from tasks.curate.dedup.duplicates import UniteArgs, duplicates_file, unite
from tasks.curate.dedup.fingerprints import PRINTS, STANDING, AdoptArgs, PrintArgs, adopt, print_shard
from tasks.curate.dedup.groups import (
    MET,
    BandArgs,
    EqualTextsArgs,
    MetArgs,
    group_bands,
    group_equal_texts,
    list_met,
    partitions_for,
)
from tasks.curate.dedup.repeats.steps import drop_all_cut, find_cuts
from tasks.curate.dedup.signing.signatures import Shape, shape_of
from tasks.curate.dedup.signing.unit import SignArgs, sign_shard
from tasks.curate.dedup.similarity import SetsArgs, VerifyArgs, verify_groups, write_sets
from tasks.curate.published.documents import FINGERPRINTS, KEPT
from tasks.curate.published.funnel import DuplicateCounts
from tasks.curate.statistics.shards import TextSource
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, published
from tasks.runtime.step import Step

SIGN = Step("curate.sign", "curate: signatures", sign_shard)
ADOPT = Step("curate.adopt", "curate: earlier versions", adopt)
EQUAL_TEXTS = Step("curate.equal-texts", "curate: equal texts", group_equal_texts)
BANDS = Step("curate.bands", "curate: bands", group_bands)
MEETINGS = Step("curate.met", "curate: who met", list_met)
SETS = Step("curate.ngrams", "curate: n-grams of those that met", write_sets)
SIMILARITIES = Step("curate.similarities", "curate: similarities", verify_groups)
CLUSTERS = Step("curate.clusters", "curate: clusters", unite)
PRINT = Step("curate.fingerprints", "curate: fingerprints", print_shard)
# Keys, of documents times bands, that are worth a unit of their own: less than a second of work.
_UNIT_KEYS = 1 << 20


@dataclass(frozen=True)
class Candidates:
    """A shard to look for duplicates in: its number, the texts that are compared, and the standing of its documents.

    `standing`: Parquet with the same rows, id, source, passes (bool) and quality (float64).
    """

    number: str
    texts: TextSource
    standing: Handle


@dataclass(frozen=True)
class Found:
    """What deduplication found, shard by shard in the order given.

    `tables`: the tables of duplicates (see `duplicates.unite`). `cuts`: the texts of survivors without the paragraphs and
    lines that repeat, null where nothing is cut. `fingerprints`: what later versions need of the survivors, by the number
    of the shard. `counts`: how many (None: nothing was looked for).
    """

    tables: Sequence[Handle | None]
    cuts: Sequence[Handle | None]
    fingerprints: Mapping[str, Handle]
    counts: DuplicateCounts | None

    @staticmethod
    def nothing(shards: int) -> "Found":
        """Return what is found in so many shards when nothing is looked for."""
        return Found([None] * shards, [None] * shards, {}, None)


def find_duplicates(workshop: Workshop, candidates: Sequence[Candidates], params: Duplicates, seed: int) -> Found:
    """Find who survives for each document that passes the rules, over all shards at once.

    Raises:
        ConfigError: a folder of `against` was signed in another way than this run signs.
        DataError: a folder of `against` is no output of curate, or holds no fingerprints.
    """
    shape = shape_of(params.near, seed)
    corpus = _corpus(workshop, candidates, params, shape)
    # 1. Equal texts; one of them stands for the others in what follows.
    equal = _equal_texts(workshop, corpus) if params.documents else ()
    # 2. Near duplicates: who meets whom in a band, and who of them is similar enough.
    near, sets = _near(workshop, corpus, params, shape, equal)
    # 3. Clusters, and who survives.
    united = CLUSTERS.one(workshop, UniteArgs(corpus, equal, near, sets, params.rehydration))
    tables = [united.file(duplicates_file(i)) for i in range(len(candidates))]
    # 4. What repeats across the survivors; what later versions need of them.
    own = corpus.of_this_run
    cuts, cut = find_cuts(workshop, params, own, tables)
    tables, emptied = drop_all_cut(workshop, tables, cuts)
    units = [PrintArgs(shard, table, shape) for shard, table in zip(own.shards, tables, strict=True)]
    prints = zip(candidates, PRINT.map(workshop, units), strict=True)
    counts = DuplicateCounts.model_validate({**united.summary, **cut, **emptied})
    return Found(tables, cuts, {one.number: record.file(PRINTS) for one, record in prints}, counts)


def earlier_versions(workshop: Workshop, params: Duplicates | None) -> list[StageInput]:
    """Return the earlier versions that documents are compared with, by what is in them.

    Raises:
        DataError: a folder is no output of curate, or holds no fingerprints.
    """
    names = params.against if params is not None else ()
    found = [published(workshop.store, str(Path(name).absolute())) for name in names]
    for name, version in zip(names, found, strict=True):
        if not any(record.path.startswith(f"{FINGERPRINTS}/") for record in version.manifest.files):
            raise DataError(
                f"{name}: published by {version.manifest.stage}, with no {FINGERPRINTS}/ in it. Name in duplicates.against "
                "folders that curate wrote with duplicates on."
            )
    return found


def _corpus(workshop: Workshop, candidates: Sequence[Candidates], params: Duplicates, shape: Shape | None) -> Corpus:
    """Return the documents of this run and of earlier versions."""
    signed = SIGN.map(workshop, [SignArgs(one.texts, shape) for one in candidates])
    shards = [
        SignedShard(record.tree, one.standing, one.texts, record.summary["documents"])
        for one, record in zip(candidates, signed, strict=True)
    ]
    return Corpus((*shards, *_earlier(workshop, params, shape)), params.scope == "within_source")


def _earlier(workshop: Workshop, params: Duplicates, shape: Shape | None) -> list[SignedShard]:
    files = [
        (version.digest, kept, prints)
        for version in earlier_versions(workshop, params)
        for kept, prints in zip(version.tree(f"{KEPT}/"), version.tree(f"{FINGERPRINTS}/"), strict=True)
    ]
    adopted = ADOPT.map(workshop, [AdoptArgs(prints, shape) for _, _, prints in files])
    return [
        SignedShard(record.tree, record.file(STANDING), TextSource(kept), record.summary["documents"], version)
        for (version, kept, _), record in zip(files, adopted, strict=True)
    ]


def _equal_texts(workshop: Workshop, corpus: Corpus) -> tuple[Tree, ...]:
    partitions = partitions_for(corpus.documents)
    units = [EqualTextsArgs(corpus, i, partitions) for i in range(partitions)]
    return _trees(EQUAL_TEXTS.map(workshop, units))


def _near(
    workshop: Workshop, corpus: Corpus, params: Duplicates, shape: Shape | None, equal: tuple[Tree, ...]
) -> tuple[tuple[Tree, ...], tuple[Tree, ...] | None]:
    """Return the groups of near duplicates, and the sets of n-grams if these decided."""
    near = params.near
    if near is None or shape is None:
        return (), None
    groups = _bands(workshop, corpus, shape, equal)
    sets = _sets(workshop, corpus, shape, groups) if near.verify == "exact" else None
    if near.min_jaccard is not None:
        units = [VerifyArgs(corpus, group, sets, near.min_jaccard) for group in groups]
        groups = _trees(SIMILARITIES.map(workshop, units))
    return groups, sets


def _bands(workshop: Workshop, corpus: Corpus, shape: Shape, equal: tuple[Tree, ...]) -> tuple[Tree, ...]:
    partitions, bands = partitions_for(corpus.documents), shape.minhash.bands
    each = max(1, _UNIT_KEYS // max(corpus.documents, 1))
    parts = [tuple(range(first, min(first + each, bands))) for first in range(0, bands, each)]
    units = [
        BandArgs(corpus, equal, shape.minhash.rows, part, i, partitions) for part in parts for i in range(partitions)
    ]
    return _trees(BANDS.map(workshop, units))


def _sets(workshop: Workshop, corpus: Corpus, shape: Shape, bands: tuple[Tree, ...]) -> tuple[Tree, ...]:
    met = MEETINGS.one(workshop, MetArgs(bands)).file(MET)
    starts = corpus.starts.tolist()
    units = [SetsArgs(shard, starts[i], met, shape) for i, shard in enumerate(corpus.shards)]
    return _trees(SETS.map(workshop, units))


def _trees(records: Sequence[UnitRecord]) -> tuple[Tree, ...]:
    return tuple(record.tree for record in records)
