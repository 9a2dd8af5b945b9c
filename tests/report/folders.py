"""A small and complete set of stage folders. What other stages have pure functions for is made by those."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.cluster.published.buckets import DomainBucket, DomainBuckets
from tasks.cluster.published.domains import ClusterMap, ClusterSummary, DomainExample, Domains, DomainSummary
from tasks.cluster.published.taxonomy import Taxonomy, TopicShare
from tasks.core.account import Account, Count
from tasks.core.digest import digest_file
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.rng import generator
from tasks.curate.fates import Fates, tally
from tasks.curate.published.funnel import Funnel
from tasks.curate.published.languages import LanguageThresholds, LearnedLanguages
from tasks.curate.published.scored import Scored, ScorerTold, SelectionTold, Size
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.documents import Candidates as Passed
from tasks.curate.selection.documents import write_candidates
from tasks.ingest.published.documents import DOCUMENT, REFUSED
from tasks.ingest.published.sources import Sources
from tasks.mixture.published import MixtureName, Recipe, RecipeStage
from tasks.mixture.published_candidates import (
    Candidates,
    Correlation,
    Interactions,
    MixtureAtTwoSizes,
    Pareto,
    ParetoPoint,
    TokenSupply,
    Transfer,
)
from tasks.mixture.published_forecast import DomainForecast, Forecast, Said, SizeGain
from tasks.mixture.published_mixtures import (
    ChosenMixture,
    Confirmation,
    ConfirmedContender,
    Contender,
    GainInterval,
    MixtureSource,
    Role,
)
from tasks.mixture.published_predictors import ChosenPredictor, HeldOutPrediction, PredictorScore, StackMember
from tasks.mixture.runs import RUNS_FILE, ProxyRun, RunTable, to_csv
from tasks.tokenize.published import PackedDomain, PackedSplit, Split, TokenPoolIndex
from tasks.training.guard.published import Guard, GuardedRun
from tasks.training.planted.published import PlantedItem, PlantedPart, PlantedPlan
from tasks.training.published import TrainedRuns
from tasks.training.published_experts import DomainUse, ExpertsUsed, LayerUse
from tasks.training.published_forgetting import Forgetting, RunForgetting
from tasks.training.published_run import LOSSES_FILE, losses_text
from tasks.training.published_updates import ForecastUpdate, ForecastUpdates
from tests.report.evaluated import evaluate_folder
from tests.report.names import DOMAINS, EVIL, LABELS, NATURAL, SEARCHED, UNIFORM
from tests.training.made import trained_run

# Per document: source, and why it was dropped (None = kept).
FATES = (
    ("code", None), ("code", None), ("code", "exact_duplicate"), ("code", "too_few_words"),
    ("prose", None), ("prose", "near_duplicate"), ("prose", "too_few_words"), ("prose", "too_few_words"),
)  # fmt: skip
FILTER_OF_REASON = {"too_few_words": "gopher_quality"}


def stage_folders(root: Path, seeds: int = 3) -> dict[str, Path]:
    """Write one folder per stage, each made from the ones before it, and return them by name."""
    folders = {name: root / name for name in ("ingest", "curate", "cluster", "tokenize", "search", "train", "evaluate")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    _ingest(folders["ingest"])
    _curate(folders["curate"])
    _cluster(folders["cluster"])
    _tokenize(folders["tokenize"])
    _search(folders["search"])
    _train(folders["train"], seeds)
    evaluate_folder(folders["evaluate"], folders["search"], seeds)
    commit(folders)
    return folders


INPUTS = {
    "ingest": (), "curate": ("ingest",), "cluster": ("curate",), "tokenize": ("curate", "cluster"),
    "search": ("tokenize",), "train": ("tokenize", "search"), "evaluate": ("tokenize", "search", "train"),
}  # fmt: skip


def commit(folders: Mapping[str, Path]) -> None:
    """Write every manifest anew, over the files as they are, in the order of the pipeline."""
    counts = tally(_fates())
    read = Account(Count(9, 900), Count(8, 860), {}, {"no_text": Count(1, 40)})
    pruned = Account(counts.account.kept, Count(2, 40), {"low_quality": counts.account.kept + Count(-2, -40)})
    accounts = {"ingest": read, "curate": counts.account, "cluster": pruned}
    made: dict[str, Manifest] = {}
    for name, inputs in INPUTS.items():
        digests = {source: made[source].output for source in inputs} or {"raw": "0" * 64}
        environment = {"torch": "2.13.0", "threads_per_worker": "1"} if name == "train" else {}
        made[name] = Manifest(
            name, digests, {"seed": 0}, "c" * 64, _records(folders[name]), accounts.get(name), {},
            environment,
        )  # fmt: skip
        made[name].write(folders[name])


def _fates() -> Fates:
    sizes = np.array([len(text(i).encode()) for i in range(len(FATES))], np.int64)
    reasons = [reason for _, reason in FATES]
    kept = np.where([reason is None for reason in reasons], sizes, 0)
    filters = [reason and FILTER_OF_REASON.get(reason, reason) for reason in reasons]
    none = np.zeros(len(FATES), np.int64)
    return Fates([source for source, _ in FATES], ["en"] * len(FATES), filters, reasons, sizes, none, kept, none)


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change the value of a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def add_evidence(search: Path, objectives: int = 2) -> None:
    """Give a search all that it may publish besides its runs; what the text has lets domain 1 be at its cap."""
    names = tuple(f"held-out {number}" for number in range(objectives))
    points = [
        ParetoPoint(run=run, kind="design", values=(2.0 + run, *[2.0 - run] * (objectives - 1)), front=run < 2)
        for run in range(4)
    ]
    natural = _confirmed("natural", None, "natural", None, None)
    best = _confirmed("measured", 3, "best measured", GainInterval(mean=0.015, lower=0.01, upper=0.03), None)
    candidate = _confirmed(
        "predicted",
        None,
        "candidate",
        GainInterval(mean=0.02, lower=0.01, upper=0.03),
        GainInterval(mean=0.005, lower=-0.01, upper=0.02),
    )
    correlation = Correlation(rho=0.6, lower=0.1, upper=0.9, mixtures=8, ceiling=None)
    sizes = ((1000, 6000), (8000, 48000))
    evidence = {
        "supply": TokenSupply(target=(9000, 675, 6000), proxy=(9000, 675, 6000)),
        "pareto": Pareto(
            objectives=names, points=tuple(points), chosen=points[0].values, natural=(2.5,) * objectives
        ),
        "confirmation": Confirmation(
            shipped=candidate.contender, verdict="ship candidate", claim=True, confidence=0.9, seeds=(1, 2, 3),
            paired=True, noise_sd=0.01, degrees_of_freedom=4, rows=(natural, candidate, best),
            statement="Claim: it beats natural.",
        ),
        "transfer": Transfer(
            verdict="cannot tell", overall=correlation, top=None, drift_per_efold=0.2,
            gains=tuple(SizeGain(model_parameters=p, tokens=t, gain=0.02, sd=None) for p, t in sizes),
            mixtures=tuple(
                MixtureAtTwoSizes(run=run, weights=NATURAL, small=2.5 + run, large=2.2 + run % 7, top=run < 3)
                for run in range(8)
            ),
            statement="Refused: too uncertain.",
        ),
    }  # fmt: skip
    Candidates.read(search).model_copy(update=evidence).write(search)


def _confirmed(
    source: MixtureSource,
    run: int | None,
    role: Role,
    over_natural: GainInterval | None,
    over_best: GainInterval | None,
) -> ConfirmedContender:
    contender = Contender(source=source, run=run, role=role, weights=NATURAL, gain=0.025, gain_sd=0.01)
    z = -0.6 if role == "candidate" else None
    return ConfirmedContender(
        contender=contender, objectives=(2.5, 2.6, 2.7), over_natural=over_natural, over_best=over_best, z=z
    )


def text(number: int) -> str:
    """Return the text of a document."""
    return EVIL + " " + "word " * 200 if FATES[number][1] == "near_duplicate" else f"text number {number}, short"


def _ingest(folder: Path) -> None:
    rows = [
        {"id": f"d{i}", "text": text(i), "source": source, "url": None, "lang": "en", "metadata": None}
        for i, (source, _) in enumerate(FATES)
    ]
    sizes = [(source, len(text(i).encode())) for i, (source, _) in enumerate(FATES)]
    Sources(
        sources={name: Count(4, sum(size for own, size in sizes if own == name)) for name in ("code", "prose")}
    ).write(folder)
    _table(folder / "documents/00000.parquet", rows[:5], DOCUMENT)
    _table(folder / "documents/00001.parquet", rows[5:], DOCUMENT)
    refusal = {"file": "code/a.jsonl", "offset": 1234567, "bytes": 40, "reason": "no_text", "detail": "<b>no text</b>"}
    _table(folder / "quarantined/00000.parquet", [refusal], REFUSED)


def _curate(folder: Path) -> None:
    schema = pa.schema([(name, pa.string()) for name in ("id", "source", "filter", "reason", "detail")])
    schema = schema.append(pa.field("bytes", pa.int64())).append(pa.field("pretokens", pa.int64()))
    rows = [
        {
            "id": f"d{i}", "source": source, "filter": FILTER_OF_REASON.get(reason, reason), "reason": reason,
            "detail": "words=3 < 50", "bytes": len(text(i).encode()), "pretokens": 0,
        }
        for i, (source, reason) in enumerate(FATES)
        if reason is not None
    ]  # fmt: skip
    Funnel(
        counts=tally(_fates()), warnings=("source nothing: all 3 documents were dropped",), lost_sources=(),
        duplicates=None, refined=None, contaminated=None,
    ).write(folder)  # fmt: skip
    thresholds = LanguageThresholds(documents=8, reference_documents=40, thresholds={"min_language_score": 0.62})
    LearnedLanguages(profiles=("fineweb2",), languages={"de": thresholds}).write(folder)
    annotated = pa.schema([(name, pa.string()) for name in ("id", "source", "language")])
    every = [
        {"id": f"d{i}", "source": source, "language": "de" if i % 2 else "<b>", "words": 10 * i}
        for i, (source, _) in enumerate(FATES)
    ]
    _table(folder / "annotations/00000.parquet", every, annotated.append(pa.field("words", pa.int64())))
    half, whole = Size(documents=4, tokens=400), Size(documents=8, tokens=800)
    Scored(
        scorers={
            "med": ScorerTold(
                kind="dsir", columns=("med", "med_mean", "med_words"), learned={"target_words": 12_000},
                kept={"kl_reduction": 0.25}, without=0,
            )
        },
        selections=(
            SelectionTold(profile="prose", score="med_mean", keeps="quantiles 0.5 to 1 of med_mean, by tokens",
                          considered=whole, kept=half),
        ),
    ).write(folder)  # fmt: skip
    scores = {"med": [-3.0, 2.0, math.nan], "med_mean": [0.1, 0.4, 0.2]}
    groups = {"source": ["code", "code", "prose"], "language": ["en"] * 3}
    passed = Passed(
        np.array(["prose"] * 3, dtype=object), {name: np.array(one, dtype=object) for name, one in groups.items()},
        np.array([100, 200, 300]), np.array([number_of(name) for name in ("d0", "d1", "d4")]),
        {name: np.array(one) for name, one in scores.items()},
    )  # fmt: skip
    (folder / "candidates").mkdir()
    write_candidates(passed, folder / "candidates/00000.parquet")
    _table(folder / "dropped/00000.parquet", rows[:2], schema)
    _table(folder / "dropped/00001.parquet", rows[2:], schema)


def _cluster(folder: Path) -> None:
    domains = [
        DomainSummary(
            index=index, name=name, label=LABELS.get(name, name),
            documents=40 - 10 * index, bytes=9000 - 4000 * index, means={"quality": 0.5 + 0.1 * index},
            sources={"code": 3, "prose": 20}, splits={}, terms=tuple(name.split("-")),
            examples=(DomainExample(id=f"d{index}", excerpt=EVIL),), kmeans_clusters=(),
        )
        for index, name in enumerate(DOMAINS)
    ]  # fmt: skip
    clusters = [
        ClusterSummary(
            cluster=i,
            documents=5,
            bytes=500 * (i + 1),
            means={},
            domain=i % 4 - 1,
            pruned=None,
            position=(i % 3, i / 2),
        )
        for i in range(8)
    ]
    Domains(domains=tuple(domains)).write(folder)
    bucket = DomainBucket(
        domain=DOMAINS[0], topic="code", buckets=("low",), at_least=None, below=0.5, documents=40, tokens=900
    )
    DomainBuckets(score="edu", within="corpus", domains=(bucket,)).write(folder)
    ClusterMap(clusters=tuple(clusters)).write(folder)
    topic = TopicShare(name="Code", description="", documents=40, predicted=0.5, corrected=0.4, low=0.3, high=0.5)
    Taxonomy(topics=(topic,), told={"labelled": 9}, labelled=5, labelled_not_in_pool=0).write(folder)


def _tokenize(folder: Path) -> None:
    sizes: tuple[tuple[Split, int], ...] = (("train", 4000), ("search", 400), ("test", 600))
    splits = {
        split: PackedSplit(
            file=f"tokens/{split}.bin",
            starts=f"tokens/{split}.starts.bin",
            tokens=tokens,
            bytes=4 * tokens,
            documents=9,
        )
        for split, tokens in sizes
    }
    domains = tuple(PackedDomain(name=name, index=index, splits=splits) for index, name in enumerate(DOMAINS))
    TokenPoolIndex(vocab_size=512, document_end=0, token_bits=16, domains=domains).write(folder)


def _search(folder: Path) -> None:
    rng = generator(0, "search")
    kinds = ["natural", "uniform", *["design"] * 4, "repeat", *["proposal"] * 5]
    rows = []
    for number, kind in enumerate(kinds):
        weights = {"natural": NATURAL, "repeat": NATURAL, "uniform": UNIFORM}.get(kind)
        weights = tuple(rng.dirichlet([1, 1, 1]).tolist()) if weights is None else weights
        bpb = tuple((2.5 + 0.1 * rng.standard_normal(3)).tolist())
        first = ProxyRun(number, 0, "design", int(kind == "repeat"), 1000, 6000, 10**6, sum(bpb) / 3, weights, bpb)
        rows.append(replace(first, kind=kind, round=int(kind == "proposal")))  # type: ignore[arg-type]
    (folder / RUNS_FILE).write_text(to_csv(RunTable(DOMAINS, DOMAINS, "bits per byte", tuple(rows))), encoding="utf-8")
    Forecast(
        objective="mean bits per byte over domains", gain_over_natural=0.021, lower=0.009, upper=0.033, confidence=0.9,
        predicted_searched=2.48, predicted_natural=2.501,
        per_domain={name: DomainForecast(natural=2.5, searched=2.48) for name in DOMAINS},
        model_parameters=1000, tokens=6000, noise_sd=0.004, status="one size",
        statement="A model of 1,000 parameters is predicted to gain 0.0210.",
    ).write(folder)  # fmt: skip
    held_out = tuple(
        HeldOutPrediction(run=row.run, measured=row.objective, predicted=row.objective + 0.01, sd=0.02)
        for row in rows
        if row.kind != "repeat"
    )
    Candidates(
        strategy="default", rounds=(), noise_sd=0.004, kl_to_natural=0.0, considered=(), confirmation=None,
        predictor=ChosenPredictor(
            name="gp", runs=len(held_out), inflation=1.0,
            members=(StackMember(name="gp", params={"kind": "gp"}, share=1.0, hyperparameters=None),),
        ),
        tried=tuple(
            PredictorScore(name=name, rmse=0.01, spearman=0.8, coverage=0.9) for name in ("gp", "log_linear")
        ),
        held_out=held_out,
        decision=ChosenMixture(source="predicted", reason="predicted to beat the best measured"),
        transfer=None, pareto=None,
        supply=TokenSupply(target=(9000, 9000, 9000), proxy=(9000, 9000, 9000)),
        interactions=Interactions(
            sets=DOMAINS, domains=DOMAINS, unit="bits per byte", step=0.1,
            values=((0.05, -0.002, 0.0), (0.001, 0.04, 0.002), (0.0, 0.003, -0.012)),
        ),
    ).write(folder)  # fmt: skip
    Recipe(
        domains=DOMAINS, stages=(RecipeStage(tokens=6000, weights=SEARCHED),), max_epochs=4.0, objective=UNIFORM,
        baselines={"natural": NATURAL, "uniform": UNIFORM, "unimax": UNIFORM},
    ).write(folder)  # fmt: skip


def _train(folder: Path, seeds: int) -> None:
    mixtures: tuple[MixtureName, ...] = ("searched", "natural", "uniform")
    runs = tuple(trained_run(mixture, seed, DOMAINS) for mixture in mixtures for seed in range(seeds))
    for run in runs:
        (folder / run.folder).mkdir(parents=True)
        losses = [6 / (step + 1) ** 0.1 + 0.01 * run.seed for step in range(30)]
        (folder / run.folder / LOSSES_FILE).write_text(losses_text(losses), encoding="utf-8")
    TrainedRuns(runs=runs).write(folder)
    # A run's own folder has them where anything is planted, and where its model has experts.
    item = PlantedItem(id="a", context="", probe="b", exposures=1, tokens="1 2", samples=(3,), offsets=(4,))
    PlantedPlan(seed=0, experiments=(PlantedPart(name="facts", items=(item,)),)).write(folder)
    used = DomainUse(tokens=100, shares=(0.7, 0.3), drop_rate=0.05, first_to_second=1.8, second_to_third=None)
    layer = LayerUse(
        balance=1.2, information=0.1, drop_rate=0.05, whole_drop_rate=0.1, coefficient=0.01, domains={DOMAINS[0]: used}
    )
    ExpertsUsed(num_experts=2, num_active=1, first_step=27, last_step=29, layers=(layer,)).write(folder)
    update = ForecastUpdate(
        share=0.5, step=15, losses={"searched": 5.0}, expected={"searched": 5.1}, off=-0.5, values={},
        gain=Said(value=0.021, lower=0.009, upper=0.033),
    )  # fmt: skip
    ForecastUpdates(confidence=0.8, updates=(update,)).write(folder)
    stages = RunForgetting(
        run="searched-seed0", mixture="searched", seed=0, steps=(0, 15, 30), stages=DOMAINS[:2],
        bits_per_byte=((3.0, 3.0, 3.0), (2.0, 3.1, 2.9), (2.5, 2.0, 2.8)), backward={DOMAINS[0]: 0.5},
        forward={DOMAINS[1]: 0.1},
    )  # fmt: skip
    Forgetting(domains=DOMAINS, runs=(stages,)).write(folder)
    said = [
        {"step": step, "tokens": 64 * step, "ratio": 0.5, "loss": 3.0, "state": "within", "law": "tokens"}
        | {"predicted": 3.04, "lower": 3.0, "upper": 3.1}
        for step in (10, 20, 30)
    ]
    told = {"run": "searched-seed0", "mixture": "searched", "seed": 0, "domains": {DOMAINS[0]: 1.0}, "before": 2.9}
    guarded = GuardedRun.model_validate(told | {"limit": 3.05, "verdicts": said})
    Guard(tolerance=0.15, confidence=0.8, start=None, runs=(guarded,)).write(folder)


def _table(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path)


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _records(folder: Path) -> tuple[FileRecord, ...]:
    return tuple(_record(folder, path) for path in _published(folder))


def _published(folder: Path) -> Iterable[Path]:
    return sorted(
        (p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"), key=lambda p: p.as_posix()
    )


def _record(folder: Path, path: Path) -> FileRecord:
    return FileRecord(path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size)
