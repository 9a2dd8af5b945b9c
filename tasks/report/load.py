"""All that the page tells, read from the folders that the stages published."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tasks.core.account import Account
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.core.published import Published
from tasks.curate.audit.languages import LanguageAudit, language_audit
from tasks.curate.published.documents import CANDIDATES, DROPPED
from tasks.curate.published.funnel import Funnel
from tasks.curate.published.languages import LearnedLanguages
from tasks.curate.published.scored import Scored
from tasks.evaluation.planted.published import PlantedEffects
from tasks.evaluation.published import Sample, Samples
from tasks.evaluation.published_contamination import Contamination
from tasks.evaluation.published_like import Flatness, LossAgainstEpochs, Specificity
from tasks.evaluation.published_seen import Memorisation
from tasks.evaluation.tasks.published import Scores
from tasks.mixture.pictures.evidence import SearchEvidence, read_evidence
from tasks.mixture.published import Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.pages.lineage import StageLineage
from tasks.report.config import ReportParams
from tasks.report.curation import Curation, read_curation
from tasks.report.domains import DomainMap, read_domains
from tasks.report.excerpts import excerpt
from tasks.report.experiments import Training, read_recipe, read_training
from tasks.report.outcome import Evaluation, read_evaluation
from tasks.report.selection import Selection, read_selection
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.guard.published import Guard
from tasks.training.published import MODELS_FOLDER, TrainedRuns
from tasks.training.published_forgetting import Forgetting

# What the page is made of, by stage; the models' weights and the packed tokens are not looked into.
READ: Mapping[str, tuple[str, ...]] = {
    "ingest": ("documents/", "quarantined/"),
    "curate": (f"{DROPPED}/", Funnel.FILE, Scored.FILE, f"{CANDIDATES}/"),
    "cluster": ("domains.json", "clusters.json"),
    "tokenize": (TokenPoolIndex.FILE,),
    "search": (),
    "train": (TrainedRuns.FILE, Forgetting.FILE, Guard.FILE, f"{MODELS_FOLDER}/"),
    "evaluate": (),
}
INPUTS = tuple(READ)
Contract = TypeVar("Contract", bound=Published)


@dataclass(frozen=True)
class PageContent:
    """Everything on the page.

    `selection`: None where nothing was scored or selected; `languages`, where no thresholds were learned of any. `scores`
    are those of tasks, None where models were not put to any; so are `contamination`, `memorisation`, `flatness`,
    `specificity` and `planted` where they were not asked for, `epochs` of an earlier version, `forgetting` where runs were
    not evaluated at the ends of several stages, and `guard` where there was none.
    """

    curation: Curation
    selection: Selection | None
    languages: LanguageAudit | None
    map: DomainMap
    recipe: Recipe
    forecast: Forecast
    search: SearchEvidence
    training: Training
    evaluation: Evaluation
    samples: tuple[Sample, ...]
    scores: Scores | None
    contamination: Contamination | None
    memorisation: Memorisation | None
    flatness: Flatness | None
    specificity: Specificity | None
    epochs: LossAgainstEpochs | None
    planted: PlantedEffects | None
    forgetting: Forgetting | None
    guard: Guard | None
    lineage: tuple[StageLineage, ...]


def read_content(folders: Mapping[str, Path], params: ReportParams) -> PageContent:
    """Return everything the page tells, from what each stage published.

    Raises:
        DataError: a stage has not run, its output does not follow from the others here, or it lacks a field.
    """
    manifests = {name: Manifest.read(folders[name]) for name in INPUTS}
    lineage = lineage_of(manifests)
    accounts = {name: account_of(manifests[name]) for name in ("ingest", "curate", "cluster")}
    domains = read_domains(accounts["cluster"], folders["cluster"], folders["tokenize"], params)
    names = [domain.name for domain in domains.domains]
    return PageContent(
        curation=read_curation(accounts["ingest"], accounts["curate"], folders["ingest"], folders["curate"], params),
        selection=read_selection(folders["curate"]),
        languages=_languages(folders["curate"]),
        map=domains,
        recipe=read_recipe(folders["search"], names),
        forecast=Forecast.read(folders["search"]),
        search=read_evidence(folders["search"]),
        training=read_training(folders["train"], names),
        evaluation=read_evaluation(folders["evaluate"], names),
        samples=read_samples(folders["evaluate"], params),
        scores=_if_there(Scores, folders["evaluate"]),
        contamination=_if_there(Contamination, folders["evaluate"]),
        memorisation=_if_there(Memorisation, folders["evaluate"]),
        flatness=_if_there(Flatness, folders["evaluate"]),
        specificity=_if_there(Specificity, folders["evaluate"]),
        epochs=_if_there(LossAgainstEpochs, folders["evaluate"]),
        planted=_if_there(PlantedEffects, folders["evaluate"]),
        forgetting=_if_there(Forgetting, folders["train"]),
        guard=_if_there(Guard, folders["train"]),
        lineage=lineage,
    )


def _languages(curate: Path) -> LanguageAudit | None:
    return language_audit(curate) if (curate / LearnedLanguages.FILE).exists() else None


def _if_there(contract: type[Contract], folder: Path) -> Contract | None:
    return contract.read(folder) if (folder / contract.FILE).exists() else None


def read_samples(evaluate: Path, params: ReportParams) -> tuple[Sample, ...]:
    """Return what the models made of the beginnings of documents, fit to be shown; nothing where none was asked for."""
    if not (evaluate / Samples.FILE).exists():
        return ()
    shown = params.excerpt_characters
    return tuple(
        sample.model_copy(
            update={
                "prompt": excerpt(sample.prompt, shown),
                "document": excerpt(sample.document, shown),
                "continuations": tuple(
                    one.model_copy(update={"text": excerpt(one.text, shown)}) for one in sample.continuations
                ),
            }
        )
        for sample in Samples.read(evaluate).samples
    )


def account_of(manifest: Manifest) -> Account:
    """Return the account of a stage that counts documents.

    Raises:
        DataError: there is none.
    """
    if manifest.account is None:
        raise DataError(f"{manifest.stage}: its manifest has no account. Run {manifest.stage} again with this version.")
    return manifest.account


def lineage_of(manifests: Mapping[str, Manifest]) -> tuple[StageLineage, ...]:
    """Return where each stage's folder came from, in the order of the pipeline.

    Raises:
        DataError: one was made from another version of a stage than the one that is here; such a page would lie.
    """
    for name, manifest in manifests.items():
        for source, digest in manifest.inputs.items():
            if source in manifests and manifests[source].output != digest:
                raise DataError(
                    f"{name} was made from {source} {digest[:12]}, but {source} is now "
                    f"{manifests[source].output[:12]}. Run {name} again, and what comes after it."
                )
    return tuple(StageLineage.of(manifest) for manifest in manifests.values())
