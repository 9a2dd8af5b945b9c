"""The driver of the tokenize stage: a tokenizer, then every shard encoded, then packed per domain and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from tasks.cluster.published.assignments import ASSIGNMENTS
from tasks.cluster.published.domains import Domains
from tasks.cluster.shards import kept_shards
from tasks.core.account import Account
from tasks.core.digest import digest_code, digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import StageInput, UnitRecord, UnitWork, Workshop, map_units, publish, stage_input, unchanged
from tasks.curate.published.documents import KEPT
from tasks.tokenize import units
from tasks.tokenize.config import TokenizeParams, TokenizerFile, TrainedBpe
from tasks.tokenize.published import SPLITS, TOKENIZER_FILE, PackedDomain, PackedSplit, Split
from tasks.tokenize.published_documents import DOCUMENTS_FILE
from tasks.tokenize.tokenizer import DOCUMENT_END
from tasks.tokenize.units import Pair

STAGE = "tokenize"
CODE = ("tasks.core", "tasks.tokenize", "tasks.cluster")
LEARN, ENCODE, PACK, INDEX = "tokenize: tokenizer", "tokenize: encode", "tokenize: pack", "tokenize: index"


@dataclass(frozen=True)
class _Found:
    """The domains' names in order, and the digest of what cluster published."""

    names: Sequence[str]
    digest: str


def run(params: TokenizeParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train (or take) a tokenizer, encode every kept document, and pack the tokens per domain and split."""
    curated, clustered = stage_input(inputs, "curate"), stage_input(inputs, "cluster")
    _require_one_lineage(curated, clustered)
    digests = {"curate": curated.digest, "cluster": clustered.digest} | _given(params)
    values, code = params.model_dump(mode="json"), digest_code(CODE)
    if found := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code):
        workshop.observer.say("tokenize: unchanged (same inputs, params and code), taken as it is")
        return found
    folder = clustered.verified(f"{ASSIGNMENTS}/", Domains.FILE)
    pairs = _pairs(curated, folder)
    learned = _tokenizer(params, pairs, clustered.digest, workshop)
    packs = _packed(params, pairs, learned, _Found(Domains.read(folder).names, clustered.digest), workshop)
    domains = _domains(packs)
    indexed = _indexed(params, learned, packs, domains, workshop)
    files = {record.path: indexed.file(record.path) for record in indexed.files}
    files |= {
        own.file: packs[domain.name, split].file(own.file) for domain in domains for split, own in domain.splits.items()
    }
    summary = _summary(domains, learned, indexed)
    account = _account(clustered.manifest, packs)
    return publish(output, files, lambda records: Manifest(STAGE, digests, values, code, records, account, summary))


def _given(params: TokenizeParams) -> dict[str, str]:
    """Return the digest of the user's tokenizer: part of the input, because a file can change its content."""
    match params.tokenizer:
        case TrainedBpe():
            return {}
        case TokenizerFile():
            path = Path(params.tokenizer.path)
            if not path.is_file():
                raise ConfigError(f"tokenize.tokenizer.path: {path} does not exist. Name a tokenizer.json.")
            return {"tokenizer": digest_file(path)}
        case _:
            assert_never(params.tokenizer)


def _tokenizer(params: TokenizeParams, pairs: tuple[Pair, ...], clustered: str, workshop: Workshop) -> UnitRecord:
    choice = params.tokenizer.model_dump(mode="json")
    match params.tokenizer:
        case TrainedBpe():
            contents = {pair.shard.number: pair.shard.digest for pair in pairs} | {"cluster": clustered}
            key = _key("train", contents, choice | {"seed": params.seed})
            return _map(workshop, LEARN, units.learn, [(key, units.LearnArgs(pairs, params.tokenizer, params.seed))])[0]
        case TokenizerFile():
            take = units.TakeArgs(Path(params.tokenizer.path).absolute(), params.tokenizer.document_end)
            return _map(workshop, LEARN, units.take, [(_key("take", _given(params), choice), take)])[0]
        case _:
            assert_never(params.tokenizer)


def _packed(
    params: TokenizeParams,
    pairs: tuple[Pair, ...],
    learned: UnitRecord,
    domains: _Found,
    workshop: Workshop,
) -> dict[tuple[str, Split], UnitRecord]:
    """Return the record of every domain and split."""
    tokenizer, end = learned.folder / TOKENIZER_FILE, document_end(params)
    look = {"document_end": end, "tokenizer": learned.file(TOKENIZER_FILE).record.digest}
    keys = [_key("encode", {"shard": pair.shard.digest}, look) for pair in pairs]
    args = [units.EncodeArgs(pair.shard, tokenizer, end) for pair in pairs]
    records = _map(workshop, ENCODE, units.encode, list(zip(keys, args, strict=True)))
    encoded = tuple(record.folder for record in records)
    wanted = [(index, name, split) for index, name in enumerate(domains.names) for split in SPLITS]
    contents = {"cluster": domains.digest} | {pair.shard.number: key for pair, key in zip(pairs, keys, strict=True)}
    orders = [
        (
            _key("pack", contents, look | {"seed": params.seed, "domain": name, "index": index, "split": split}),
            units.PackArgs(pairs, encoded, tokenizer, end, index, name, split, params.seed),
        )
        for index, name, split in wanted
    ]
    packs = _map(workshop, PACK, units.pack_split, orders)
    return {(name, split): record for (_, name, split), record in zip(wanted, packs, strict=True)}


def _indexed(
    params: TokenizeParams,
    learned: UnitRecord,
    packs: Mapping[tuple[str, Split], UnitRecord],
    domains: tuple[PackedDomain, ...],
    workshop: Workshop,
) -> UnitRecord:
    tables = {f"{name}/{split}": record.file(DOCUMENTS_FILE) for (name, split), record in packs.items()}
    contents = {name: table.record.digest for name, table in tables.items()}
    contents["tokenizer"] = learned.file(TOKENIZER_FILE).record.digest
    look = {"document_end": document_end(params), "domains": [domain.model_dump(mode="json") for domain in domains]}
    documents = tuple(record.folder for record in packs.values())
    args = units.IndexArgs(learned.folder / TOKENIZER_FILE, document_end(params), domains, documents)
    return _map(workshop, INDEX, units.index, [(_key("index", contents, look), args)])[0]


def document_end(params: TokenizeParams) -> str:
    """Return the special token that ends a document."""
    return params.tokenizer.document_end if isinstance(params.tokenizer, TokenizerFile) else DOCUMENT_END


def _pairs(curated: StageInput, clustered: Path) -> tuple[Pair, ...]:
    shards = kept_shards(curated.verified(f"{KEPT}/"), curated.manifest)
    return tuple(Pair(shard, clustered / ASSIGNMENTS / f"{shard.number}.parquet") for shard in shards)


def _domains(packs: Mapping[tuple[str, Split], UnitRecord]) -> tuple[PackedDomain, ...]:
    names = list(dict.fromkeys(name for name, _ in packs))
    return tuple(
        PackedDomain(
            name=name,
            index=index,
            splits={split: PackedSplit.model_validate(packs[name, split].summary) for split in SPLITS},
        )
        for index, name in enumerate(names)
    )


def _summary(domains: Sequence[PackedDomain], learned: UnitRecord, indexed: UnitRecord) -> dict[str, Any]:
    packed = {
        domain.name: {split: own.model_dump(exclude={"file"}) for split, own in domain.splits.items()}
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
            f"{clustered.folder}: it was made from another curate output ({made_from[:12]}) than the one given "
            f"({curated.digest[:12]}). Run cluster again on this one."
        )


def _key(step: str, inputs: Mapping[str, str], params: Mapping[str, object]) -> str:
    return stage_key(f"{STAGE}.{step}", inputs, params, digest_code(CODE))


def _map(workshop: Workshop, label: str, work: UnitWork, orders: Sequence[tuple[str, object]]) -> list[UnitRecord]:
    return map_units(workshop, stage=STAGE, label=label, work=work, units=orders, packages=CODE)
