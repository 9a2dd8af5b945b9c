"""The driver of the cluster stage: learn terms, embed per shard, k-means, decide. A step never redoes earlier ones.

Domains that the user brings need the last step alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from tasks.cluster import prune
from tasks.cluster.assigning import AssignArgs, FoundInClusters, assign
from tasks.cluster.config import ClusterParams, Domains, FoundDomains
from tasks.cluster.naming import name_questions
from tasks.cluster.partitioning import GroupArgs, group
from tasks.cluster.published import domains as published
from tasks.cluster.shards import require_kept, score_columns
from tasks.cluster.sources import SourceDomains
from tasks.cluster.taxonomy import steps
from tasks.cluster.taxonomy.config import TaxonomyDomains
from tasks.cluster.taxonomy.grouping import FoundTopics
from tasks.cluster.taxonomy.steps import ANSWERS, UsersFiles
from tasks.core.handles import Handle, Tree
from tasks.core.manifest import Manifest
from tasks.curate.published.documents import KEPT
from tasks.embedding import kinds as embedders
from tasks.embedding.unit import VECTORS, EmbedArgs, EmbedderFiles, LearnArgs, embed, embedder_of, learn, load
from tasks.runtime.asking import answers_file
from tasks.runtime.context import Workshop
from tasks.runtime.files import folder_tree
from tasks.runtime.stages import StageRun, environment_over, stage_input
from tasks.runtime.step import Hold, Step

STAGE = "cluster"
LEARN = Step("cluster.learn", "cluster: learn terms", learn)
EMBED = Step("cluster.embed", "cluster: embed", embed, hold=Hold(embedder_of, load))
KMEANS = Step("cluster.kmeans", "cluster: k-means", group)
DECIDE = Step("cluster.decide", "cluster: domains", assign)


def run(params: ClusterParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Give every kept document a domain and a side of the split, or a reason why its cluster was pruned."""
    curated = stage_input(workshop, inputs, "curate")
    model = _users_model(params)
    files = UsersFiles() if isinstance(params.domains, SourceDomains) else steps.users_files(params.domains)
    digests = {"curate": curated.digest, **({} if model is None else {"embedder": model.digest}), **files.digests}
    stage = StageRun(workshop, STAGE, __name__, params, digests, output)
    if (unchanged := stage.unchanged()) is not None:
        return unchanged
    kept = curated.tree(f"{KEPT}/")
    require_kept(curated.manifest, curated.location)
    found = None
    if isinstance(params.domains, TaxonomyDomains):
        found = steps.taxonomy(workshop, params.domains, files, tuple(kept), params.max_chars, params.seed)
    args = _assigned(params, kept, model, found, workshop)
    answers = _names(params.domains, args, files, workshop)
    decided = DECIDE.one(workshop, replace(args, answers=answers))
    if unnamed := decided.summary.get("unnamed"):
        workshop.observer.say(
            f"cluster: {unnamed} of {len(decided.summary['domains'])} domains have no name that can be read in an answer; "
            "they are named by their words"
        )
    if clear := decided.summary["clear_sources"]:
        workshop.observer.say(
            f"cluster: the documents have {len(clear)} named sources, each large enough to be a domain "
            f"({', '.join(clear)}); cluster.domains.kind=source takes them as they are"
        )
    for merged in decided.summary.get("merged_buckets", ()):
        workshop.observer.say(f"cluster: {merged}")
    return stage.publish(
        {
            **{handle.name: handle for handle in decided.tree},
            **({} if found is None else found.files),
            **({} if answers is None else {ANSWERS: answers}),
        },
        account=decided.account,
        summary=decided.summary,
        environment=environment_over([decided]),
    )


def _users_model(params: ClusterParams) -> Tree | None:
    """Return the files of the trained model that embeds, if it is one and lies on this machine."""
    domains = params.domains
    files = embedders.model_files(domains.embedder) if isinstance(domains, FoundDomains) else None
    return None if files is None else folder_tree(files.folder, files.names)


def _names(domains: Domains, args: AssignArgs, files: UsersFiles, workshop: Workshop) -> Handle | None:
    """Return the answers that name domains that were found in clusters; None: their words do.

    Raises:
        BudgetError, EndpointError: not all was answered; what was is kept.
    """
    if not isinstance(domains, FoundDomains) or domains.endpoint is None:
        return files.answers if isinstance(domains, FoundDomains) else None
    # What they are asked by: topics, before these are cut into buckets.
    (by_words,) = DECIDE.map(workshop, [replace(args, buckets=None)], label="cluster: domains to be named")
    found = published.Domains.parse(by_words.file(published.Domains.FILE).text(), STAGE)
    return answers_file(workshop, domains.endpoint, name_questions(found), "cluster: names")


def _assigned(
    params: ClusterParams, kept: Tree, model: Tree | None, found: steps.Found | None, workshop: Workshop
) -> AssignArgs:
    shards, by = tuple(kept), () if params.buckets is None else (params.buckets.score,)
    domains: FoundInClusters | FoundTopics | SourceDomains
    match params.domains:
        case FoundDomains() as config:
            scores = score_columns(shards, (*prune.columns(config.prune), *by))
            vectors = _embedded(params, config, shards, model, workshop)
            partition = KMEANS.one(workshop, GroupArgs(shards, vectors, config.kmeans, params.seed))
            domains = FoundInClusters(vectors, partition.tree, config.prune, config.merge)
        case SourceDomains() as config:
            scores, domains = score_columns(shards, by), config
        case TaxonomyDomains():
            assert found is not None
            scores, domains = score_columns(shards, by), found.domains
        case _:
            assert_never(params.domains)
    return AssignArgs(kept, domains, scores, params.max_chars, params.split, params.seed, params.buckets)


def _embedded(
    params: ClusterParams,
    config: FoundDomains,
    shards: tuple[Handle, ...],
    model: Tree | None,
    workshop: Workshop,
) -> tuple[Handle, ...]:
    """Return the vectors of every shard."""
    embedder = embedders.without_place(config.embedder)
    if embedders.sample_size(embedder) is not None:
        model = LEARN.one(workshop, LearnArgs(shards, embedder, params.max_chars, params.seed)).tree
    files = EmbedderFiles(embedder, model)
    records = EMBED.map(workshop, [EmbedArgs(shard, files, params.max_chars) for shard in shards])
    return tuple(record.file(VECTORS) for record in records)
