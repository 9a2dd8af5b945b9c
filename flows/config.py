"""The one parameter of every flow: what to read, and the science of each stage."""

import glob
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator

from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.merge import WardMerge
from tasks.core.credentials import complaint_about
from tasks.core.errors import ConfigError
from tasks.core.params import Params, layered, override, read_yaml, validate
from tasks.curate.config import CurateParams
from tasks.evaluation.config import EvaluateParams
from tasks.ingest.config import IngestParams
from tasks.mixture.budget import require_budget
from tasks.mixture.config import SearchParams
from tasks.report.config import ReportParams
from tasks.stages import STAGES
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.taking import TokenizerFile
from tasks.training.params import TrainParams
from tasks.training.starts.kinds import paths as start_paths

PRESETS = Path(__file__).resolve().parents[1] / "configs"


class PipelineParams(Params):
    """The science of a run: one section per stage of the table (tasks/stages.py), as it stands in params.yaml."""

    ingest: IngestParams = IngestParams()
    curate: CurateParams = CurateParams()
    cluster: ClusterParams = ClusterParams()
    tokenize: TokenizeParams = TokenizeParams()
    search: SearchParams = SearchParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    report: ReportParams = ReportParams()

    def section(self, stage: str) -> Any:
        """Return the params of a stage."""
        return getattr(self, stage)

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        trained, search = self.train.training, self.search.aimed_at(self.train.training)
        both = (
            ("target_tokens", search.target.tokens, "num_tokens", trained.num_tokens),
            (
                "target_sequence_length",
                search.target.sequence_length,
                "model.sequence_length",
                trained.model.sequence_length,
            ),
        )
        wrong = [
            f"search.{name} is {value:,} but train.training.{other} is {wanted:,}"
            for name, value, other, wanted in both
            if value != wanted
        ]
        if wrong:
            yield (
                f"{'; '.join(wrong)}. The repetition caps hold for the run that is trained: leave it out of search, which "
                "then follows train."
            )
        mixtures = self.train.mixtures
        if "searched" not in mixtures or len(mixtures) < 2:
            yield (
                f"train.mixtures names {', '.join(mixtures)}; evaluate compares `searched` with a baseline: name it and at "
                "least one of natural, uniform, unimax."
            )
        if missing := [task.name for task in self.search.tasks if task not in self.evaluate.tasks]:
            yield (
                f"search.tasks names {missing[0]}, and evaluate.tasks does not, or otherwise: the decision is about the "
                "search's objective. Name the same tasks there."
            )
        if self.evaluate.planted is not None and not self.train.planted:
            yield (
                "evaluate.planted is there, and train.planted names no experiment, so that there is nothing to measure: "
                "name some there, or leave it out."
            )
        trained_on = [*mixtures, *(branch.name for branch in self.train.branches)]
        if (like := self.evaluate.specificity) is not None and like.general not in trained_on:
            yield (
                f"evaluate.specificity.general is {like.general}, and the runs are of {', '.join(trained_on)}. Name one of "
                "them."
            )
        try:
            require_budget(self.search)
        except ConfigError as error:
            yield str(error)
        domains = self.cluster.domains
        if not isinstance(domains, FoundDomains):
            return
        asked: dict[str, int | None] = {
            "cluster.domains.kmeans.num_clusters_initial": domains.kmeans.num_clusters_initial
        }
        if isinstance(domains.merge, WardMerge):
            asked["cluster.domains.merge.num_domains"] = domains.merge.num_domains
        if few := [name for name, number in asked.items() if number is not None and number < 2]:
            yield (f"{few[0]} is {asked[few[0]]}, which leaves nothing to search: at least 2 domains are mixed.")


def require_files(params: PipelineParams) -> None:
    """Refuse params that name files which are not there, before the first stage: a late stage would find out in hours.

    Raises:
        ConfigError: how many, the first, and what names it.
        DataError: the full runs start from a run of a train stage, and none has published there.
    """
    named = {"search.earlier_runs": params.search.earlier_runs, "search.ladder": params.search.ladder}
    if isinstance(params.tokenize.tokenizer, TokenizerFile):
        named["tokenize.tokenizer.path"] = params.tokenize.tokenizer.path
    start_paths(params.train.start)
    missing = [(name, path) for name, path in named.items() if path is not None and not Path(path).is_file()]
    if missing:
        name, path = missing[0]
        raise ConfigError(
            f"{len(missing)} file(s) that the params name are not there; first: {name}: {path}. Name an existing file."
        )


def require_tasks(params: PipelineParams) -> None:
    """Refuse tasks that search or evaluate could not put to a model, before the first stage: every record is looked at.

    Raises:
        ConfigError: a score that is named does not exist, or a task has too few items for what is asked of them.
        DataError: a file is missing, or a record in it is none of its kind of task; results of the harness are none.
    """
    if params.search.tasks or params.evaluate.tasks or params.evaluate.harness_results:
        from tasks.evaluation.tasks.stage import given_tasks
        from tasks.mixture.asked import tasks_of

        tasks_of(params.search)
        given_tasks(params.evaluate)


class PipelineConfig(Params):
    """What a flow is started with: a name for the versions, the input, and the params.

    `inputs` are files, folders or globs, local or `s3://`; none means the default input of the demo. They are stored
    with the run, so an address with a credential in it is refused, and no message shows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = "demo"
    inputs: tuple[str, ...] = ()
    params: PipelineParams = PipelineParams()

    @field_validator("inputs")
    @classmethod
    def _no_credentials(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for uri in value:
            if complaint := complaint_about(uri):
                raise ValueError(complaint)
        return value


def resolved(config: PipelineConfig) -> PipelineConfig:
    """Return the config with everything decided that it leaves open; what a run is named after and what it does.

    Decided are `precision: auto` of the proxies and of the full runs, from what this machine computes natively, and the
    run that the search is for: the one that is trained.
    """
    return config.model_copy(update={"params": resolved_params(config.params)})


def resolved_params(params: PipelineParams) -> PipelineParams:
    """Do as `resolved` for the params alone."""
    decided = {}
    for stage in STAGES:
        extras = stage.load_extras()
        section = extras.complete(params.section(stage.name), params.section)
        decided[stage.name] = section if extras.decide is None else extras.decide(section)
    return params.model_copy(update=decided)


def changed_params(params: PipelineParams, settings: tuple[str, ...]) -> PipelineParams:
    """Return the params of a run with `--set` laid over them; what was decided by other params is decided by the new ones.

    Raises:
        ConfigError: a setting, or what becomes of the params, is none.
    """
    open_ = params.model_copy(update={"search": params.search.left_open(params.train.training)})
    values = layered(open_.model_dump(mode="json"), override({}, settings))
    return resolved_params(validate(PipelineParams, values, "--set"))


def read_config(
    preset: str,
    params_file: Path | None = None,
    settings: tuple[str, ...] = (),
    *,
    inputs: tuple[str, ...] = (),
    name: str | None = None,
) -> PipelineConfig:
    """Return the config of a preset (`configs/<preset>.yaml`) with a params file, `--set`, inputs and a name laid over it.

    Raises:
        ConfigError: no such preset, file or input, or a mistake in one; all of them at once, each with its place.
    """
    presets = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if preset not in presets:
        raise ConfigError(f"--preset {preset}: there is none of this name. Presets: {', '.join(presets)}.")
    values = layered(PipelineConfig().model_dump(mode="json"), read_yaml(PRESETS / f"{preset}.yaml"))
    wrong: list[str] = []

    def tried(before: dict[str, Any], change: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return change()
        except ConfigError as error:
            wrong.append(str(error))
            return before

    if params_file is not None:
        values = layered(values, {"params": tried({}, partial(read_yaml, params_file))})
    changes: dict[str, Any] = {}
    for setting in settings:
        changes = tried(changes, partial(override, changes, (f"params.{setting}",)))
    values = layered(values, changes)
    values |= ({"inputs": inputs} if inputs else {}) | ({"name": name} if name is not None else {})
    wrong += [f"--input {uri}: there is no such file or folder here" for uri in inputs if not _exists(uri)]
    try:
        config = validate(PipelineConfig, values, str(params_file or f"preset {preset}"))
        require_files(config.params)
    except ConfigError as error:
        raise ConfigError("\n".join([*wrong, str(error)])) from error
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config


def _exists(uri: str) -> bool:
    """Tell whether there is something at a local place; what is elsewhere is asked when it is read."""
    return "://" in uri or Path(uri).exists() or any(glob.iglob(uri, recursive=True))  # noqa: PTH207 (absolute patterns)
