"""The driver of the tokenize stage: a tokenizer, then every shard encoded, then packed per domain and split."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.cluster.published.assignments import ASSIGNMENTS
from tasks.cluster.published.domains import Domains
from tasks.cluster.shards import require_kept
from tasks.core.account import Account
from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle
from tasks.core.manifest import Manifest
from tasks.curate.published.documents import KEPT
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, StageRun, stage_input
from tasks.runtime.step import Hold, Step
from tasks.tokenize.aligned import AlignedPair
from tasks.tokenize.codec import CodecFile, codec_of, load_codec
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.encoding import EncodeArgs, encode_shard
from tasks.tokenize.learning import LearnTokenizerArgs, TrainedBpe, learn
from tasks.tokenize.packing import PackArgs, PoolIndexArgs, index, pack_split
from tasks.tokenize.prefixed import prefixed_paths
from tasks.tokenize.published import SPLITS, TOKENIZER_FILE, PackedDomain, PackedSplit, Split
from tasks.tokenize.published_documents import DOCUMENTS_FILE
from tasks.tokenize.taking import TokenizerFile, take

STAGE = "tokenize"
TRAINED: Split = "train"
HELD = Hold(codec_of, load_codec)
LEARN = Step("tokenize.learn", "tokenize: tokenizer", learn)
TAKE = Step("tokenize.take", "tokenize: tokenizer", take)
ENCODE = Step("tokenize.encode", "tokenize: encode", encode_shard, hold=HELD)
PACK = Step("tokenize.pack", "tokenize: pack", pack_split, hold=HELD)
INDEX = Step("tokenize.index", "tokenize: index", index, hold=HELD)


def run(params: TokenizeParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train (or take) a tokenizer, encode every kept document, and pack the tokens per domain and split."""
    curated, clustered = stage_input(workshop, inputs, "curate"), stage_input(workshop, inputs, "cluster")
    _require_one_lineage(curated, clustered)
    given = _given(params, workshop)
    digests = {"curate": curated.digest, "cluster": clustered.digest}
    digests |= {} if given is None else {"tokenizer": given.digest}
    stage = StageRun(workshop, STAGE, __name__, params, digests, output)
    if (found := stage.unchanged()) is not None:
        return found
    pairs, names = _pairs(curated, clustered), clustered.read(Domains).names
    _require_columns(params, pairs[0].shard)
    learned = _tokenizer(params, pairs, given, workshop)
    codec = CodecFile(learned.file(TOKENIZER_FILE), params.document_end)
    packs = _packed(params, pairs, codec, names, workshop)
    domains = _domains(packs)
    documents = tuple(record.file(DOCUMENTS_FILE) for record in packs.values())
    indexed = INDEX.one(workshop, PoolIndexArgs(codec, domains, documents))
    files = {handle.name: handle for handle in indexed.tree} | {TOKENIZER_FILE: codec.tokenizer}
    files |= {
        name: packs[domain.name, split].file(name)
        for domain in domains
        for split, own in domain.splits.items()
        for name in (*own.files, *_prefixed(params, own, split))
    }
    return stage.publish(
        files, account=_account(clustered.manifest, packs), summary=_summary(domains, learned, indexed)
    )


def _require_columns(params: TokenizeParams, kept: Handle) -> None:
    """Refuse names of columns that no document has, before anything is encoded.

    Raises:
        ConfigError: how many, the first, and the numbers that there are.
    """
    if not params.document_columns:
        return
    columns = pq.read_schema(kept.local())
    if missing := [name for name in params.document_columns if name not in columns.names]:
        numbers = [one.name for one in columns if pa.types.is_integer(one.type) or pa.types.is_floating(one.type)]
        raise ConfigError(
            f"tokenize.document_columns: {len(missing)} of {len(params.document_columns)} are columns of no document; "
            f"first: {missing[0]}. Numbers of documents are {', '.join(numbers)}; an annotation in curate adds another."
        )


def _given(params: TokenizeParams, workshop: Workshop) -> Handle | None:
    """Return the user's tokenizer: part of the input, because a file can change its content."""
    match params.tokenizer:
        case TrainedBpe():
            return None
        case TokenizerFile() as own:
            path = Path(own.path)
            if not path.is_file():
                raise ConfigError(f"tokenize.tokenizer.path: {path} does not exist. Name a tokenizer.json.")
            return file_handle(path)
        case _:
            assert_never(params.tokenizer)


def _tokenizer(
    params: TokenizeParams, pairs: tuple[AlignedPair, ...], given: Handle | None, workshop: Workshop
) -> UnitRecord:
    match params.tokenizer:
        case TrainedBpe() as config:
            return LEARN.one(workshop, LearnTokenizerArgs(pairs, config, params.seed))
        case TokenizerFile() as own:
            assert given is not None, "it was looked up"
            return TAKE.one(workshop, CodecFile(given, own.document_end))
        case _:
            assert_never(params.tokenizer)


def _packed(
    params: TokenizeParams,
    pairs: tuple[AlignedPair, ...],
    codec: CodecFile,
    names: Sequence[str],
    workshop: Workshop,
) -> dict[tuple[str, Split], UnitRecord]:
    """Return the record of every domain and split."""
    encoded = tuple(record.tree for record in ENCODE.map(workshop, [EncodeArgs(pair.shard, codec) for pair in pairs]))
    assignments = tuple(pair.assignments for pair in pairs)
    wanted = [(number, name, split) for number, name in enumerate(names) for split in SPLITS]
    every = tuple(pair.shard for pair in pairs)
    units = []
    for number, name, split in wanted:
        # Nothing but training reads metadata.
        metadata = params.metadata if split == TRAINED else None
        shards = every if params.document_columns or metadata is not None else ()
        own = (params.seed, params.document_columns, shards, metadata)
        units.append(PackArgs(encoded, assignments, codec, number, name, split, *own))
    packs = PACK.map(workshop, units)
    return {(name, split): record for (_, name, split), record in zip(wanted, packs, strict=True)}


def _pairs(curated: StageInput, clustered: StageInput) -> tuple[AlignedPair, ...]:
    kept, assigned = curated.tree(f"{KEPT}/"), clustered.tree(f"{ASSIGNMENTS}/", Domains.FILE)
    require_kept(curated.manifest, curated.location)
    return tuple(AlignedPair(shard, assigned[f"{ASSIGNMENTS}/{shard.stem}.parquet"]) for shard in kept)


def _domains(packs: Mapping[tuple[str, Split], UnitRecord]) -> tuple[PackedDomain, ...]:
    names = list(dict.fromkeys(name for name, _ in packs))
    return tuple(
        PackedDomain(
            name=name,
            index=number,
            splits={split: PackedSplit.model_validate(packs[name, split].summary) for split in SPLITS},
        )
        for number, name in enumerate(names)
    )


def _prefixed(params: TokenizeParams, own: PackedSplit, split: Split) -> tuple[str, ...]:
    """Return the files of a split's documents behind their metadata."""
    return prefixed_paths(own.file) if params.metadata is not None and split == TRAINED else ()


def _summary(domains: Sequence[PackedDomain], learned: UnitRecord, indexed: UnitRecord) -> dict[str, Any]:
    packed = {
        domain.name: {
            split: own.model_dump(exclude={"file", "starts", "columns", "ids"}) for split, own in domain.splits.items()
        }
        for domain in domains
    }
    return {**indexed.summary, **learned.summary, "domains": packed}


def _account(clustered: Manifest, packs: Mapping[tuple[str, Split], UnitRecord]) -> Account:
    """Return what cluster kept against what was packed."""
    packed = sum((record.account for record in packs.values() if record.account), Account())
    assert clustered.account is not None, "cluster counts documents"
    return Account(clustered.account.kept, packed.kept)


def _require_one_lineage(curated: StageInput, clustered: StageInput) -> None:
    made_from = clustered.manifest.inputs.get("curate", "none")
    if made_from != curated.digest:
        raise DataError(
            f"{clustered.location}: it was made from another curate output ({made_from[:12]}) than the one given "
            f"({curated.digest[:12]}). Run cluster again on this one."
        )
