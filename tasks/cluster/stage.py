"""The driver of the cluster stage: learn terms, embed per shard, k-means, decide. A step never redoes earlier ones.

Domains that the user brings need the last step alone.
"""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import assert_never

from tasks.cluster import prune, units
from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.embedders import transformer
from tasks.cluster.embedders.tfidf import TfidfEmbedder
from tasks.cluster.embedders.transformer import TransformerEmbedder
from tasks.cluster.shards import Shard, kept_shards, score_columns
from tasks.cluster.sources import SourceDomains
from tasks.core.digest import digest_code, digest_json
from tasks.core.manifest import Manifest, stage_key
from tasks.core.scripts import icu_version
from tasks.core.stage import UnitRecord, UnitWork, Workshop, map_units, publish, stage_input, unchanged
from tasks.curate.published.documents import KEPT

STAGE = "cluster"
CODE = ("tasks.core", "tasks.cluster")
LEARN, EMBED, KMEANS, DECIDE = "cluster: learn terms", "cluster: embed", "cluster: k-means", "cluster: domains"


def run(params: ClusterParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Give every kept document a domain and a side of the split, or a reason why its cluster was pruned."""
    curated = stage_input(inputs, "curate")
    digests, values, code = (
        {"curate": curated.digest, "icu": digest_json(icu_version())} | _model(params),
        params.model_dump(mode="json"),
        digest_code(CODE),
    )
    if found := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code):
        workshop.observer.say("cluster: unchanged (same inputs, params and code), taken as it is")
        return found
    shards = kept_shards(curated.verified(f"{KEPT}/"), curated.manifest)
    decided = _decided(params, shards, workshop)
    if clear := decided.summary["clear_sources"]:
        workshop.observer.say(
            f"cluster: the documents have {len(clear)} named sources, each large enough to be a domain "
            f"({', '.join(clear)}); cluster.domains.kind=source takes them as they are"
        )
    return publish(
        output,
        {record.path: decided.file(record.path) for record in decided.files},
        lambda files: Manifest(STAGE, digests, values, code, files, decided.account, decided.summary, _environment()),
    )


def _model(params: ClusterParams) -> dict[str, str]:
    """Return the identity of a model the user brings: part of the input, because a folder can change its content."""
    if not isinstance(params.domains, FoundDomains):
        return {}
    match params.domains.embedder:
        case TfidfEmbedder():
            return {}
        case TransformerEmbedder() as embedder:
            return {"embedder": transformer.identity(embedder)}
        case _:
            assert_never(params.domains.embedder)


def _decided(params: ClusterParams, shards: tuple[Shard, ...], workshop: Workshop) -> UnitRecord:
    contents, found = {shard.number: shard.digest for shard in shards}, None
    match params.domains:
        case FoundDomains() as config:
            scores = score_columns(shards, prune.columns(config.prune))
            embedded = _embedded(params, config, shards, workshop)
            contents["partition"], found = _grouped(params, config, embedded, workshop)
        case SourceDomains():
            scores = score_columns(shards, ())
        case _:
            assert_never(params.domains)
    args = units.AssignArgs(shards, found, scores, params)
    return _map(workshop, DECIDE, units.assign, [(_key("decide", contents, params.model_dump(mode="json")), args)])[0]


def _embedded(
    params: ClusterParams, config: FoundDomains, shards: tuple[Shard, ...], workshop: Workshop
) -> units.Embedded:
    look = {"embedder": config.embedder.model_dump(mode="json"), "max_chars": params.max_chars}
    embedder, identity, learned = config.embedder, _model(params), None
    if isinstance(embedder, TfidfEmbedder):
        contents = {shard.number: shard.digest for shard in shards}
        identity = {"learned": _key("learn", contents, look | {"seed": params.seed})}
        learn = units.LearnArgs(shards, embedder, params.max_chars, params.seed)
        learned = _map(workshop, LEARN, units.learn, [(identity["learned"], learn)])[0].folder
    else:
        embedder = transformer.located(embedder)
    keys = [_key("embed", identity | {"shard": shard.digest}, look) for shard in shards]
    args = [units.EmbedArgs(shard, embedder, params.max_chars, learned) for shard in shards]
    records = _map(workshop, EMBED, units.embed, list(zip(keys, args, strict=True)))
    return units.Embedded(shards, tuple(record.folder / units.VECTORS for record in records), digest_json(keys))


def _grouped(
    params: ClusterParams, config: FoundDomains, embedded: units.Embedded, workshop: Workshop
) -> tuple[str, units.Found]:
    """Return the key and the place of the partition by k-means."""
    look = {"seed": params.seed, "kmeans": config.kmeans.model_dump(mode="json")}
    key = _key("kmeans", {"vectors": embedded.key}, look)
    record = _map(workshop, KMEANS, units.group, [(key, units.GroupArgs(embedded, config.kmeans, params.seed))])[0]
    return key, units.Found(embedded, record.folder)


def _key(step: str, inputs: Mapping[str, str], params: Mapping[str, object]) -> str:
    return stage_key(f"{STAGE}.{step}", inputs, {**params, "icu": icu_version()}, digest_code(CODE))


def _map(workshop: Workshop, label: str, work: UnitWork, orders: Sequence[tuple[str, object]]) -> list[UnitRecord]:
    return map_units(workshop, stage=STAGE, label=label, work=work, units=orders, packages=CODE)


def _environment() -> dict[str, str]:
    """Return what the last bits depend on: versions, and the BLAS with the instruction set it chose."""
    # Both bring a BLAS of their own; loaded here, they are named whatever else this process has imported.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    blas = {
        f"{lib['internal_api']} {lib['version']} {lib.get('architecture')}"
        for lib in threadpool_info()
        if lib["user_api"] == "blas"
    }
    return {
        **{package: version(package) for package in ("numpy", "scipy", "scikit-learn")},
        "icu": icu_version(),
        "blas": ", ".join(sorted(blas)),
        "machine": platform.machine(),
        "threads_per_worker": "1",
    }
