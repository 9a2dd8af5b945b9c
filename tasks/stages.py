"""The table of stages: what each is called, reads, is made of and publishes, in the order of the pipeline.

The command line, the flows and the report's loader are made from it; params.yaml, dvc.yaml and prefect.yaml are held
against it by tests/test_stages.py. It is light: what a stage is made of is named here, and imported when it is asked for.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tasks.core.manifest import Manifest
    from tasks.core.params import Params
    from tasks.core.published import Published
    from tasks.runtime.command import StageExtras
    from tasks.runtime.context import Workshop

# What a user brings; the first stage reads it, and no stage makes it.
RAW = "raw"


class Driver(Protocol):
    """The function of a stage: reads the folders of other stages, and publishes one."""

    def __call__(self, params: Any, *, inputs: Mapping[str, Path], output: Path, workshop: "Workshop") -> "Manifest":
        """Return the manifest of what was published."""


@dataclass(frozen=True)
class Stage:
    """One stage. What is imported later is written `package.module:name`."""

    name: str
    about: str
    inputs: tuple[str, ...]
    params: str
    driver: str
    # The contracts: the JSON files that others may read of the published folder.
    publishes: tuple[str, ...] = ()
    # What its command and its task have beyond params, folders to read and a folder to publish.
    extras: str | None = None

    @property
    def package(self) -> str:
        """The package whose `python -m` is the stage's command."""
        return self.driver.partition(":")[0].rpartition(".")[0]

    def load_params(self) -> "type[Params]":
        """Import and return the model of its params."""
        return _load(self.params)  # type: ignore[no-any-return]

    def load_driver(self) -> Driver:
        """Import and return its driver."""
        return _load(self.driver)  # type: ignore[no-any-return]

    def load_publishes(self) -> "Iterator[type[Published]]":
        """Import and yield its contracts."""
        return (_load(name) for name in self.publishes)

    def load_extras(self) -> "StageExtras":
        """Import and return what it has beyond the plain command and task."""
        from tasks.runtime.command import StageExtras

        return StageExtras() if self.extras is None else _load(self.extras)


STAGES = (
    Stage(
        "ingest",
        "Read the raw input into document shards of one schema.",
        inputs=(RAW,),
        params="tasks.ingest.config:IngestParams",
        driver="tasks.ingest.stage:run",
        publishes=("tasks.ingest.published.sources:Sources",),
        extras="tasks.ingest.command:EXTRAS",
    ),
    Stage(
        "curate",
        "Keep or drop every document, with a reason.",
        inputs=("ingest",),
        params="tasks.curate.config:CurateParams",
        driver="tasks.curate.stage:run",
        publishes=(
            "tasks.curate.published.funnel:Funnel",
            "tasks.curate.published.languages:LearnedLanguages",
            "tasks.curate.published.scored:Scored",
        ),
        extras="tasks.curate.command:EXTRAS",
    ),
    Stage(
        "cluster",
        "Group the kept documents into named domains.",
        inputs=("curate",),
        params="tasks.cluster.config:ClusterParams",
        driver="tasks.cluster.stage:run",
        publishes=(
            "tasks.cluster.published.buckets:DomainBuckets",
            "tasks.cluster.published.domains:Domains",
            "tasks.cluster.published.domains:ClusterMap",
            "tasks.cluster.published.taxonomy:Taxonomy",
        ),
    ),
    Stage(
        "tokenize",
        "Train a tokenizer and pack the domains into token shards.",
        inputs=("curate", "cluster"),
        params="tasks.tokenize.config:TokenizeParams",
        driver="tasks.tokenize.stage:run",
        publishes=("tasks.tokenize.published:TokenPoolIndex",),
    ),
    Stage(
        "search",
        "Measure proxies and propose a recipe with its forecast.",
        inputs=("tokenize",),
        params="tasks.mixture.config:SearchParams",
        driver="tasks.mixture.stage:run",
        publishes=(
            "tasks.mixture.published:Recipe",
            "tasks.mixture.published_forecast:Forecast",
            "tasks.mixture.published_candidates:Candidates",
        ),
        extras="tasks.mixture.command:EXTRAS",
    ),
    Stage(
        "train",
        "Train on the recipe and on its baselines.",
        inputs=("tokenize", "search"),
        params="tasks.training.params:TrainParams",
        driver="tasks.training.stage:run",
        publishes=(
            "tasks.training.published:TrainedRuns",
            "tasks.training.planted.published:PlantedPlan",
            "tasks.training.published_experts:ExpertsUsed",
            "tasks.training.published_updates:ForecastUpdates",
            "tasks.training.published_forgetting:Forgetting",
            "tasks.training.guard.published:Guard",
        ),
        extras="tasks.training.command:EXTRAS",
    ),
    Stage(
        "evaluate",
        "Compare the trained models on held-out text and decide whether a claim holds.",
        inputs=("tokenize", "search", "train"),
        params="tasks.evaluation.config:EvaluateParams",
        driver="tasks.evaluation.stage:run",
        publishes=(
            "tasks.evaluation.published:MeasuredModels",
            "tasks.evaluation.published:Decision",
            "tasks.evaluation.published:Samples",
            "tasks.evaluation.tasks.published:Scores",
            "tasks.evaluation.tasks.published:TaskItems",
            "tasks.evaluation.published_seen:Memorisation",
            "tasks.evaluation.published_contamination:Contamination",
            "tasks.evaluation.published_contamination:FoundItems",
            "tasks.evaluation.published_like:Flatness",
            "tasks.evaluation.planted.published:PlantedEffects",
            "tasks.evaluation.published_like:Specificity",
            "tasks.evaluation.published_like:LossAgainstEpochs",
        ),
        extras="tasks.evaluation.command:EXTRAS",
    ),
    Stage(
        "report",
        "Write the one page to look at.",
        inputs=("ingest", "curate", "cluster", "tokenize", "search", "train", "evaluate"),
        params="tasks.report.config:ReportParams",
        driver="tasks.report.stage:run",
    ),
)
NAMES = tuple(stage.name for stage in STAGES)


def stage_named(name: str) -> Stage:
    """Return a stage of the table.

    Raises:
        KeyError: there is none of that name.
    """
    return {stage.name: stage for stage in STAGES}[name]


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
