"""The one parameter of every flow: what to read, and the science of each stage."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.cluster.config import ClusterParams, FoundDomains, WardMerge
from tasks.core.errors import ConfigError
from tasks.core.params import Params, layered, override, read_yaml, validate
from tasks.curate.config import CurateParams
from tasks.evaluation.config import EvaluateParams
from tasks.ingest.config import IngestParams
from tasks.mixture.budget import require_budget
from tasks.mixture.config import SearchParams
from tasks.report.config import ReportParams
from tasks.tokenize.config import TokenizeParams, TokenizerFile
from tasks.training.command import full_precision, proxy_precision
from tasks.training.config import TrainParams

PRESETS = Path(__file__).resolve().parents[1] / "configs"


class PipelineParams(Params):
    """The science of a run: one section per stage, as it stands in params.yaml."""

    ingest: IngestParams = IngestParams()
    curate: CurateParams = CurateParams()
    cluster: ClusterParams = ClusterParams()
    tokenize: TokenizeParams = TokenizeParams()
    search: SearchParams = SearchParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    report: ReportParams = ReportParams()

    @model_validator(mode="after")
    def _search_speaks_of_the_run_that_is_trained(self) -> Self:
        trained, search = self.train.training, self.search.aimed_at(self.train.training)
        told = ("target_tokens", search.target.tokens, "num_tokens", trained.num_tokens)
        length = ("target_sequence_length", search.target.sequence_length)
        trained_length = ("model.sequence_length", trained.model.sequence_length)
        wrong = [
            f"search.{name} is {value:,} but train.training.{other} is {wanted:,}"
            for name, value, other, wanted in (told, (*length, *trained_length))
            if value != wanted
        ]
        if wrong:
            raise ValueError(
                f"{'; '.join(wrong)}. The repetition caps hold for the run that is trained: leave it out of search, which "
                "then follows train."
            )
        return self

    @model_validator(mode="after")
    def _what_is_trained_can_be_compared(self) -> Self:
        mixtures = self.train.mixtures
        if "searched" not in mixtures or len(mixtures) < 2:
            raise ValueError(
                f"train.mixtures names {', '.join(mixtures)}; evaluate compares `searched` with a baseline: name it and at "
                "least one of natural, uniform, unimax."
            )
        return self

    @model_validator(mode="after")
    def _the_budget_reaches(self) -> Self:
        try:
            require_budget(self.search)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _there_are_domains_to_mix(self) -> Self:
        domains = self.cluster.domains
        if not isinstance(domains, FoundDomains):
            return self
        asked: dict[str, int | None] = {
            "cluster.domains.kmeans.num_clusters_initial": domains.kmeans.num_clusters_initial
        }
        if isinstance(domains.merge, WardMerge):
            asked["cluster.domains.merge.num_domains"] = domains.merge.num_domains
        if few := [name for name, number in asked.items() if number is not None and number < 2]:
            raise ValueError(
                f"{few[0]} is {asked[few[0]]}, which leaves nothing to search: at least 2 domains are mixed."
            )
        return self


def require_files(params: PipelineParams) -> None:
    """Refuse params that name files which are not there, before the first stage: a late stage would find out in hours.

    Raises:
        ConfigError: how many, the first, and what names it.
    """
    named = {"search.earlier_runs": params.search.earlier_runs}
    if isinstance(params.tokenize.tokenizer, TokenizerFile):
        named["tokenize.tokenizer.path"] = params.tokenize.tokenizer.path
    missing = [(name, path) for name, path in named.items() if path is not None and not Path(path).is_file()]
    if missing:
        name, path = missing[0]
        raise ConfigError(
            f"{len(missing)} file(s) that the params name are not there; first: {name}: {path}. Name an existing file."
        )


class PipelineConfig(Params):
    """What a flow is started with: a name for the versions, the input, and the params.

    `inputs` are files, folders or globs, local or `s3://`; none means the default input of the demo.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = "demo"
    inputs: tuple[str, ...] = ()
    params: PipelineParams = PipelineParams()


def resolved(config: PipelineConfig) -> PipelineConfig:
    """Return the config with everything decided that it leaves open; what a run is named after and what it does.

    Decided are `precision: auto` of the proxies and of the full runs, from what this machine computes natively, and the
    run that the search is for: the one that is trained.
    """
    return config.model_copy(update={"params": resolved_params(config.params)})


def resolved_params(params: PipelineParams) -> PipelineParams:
    """Do as `resolved` for the params alone."""
    search = params.search.aimed_at(params.train.training).decided(proxy_precision())
    decided = {"search": search, "train": params.train.decided(full_precision())}
    return params.model_copy(update=decided)


def read_config(preset: str, params_file: Path | None = None, settings: tuple[str, ...] = ()) -> PipelineConfig:
    """Return the config of a preset (`configs/<preset>.yaml`) with a params file and `--set` laid over it.

    Raises:
        ConfigError: no such preset or file, or a mistake in it, each with its place.
    """
    values = layered(PipelineConfig().model_dump(mode="json"), read_yaml(PRESETS / f"{preset}.yaml"))
    if params_file is not None:
        values = layered(values, {"params": read_yaml(params_file)})
    changes = override({}, tuple(f"params.{setting}" for setting in settings))
    return validate(PipelineConfig, layered(values, changes), str(params_file or f"preset {preset}"))
