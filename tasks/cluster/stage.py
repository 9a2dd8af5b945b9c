"""The driver of the cluster stage: learn terms, embed per shard, k-means, decide. A step never redoes earlier ones."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import assert_never

from tasks.cluster import prune, units
from tasks.cluster.config import ClusterParams, TfidfEmbedder, TransformerEmbedder
from tasks.cluster.embedders import transformer
from tasks.cluster.shards import Shard, kept_shards, score_columns
from tasks.core.digest import digest_code, digest_json
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import UnitRecord, UnitWork, Workshop, map_units, publish, unchanged

STAGE = "cluster"
CODE = ("tasks.core", "tasks.cluster")
LEARN, EMBED, KMEANS, DECIDE = "cluster: learn terms", "cluster: embed", "cluster: k-means", "cluster: domains"


def run(params: ClusterParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Give every kept document a domain and a side of the split, or a reason why its cluster was pruned."""
    curated = Manifest.read(inputs["curate"])
    digests, values, code = (
        {"curate": curated.output} | _model(params),
        params.model_dump(mode="json"),
        digest_code(CODE),
    )
    if found := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code):
        workshop.observer.say("cluster: unchanged (same inputs, params and code), taken as it is")
        return found
    shards = kept_shards(inputs["curate"], curated)
    scores = score_columns(shards, prune.columns(params.prune))
    decided = _decided(params, _embedded(params, shards, workshop), scores, workshop)
    return publish(
        output,
        {record.path: decided.file(record.path) for record in decided.files},
        lambda files: Manifest(STAGE, digests, values, code, files, decided.account, decided.summary, _environment()),
    )


def _model(params: ClusterParams) -> dict[str, str]:
    """Return the identity of a model the user brings: part of the input, because a folder can change its content."""
    match params.embedder:
        case TfidfEmbedder():
            return {}
        case TransformerEmbedder():
            return {"embedder": transformer.identity(params.embedder)}
        case _:
            assert_never(params.embedder)


def _embedded(params: ClusterParams, shards: tuple[Shard, ...], workshop: Workshop) -> units.Embedded:
    look = {"embedder": params.embedder.model_dump(mode="json"), "max_chars": params.max_chars}
    embedder, identity, learned = params.embedder, _model(params), None
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


def _decided(
    params: ClusterParams, embedded: units.Embedded, scores: tuple[str, ...], workshop: Workshop
) -> UnitRecord:
    look = {"seed": params.seed, "kmeans": params.kmeans.model_dump(mode="json")}
    key = _key("kmeans", {"vectors": embedded.key}, look)
    grouped = _map(workshop, KMEANS, units.group, [(key, units.GroupArgs(embedded, params.kmeans, params.seed))])[0]
    contents = {shard.number: shard.digest for shard in embedded.shards}
    decision = params.model_dump(mode="json", include={"seed", "prune", "merge", "split", "max_chars"})
    args = units.AssignArgs(embedded, grouped.folder, scores, params)
    return _map(workshop, DECIDE, units.assign, [(_key("decide", contents | {"partition": key}, decision), args)])[0]


def _key(step: str, inputs: Mapping[str, str], params: Mapping[str, object]) -> str:
    return stage_key(f"{STAGE}.{step}", inputs, params, digest_code(CODE))


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
        "blas": ", ".join(sorted(blas)),
        "machine": platform.machine(),
        "threads_per_worker": "1",
    }
