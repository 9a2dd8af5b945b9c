"""The pools of arms whose text is curated or grouped otherwise than a run's: made from what the run has ingested."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.arms.config import ArmsParams, Curation
from tasks.cluster import stage as clustering
from tasks.cluster.config import ClusterParams
from tasks.core.manifest import Manifest
from tasks.core.params import ParamsT, layered, validate
from tasks.curate import stage as curating
from tasks.curate.config import CurateParams
from tasks.evaluation.unit import SPLIT
from tasks.runtime.context import Workshop
from tasks.tokenize import stage as tokenizing
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.tokenize.published_documents import DOCUMENTS_FILE, read_documents
from tasks.tokenize.taking import TokenizerFile
from tasks.training.rows import SPLIT as TRAIN

StageOf = Callable[[str], Path]
# The input that every arm without a pool of its own has.
COMMON = "tokenize"


def curated_pools(params: ArmsParams, stage_of: StageOf, folder: Path, workshop: Workshop) -> dict[str, Path]:
    """Return the token pools of arms by the name of the input, `tokenize` for the common one.

    Those of a curation of their own are made below `folder`, with the tokenizer of the run whose stages `stage_of` names.
    Work that the run has done is not done again.

    Raises:
        ConfigError: what a curation has otherwise is no param of that stage.
    """
    wanted = dict(_wanted(params))
    # All params are checked before anything is made.
    remade = {name: _remade(curation, stage_of, name) for name, curation in wanted.items()}
    made = {
        name: one.make(stage_of("ingest"), folder / ("common" if name == COMMON else name.replace(" ", "-")), workshop)
        for name, one in remade.items()
    }
    common = made.get(COMMON, stage_of("tokenize"))
    for name in made.keys() - {COMMON}:
        if leaked := _leaked(made[name], common):
            workshop.observer.say(
                f"arms: {name}: {leaked:,} documents of its training text are measured on in the common pool, as their "
                "groups of near duplicates differ; its scores are a little too good"
            )
    return {COMMON: common, **made}


def _wanted(params: ArmsParams) -> Iterator[tuple[str, Curation]]:
    if params.curation is not None:
        yield COMMON, params.curation
    for arm in params.arms:
        if arm.curation is not None and arm.pool is not None:
            yield arm.pool, arm.curation


@dataclass(frozen=True)
class PoolParams:
    """How text is curated and grouped, and the tokenizer that its tokens have in common with those of a run."""

    curate: CurateParams
    cluster: ClusterParams
    tokenize: TokenizeParams

    def make(self, ingested: Path, folder: Path, workshop: Workshop) -> Path:
        """Return the folder of the token pool, made below `folder` of documents as ingest publishes them."""
        made = {name: folder / name for name in ("curate", "cluster", "tokenize")}
        curating.run(self.curate, inputs={"ingest": ingested}, output=made["curate"], workshop=workshop)
        given = {"curate": made["curate"]}
        clustering.run(self.cluster, inputs=given, output=made["cluster"], workshop=workshop)
        given |= {"cluster": made["cluster"]}
        tokenizing.run(self.tokenize, inputs=given, output=made["tokenize"], workshop=workshop)
        return made["tokenize"]


def tokenize_like(pool: Path, where: str) -> TokenizeParams:
    """Return the params of a published pool, with its tokenizer as one that is taken."""
    params = _own(TokenizeParams, pool, {}, where)
    own = {"kind": "file", "path": str(pool / TOKENIZER_FILE), "document_end": params.document_end}
    return params.model_copy(update={"tokenizer": TokenizerFile.model_validate(own)})


def _remade(curation: Curation, stage_of: StageOf, name: str) -> PoolParams:
    """Return the params of a run's text, curated and grouped otherwise."""
    return PoolParams(
        _own(CurateParams, stage_of("curate"), curation.curate, f"{name}, curate"),
        _own(ClusterParams, stage_of("cluster"), curation.cluster, f"{name}, cluster"),
        tokenize_like(stage_of("tokenize"), name),
    )


def _own(model: type[ParamsT], stage: Path, otherwise: Mapping[str, object], where: str) -> ParamsT:
    """Return the params that a stage of the run had, with what a curation has otherwise."""
    return validate(model, layered(Manifest.read(stage).params, otherwise), where)


def _leaked(own: Path, common: Path) -> int:
    """Return how many documents that a pool is trained on are measured on in the common one."""
    import pyarrow.compute as pc

    ids = [
        read_documents(pool / DOCUMENTS_FILE, pc.field("split") == split).column("id").to_pylist()
        for pool, split in ((own, TRAIN), (common, SPLIT))
    ]
    return len({*ids[0]} & {*ids[1]})
