"""The driver of deduplication: signatures per shard, groups per band, clusters over all, what repeats in the survivors.

No unit holds all documents' signatures. What each reads, and its memory: `signing.unit` and `ngrams` one shard's texts;
`candidates` one partition of one band's keys, 40 bytes for each of at most 4 million documents, and blocks of rows;
`unite` 100 bytes per document of all shards; `repeat_units` one shard's texts, or one million pieces. The units go to
the workshop's executor: where one machine is too small, Ray spreads the bands over many.

Only the signatures are kept across changed thresholds: their keys know neither standings nor limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.core.digest import digest_code, digest_json
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import Placement, UnitRecord, Workshop, map_units
from tasks.curate.dedup.candidates import (
    MET,
    BandArgs,
    EqualTextsArgs,
    MetArgs,
    VerifyArgs,
    group_bands,
    group_equal_texts,
    list_met,
    verify_groups,
)
from tasks.curate.dedup.config import Duplicates, NearDuplicates
from tasks.curate.dedup.fingerprints import PRINTS, STANDING, AdoptArgs, PrintArgs, adopt, print_shard
from tasks.curate.dedup.groups import partitions_for
from tasks.curate.dedup.library import Library, Shelf
from tasks.curate.dedup.ngrams import SetsArgs, write_sets
from tasks.curate.dedup.repeating import drop_all_cut, find_cuts
from tasks.curate.dedup.run import CODE, SIGN_CODE, STAGE, Run, digest_records, folders
from tasks.curate.dedup.signing.signatures import Shape
from tasks.curate.dedup.signing.unit import SignArgs, sign_shard
from tasks.curate.dedup.tables import UniteArgs, duplicates_file, unite
from tasks.curate.published.documents import FINGERPRINTS, KEPT
from tasks.curate.published.funnel import DuplicateCounts
from tasks.curate.statistics.shards import TextSource

# Keys, of documents times bands, that are worth a unit of their own: less than a second of work.
_UNIT_KEYS = 1 << 20


@dataclass(frozen=True)
class Candidates:
    """A shard to look for duplicates in.

    `texts`: those that are compared, and `digests` of all they follow from. `standing`: Parquet with the same rows, id,
    source, passes (bool) and quality (float64); `standing_digest`: of that file.
    """

    texts: TextSource
    digests: Mapping[str, str]
    standing: Path
    standing_digest: str


@dataclass(frozen=True)
class Found:
    """What deduplication found, shard by shard in the order given.

    `tables`: the tables of duplicates (see `tables.unite`). `cuts`: the texts of survivors without the paragraphs and
    lines that repeat, null where nothing is cut. `fingerprints`: what later versions need of the survivors, by the name
    of the shard's file. `counts`: how many (None: nothing was looked for).
    """

    tables: Sequence[Placement | None]
    cuts: Sequence[Placement | None]
    fingerprints: Mapping[str, Placement]
    counts: DuplicateCounts | None

    @staticmethod
    def nothing(shards: int) -> "Found":
        """Return what is found in so many shards when nothing is looked for."""
        return Found([None] * shards, [None] * shards, {}, None)


def find_duplicates(workshop: Workshop, shards: Sequence[Candidates], params: Duplicates, seed: int) -> Found:
    """Find who survives for each document that passes the rules, over all shards at once.

    Raises:
        ConfigError: a folder of `against` was signed in another way than this run signs.
        DataError: a folder of `against` is no output of curate, or holds no fingerprints.
    """
    shape = shape_of(params.near, seed)
    run = Run(workshop, params, digest_code(CODE))
    signed = _sign(workshop, shards, shape)
    library, known = _library(run, shards, signed, shape)
    # 1. Equal texts; one of them stands for the others in what follows.
    equal = _equal_texts(run, library, known) if params.documents else []
    # 2. Near duplicates: who meets whom in a band, and who of them is similar enough.
    near, sets = _near(run, library, known, shape, equal)
    # 3. Clusters, and who survives.
    united = _unite(run, library, known, equal, near, sets)
    tables = [united.file(duplicates_file(i)) for i in range(len(shards))]
    # 4. What repeats across the survivors; what later versions need of them.
    cuts, cut = find_cuts(run, library.of_this_run, known, tables)
    tables, emptied = drop_all_cut(run, tables, cuts)
    prints = _fingerprints(run, library.of_this_run, known, tables, shape)
    counts = DuplicateCounts.model_validate({**united.summary, **cut, **emptied})
    return Found(tables, cuts, prints, counts)


def versions(params: Duplicates | None) -> dict[str, str]:
    """Return the digests of the earlier versions that are read: their paths alone do not say what is in them.

    Raises:
        DataError: a folder is no output of curate, or holds no fingerprints.
    """
    names = params.against if params is not None else ()
    return {f"against/{i}": _published(Path(name)).output for i, name in enumerate(names)}


def shape_of(near: NearDuplicates | None, seed: int) -> Shape | None:
    """Return what decides the signatures of these params; datatrove's know no seed."""
    if near is None:
        return None
    return Shape(near.kind, near.ngram_words, near.bands, near.rows, seed if near.kind == "fast" else 1)


def _sign(workshop: Workshop, shards: Sequence[Candidates], shape: Shape | None) -> list[UnitRecord]:
    values, code = {"shape": asdict(shape) if shape else None}, digest_code(SIGN_CODE)
    return map_units(
        workshop,
        stage=STAGE,
        label="curate: signatures",
        work=sign_shard,
        units=[
            (stage_key("curate.sign", shard.digests, values, code), SignArgs(shard.texts, shape)) for shard in shards
        ],
        packages=SIGN_CODE,
    )


def _library(
    run: Run, shards: Sequence[Candidates], signed: list[UnitRecord], shape: Shape | None
) -> tuple[Library, str]:
    """Return the documents of this run and of earlier versions, and the digest of all that is known of them."""
    shelves = [
        Shelf(record.folder, shard.standing, shard.texts, record.summary["documents"])
        for shard, record in zip(shards, signed, strict=True)
    ]
    known = [[digest_records(record), shard.standing_digest] for shard, record in zip(shards, signed, strict=True)]
    for shelf, digest in _earlier(run, shape):
        shelves.append(shelf)
        known.append([digest, str(shelf.version)])
    within_source = run.params.scope == "within_source"
    return Library(tuple(shelves), within_source), digest_json([known, within_source])


def _earlier(run: Run, shape: Shape | None) -> list[tuple[Shelf, str]]:
    versions = [(Path(name).absolute(), _published(Path(name))) for name in run.params.against]
    for folder, manifest in versions:
        manifest.verify(folder, f"{KEPT}/")  # fingerprints are looked at by who adopts them
    files = [
        (folder, manifest.output, record)
        for folder, manifest in versions
        for record in manifest.files
        if record.path.startswith(f"{FINGERPRINTS}/")
    ]
    values = {"shape": asdict(shape) if shape else None}
    adopted = run.map(
        "earlier versions",
        adopt,
        [
            ({"fingerprints": file.digest}, values, AdoptArgs(folder / file.path, file.digest, shape))
            for folder, _, file in files
        ],
    )
    shelves = []
    for (folder, version, file), record in zip(files, adopted, strict=True):
        texts = TextSource(folder / KEPT / Path(file.path).name)
        shelf = Shelf(record.folder, record.folder / STANDING, texts, record.summary["documents"], version)
        shelves.append((shelf, digest_records(record)))
    return shelves


def _published(folder: Path) -> Manifest:
    manifest = Manifest.read(folder)
    if not any(record.path.startswith(f"{FINGERPRINTS}/") for record in manifest.files):
        raise DataError(
            f"{folder}: published by {manifest.stage}, with no {FINGERPRINTS}/ in it. Name in duplicates.against folders "
            "that curate wrote with duplicates on."
        )
    return manifest


def _equal_texts(run: Run, library: Library, known: str) -> list[UnitRecord]:
    partitions = partitions_for(library.documents)
    units = [
        ({"library": known}, {"partition": [i, partitions]}, EqualTextsArgs(library, i, partitions))
        for i in range(partitions)
    ]
    return run.map("equal texts", group_equal_texts, units)


def _bands(run: Run, library: Library, known: str, shape: Shape, equal: list[UnitRecord]) -> list[UnitRecord]:
    partitions, texts = partitions_for(library.documents), folders(equal)
    inputs = {"library": known, "equal": digest_records(*equal)}
    each = max(1, _UNIT_KEYS // max(library.documents, 1))
    parts = [tuple(range(first, min(first + each, shape.bands))) for first in range(0, shape.bands, each)]
    units = [
        (
            inputs,
            {"shape": asdict(shape), "bands": bands, "partition": [i, partitions]},
            BandArgs(library, texts, shape, bands, i, partitions),
        )
        for bands in parts
        for i in range(partitions)
    ]
    return run.map("bands", group_bands, units)


def _sets(run: Run, library: Library, known: str, shape: Shape, bands: list[UnitRecord]) -> list[UnitRecord]:
    [met] = run.map("who met", list_met, [({"bands": digest_records(*bands)}, {}, MetArgs(folders(bands)))])
    inputs, starts = {"library": known, "met": digest_records(met)}, library.starts.tolist()
    units = [
        (inputs, {"shelf": i, "shape": asdict(shape)}, SetsArgs(shelf, starts[i], met.folder / MET, shape))
        for i, shelf in enumerate(library.shelves)
    ]
    return run.map("n-grams of those that met", write_sets, units)


def _verified(
    run: Run,
    library: Library,
    known: str,
    groups: list[UnitRecord],
    sets: list[UnitRecord] | None,
    limit: float,
) -> list[UnitRecord]:
    of_sets = None if sets is None else folders(sets)
    units = [
        (
            {"library": known, "groups": digest_records(record), "sets": digest_records(*(sets or ()))},
            {"min_jaccard": limit},
            VerifyArgs(library, record.folder, of_sets, limit),
        )
        for record in groups
    ]
    return run.map("similarities", verify_groups, units)


def _unite(
    run: Run,
    library: Library,
    known: str,
    equal: list[UnitRecord],
    near: list[UnitRecord],
    sets: list[UnitRecord] | None,
) -> UnitRecord:
    rehydration = run.params.rehydration
    inputs = {
        "library": known,
        "equal": digest_records(*equal),
        "near": digest_records(*near),
        "sets": digest_records(*(sets or ())),
    }
    values = {"rehydration": rehydration.model_dump(mode="json") if rehydration else None, "exact": sets is not None}
    places = folders(equal), folders(near), None if sets is None else folders(sets)
    [record] = run.map("clusters", unite, [(inputs, values, UniteArgs(library, *places, rehydration))])
    return record


def _near(
    run: Run, library: Library, known: str, shape: Shape | None, equal: list[UnitRecord]
) -> tuple[list[UnitRecord], list[UnitRecord] | None]:
    """Return the groups of near duplicates, and the sets of n-grams if these decided."""
    near = run.params.near
    if near is None or shape is None:
        return [], None
    groups = _bands(run, library, known, shape, equal)
    sets = _sets(run, library, known, shape, groups) if near.verify == "exact" else None
    if near.min_jaccard is not None:
        groups = _verified(run, library, known, groups, sets, near.min_jaccard)
    return groups, sets


def _fingerprints(
    run: Run, library: Library, known: str, tables: Sequence[Placement], shape: Shape | None
) -> dict[str, Placement]:
    records = run.map(
        "fingerprints",
        print_shard,
        [
            ({"library": known, "duplicates": table.record.digest}, {"shelf": i}, PrintArgs(shelf, table.source, shape))
            for i, (shelf, table) in enumerate(zip(library.shelves, tables, strict=True))
        ],
    )
    names = (shelf.texts.documents.name for shelf in library.shelves)
    return {name: record.file(PRINTS) for name, record in zip(names, records, strict=True)}
