"""What the evaluate stage has published in a set of stage folders, with every analysis."""

from collections.abc import Sequence
from pathlib import Path

from tasks.evaluation.decide import decision
from tasks.evaluation.planted.published import (
    ExperimentEffect,
    LevelEffect,
    PlantedEffects,
    PlantedMixture,
    ProbedItem,
)
from tasks.evaluation.published import (
    Continuation,
    Interval,
    JudgedForecast,
    JudgedSaying,
    MeasuredModel,
    MeasuredModels,
    Sample,
    Samples,
)
from tasks.evaluation.published_contamination import (
    ContaminatedModel,
    ContaminatedTask,
    Contamination,
    DomainExposure,
    Estimate,
    ExposureGroup,
    FoundItem,
    FoundItems,
    ItemExposure,
    SplitScore,
)
from tasks.evaluation.published_like import (
    DomainSpecificity,
    EpochPoint,
    FlatModel,
    Flatness,
    LossAgainstEpochs,
    RepeatedDomain,
    RepeatedModel,
    Specificity,
)
from tasks.evaluation.published_seen import Auroc, Memorisation, Memorised, MemorisedModel
from tasks.evaluation.tasks.published import AnsweredItem, Score, ScoredModel, Scores, TaskItems, TaskScores
from tasks.mixture.published import MixtureName, Recipe
from tasks.mixture.published_forecast import Forecast
from tests.evaluation.made import measured
from tests.report.names import DOMAINS, EVIL


def evaluate_folder(folder: Path, search: Path, seeds: int) -> None:
    gains: dict[MixtureName, float] = {"searched": 0.03, "natural": 0.0, "uniform": -0.01}
    models = [
        measured(mixture, seed, [2.5 - gain + 0.001 * seed * (1 + index) for index in range(3)], domains=DOMAINS)
        for mixture, gain in gains.items()
        for seed in range(seeds)
    ]
    decided = decision(
        models, Recipe.read(search), Forecast.read(search), confidence=0.95, model_parameters=5000, tokens=6000
    )
    said = {"forecasts": _judged(), "forecasts_statement": "Inside were 2 of 3."}
    # One seed is a run without any interval.
    (decided.model_copy(update=said) if seeds > 1 else decided).write(folder)
    MeasuredModels(domains=tuple(DOMAINS), models=tuple(models)).write(folder)
    written = tuple(Continuation(mixture=mixture, text=f"{EVIL} {mixture}") for mixture in gains)
    sample = Sample(domain=DOMAINS[0], prompt="def f(", document="self): ...", continuations=written)
    Samples(seed=0, temperature=0.8, samples=(sample,)).write(folder)
    _memorised(folder)
    _contaminated(folder, models)
    flat = FlatModel(
        model="searched-seed0", parameters=5000, loss=3.0, trace=40.0, standard_error=4.0, critical_sharpness=2.0
    )
    Flatness(windows=16, num_probes=16, seed=0, models=(flat,)).write(folder)
    _planted(folder)
    specific = DomainSpecificity(
        mixture="searched",
        general_tokens=100.0,
        domain_tokens=200.0,
        general_bpb=2.0,
        domain_bpb=1.9,
        specificity=Interval(gain=0.1),
        doublings=1.0,
        gain_per_doubling=0.1,
    )
    Specificity(general="natural", confidence=0.95, domains={DOMAINS[0]: specific}, spearman=None).write(folder)
    _repeated(folder, models)
    _scores(folder, [f"{mixture}-seed{seed}" for mixture in gains for seed in range(seeds)])


def _repeated(folder: Path, models: Sequence[MeasuredModel]) -> None:
    """Write that every run went through its domains, and that the loss of one turned up again behind two epochs."""

    def domain(name: str, number: int, bits: float) -> RepeatedDomain:
        epochs = [(1, 0.5), (2, 1.5), (3, 2.5)]
        course = [bits + 0.4, bits, bits + 0.1 * number]
        points = tuple(
            EpochPoint(step=40 * step, epochs=one, bits_per_byte=value)
            for (step, one), value in zip(epochs, course, strict=True)
        )
        return RepeatedDomain(epochs=2.5 - number, bits_per_byte=bits, on_the_way=points)

    LossAgainstEpochs(
        models=tuple(
            RepeatedModel(
                model=f"{one.mixture}-seed{one.seed}",
                mixture=one.mixture,
                seed=one.seed,
                domains={name: domain(name, number, one.bpb[name]) for number, name in enumerate(DOMAINS)},
            )
            for one in models
        )
    ).write(folder)


def _judged() -> tuple[JudgedForecast, ...]:
    """Return what was said of gains and values before training, and of most on the way too."""
    hit = JudgedSaying(share=0.0, value=-0.021, lower=-0.033, upper=-0.009, inside=True)
    miss = JudgedSaying(share=0.75, value=0.5, lower=0.4, upper=0.6, inside=False)
    on_the_way = [hit.model_copy(update={"share": share}) for share in (0.25, 0.5)]
    said = (hit, *on_the_way, miss, hit.model_copy(update={"share": 0.95}))
    return (
        JudgedForecast(set=None, mixture=None, outcome=0.03, said=said),
        JudgedForecast(set=None, mixture="searched", outcome=0.03, said=said),
        JudgedForecast(set=DOMAINS[0], mixture="natural", outcome=0.03, said=said),
        JudgedForecast(set=DOMAINS[1], mixture=None, outcome=0.03, said=(hit,)),
    )


def _memorised(folder: Path) -> None:
    """Write that one model is known to have memorised one domain; of another there are too few pairs."""
    auroc = {"min_k_20": Auroc(value=0.7, lower=0.6, upper=0.8, pairs=40)}
    seen = Memorised(pairs=40, exposure=3.5, member_tokens=60.0, other_tokens=60.5, auroc=auroc)
    none = Memorised(pairs=0, exposure=None, member_tokens=None, other_tokens=None, auroc={})
    domains = {DOMAINS[0]: seen, DOMAINS[1]: none}
    model = MemorisedModel(model="searched-seed0", domains=domains, within_domains=auroc)
    Memorisation(confidence=0.95, models=(model,)).write(folder)


def _contaminated(folder: Path, models: Sequence[MeasuredModel]) -> None:
    """Write that one model was trained on half of a task's items, and scores higher on them; no other model was."""

    def score(value: float) -> Score:
        return Score(value=value, standard_error=0.01, direction="higher")

    def task(contaminated: int) -> ContaminatedTask:
        difference = Estimate(value=0.3, lower=0.2, upper=0.4, units=20)
        split = SplitScore(
            all=score(0.5),
            without_contaminated=score(0.35 if contaminated else 0.5),
            contaminated=score(0.65) if contaminated else None,
            difference=difference if contaminated else None,
        )
        groups = (
            ExposureGroup(above=-1, up_to=0, items=40 - contaminated, exposure=0, score=score(0.35)),
            ExposureGroup(above=2, up_to=4, items=20, exposure=3.1, score=score(0.65)),
        )
        return ContaminatedTask(
            items=40, not_looked_for=3, contaminated=contaminated, primary="accuracy", scores={"accuracy": split},
            exposures=groups if contaminated else groups[:1],
            slope=Estimate(value=0.2, lower=0.1, upper=0.3, units=20) if contaminated else None,
        )  # fmt: skip

    names = [f"{model.mixture}-seed{model.seed}" for model in models]
    Contamination(
        confidence=0.95, ngram_words=13, whole_text_words=8, min_hits=1, common_documents=None, documents=1000,
        documents_hit=21,
        models=tuple(
            ContaminatedModel(model=name, common_ngrams=0, tasks={"arc": task(20 if number == 0 else 0)})
            for number, name in enumerate(names)
        ),
        tasks_across_models={"arc": Estimate(value=0.15, lower=-0.1, upper=0.4, units=20)},
        domains={
            domain: {
                name: DomainExposure(epochs=0.5, bits_per_byte=model.bpb[domain])
                for name, model in zip(names, models, strict=True)
            }
            for domain in DOMAINS
        },
        domains_across_models=None,
    ).write(folder)  # fmt: skip
    seen = ItemExposure(ngrams=9, ngrams_seen=9, places=27, exposure=3.0, ngram=f"{EVIL} words of an item")
    FoundItems(tasks={"arc": (FoundItem(id="i1", line=1, models={names[0]: seen}),)}).write(folder)


def _planted(folder: Path) -> None:
    """Write that an experiment had an effect, and that it had items in common with no other."""
    level = LevelEffect(exposures=4, units=20, bits_per_byte=2.0, gain=0.5, lower=0.4, upper=0.6)
    effect = ExperimentEffect(
        experiment="facts",
        control_units=20,
        control_bits_per_byte=2.5,
        levels=(level,),
        gain=0.5,
        lower=0.4,
        upper=0.6,
        adjusted_p=0.001,
        detectable=0.1,
        found=True,
        over_seeds=None,
        statement="facts, planted 4 times: a gain of +0.5000 bits per byte",
    )
    item = ProbedItem(id="a", bits_per_byte=(2.0,), exposures={"facts": (4,)})
    mixture = PlantedMixture(mixture="searched", seeds=(0,), experiments=(effect,), interactions=None, items=(item,))
    PlantedEffects(confidence=0.95, power=0.8, mixtures=(mixture,)).write(folder)


def _scores(folder: Path, models: Sequence[str]) -> None:
    """Write what models scored on one task of two items."""
    values = {name: 0.5 + 0.01 * number for number, name in enumerate(models)}
    items = tuple(
        AnsweredItem(id=f"i{line}", line=line, gold=0, scores={name: {"accuracy": v} for name, v in values.items()})
        for line in (1, 2)
    )
    models_scored = []
    for name, value in values.items():
        one = Score(value=value, standard_error=0.02, direction="higher")
        task = TaskScores(items=2, left_out=1, primary="accuracy", scores={"accuracy": one})
        models_scored.append(ScoredModel(model=name, tasks={"pairs": task}, score_sets={"all": one}))
    Scores(identities={"pairs": "0" * 64}, models=tuple(models_scored)).write(folder)
    TaskItems(tasks={"pairs": items}).write(folder)
