"""The page: what it tells and its pictures through one template. Text from documents is escaped, always."""

from dataclasses import dataclass
from typing import Any

from tasks.core.account import Count
from tasks.evaluation.published import Decision, Interval
from tasks.evaluation.published_like import LossAgainstEpochs
from tasks.evaluation.tasks.published import Score, Scores
from tasks.mixture.pictures import search_plots
from tasks.mixture.pictures.gallery import pictures_of
from tasks.mixture.published import MIXTURES, Recipe
from tasks.mixture.shift import divergence
from tasks.pages.templating import page
from tasks.pictures import epochs, forgetting
from tasks.pictures.curves import curves
from tasks.pictures.experts import experts_by_domain, most_telling
from tasks.pictures.marks import share, signed
from tasks.report import run_plots, score_plots, text_plots
from tasks.report.card import TEMPLATES
from tasks.report.config import ReportParams
from tasks.report.curation import SourceFunnel
from tasks.report.load import PageContent
from tasks.training.guard.told import table_of as guard_rows
from tasks.training.published_forgetting import Forgetting


@dataclass(frozen=True)
class ScoreColumn:
    """One score of every model: of a task under its primary name, or a set of scores."""

    task: str
    score: str
    values: tuple[Score, ...]

    @property
    def best(self) -> float:
        """The best value of all models."""
        values = [one.value for one in self.values]
        return max(values) if self.values[0].direction == "higher" else min(values)


def render(content: PageContent, params: ReportParams) -> str:
    """Return the whole page as HTML."""
    told = {
        "headline": headline(content.evaluation.decision),
        "content": content,
        "MIXTURES": MIXTURES,
        "mixture_rows": mixture_rows(content),
        "shifts": stage_shifts(content.recipe),
        "bits_rows": bits_rows(content),
        "score_columns": score_columns(content.scores),
        "epoch_plots": epoch_plots(content.epochs),
        "guard_rows": [] if content.guard is None else guard_rows(content.guard),
        "forgetting_plots": forgetting_plots(content.forgetting),
        "epoch_rows": [] if content.epochs is None else epochs.rows_of(content.epochs),
        "lost": _lost,
        "most_telling": most_telling,
        "share": share,
    }
    return page("report.html", TEMPLATES, params.title, told, pictures(content))


def pictures(content: PageContent) -> dict[str, str]:
    """Return every picture of the page by name."""
    drawn = {
        "decision": run_plots.decision(content.evaluation),
        "funnel": text_plots.funnel(content.curation),
        "reasons": text_plots.reasons(content.curation),
        "map": text_plots.domain_map(content.map),
        "clusters": text_plots.cluster_map(content.map),
        **pictures_of(content.recipe, content.search, content.forecast),
        "epochs": search_plots.epochs(content.recipe, content.training.epochs, content.search.proxy_epochs),
        "curves": curves(content.training.curves),
        "differences": run_plots.differences(content.evaluation),
    }
    for domain, name in epoch_plots(content.epochs).items():
        assert content.epochs is not None
        drawn[name] = epochs.loss_against_epochs(name, domain, epochs.lines_of(content.epochs, domain))
    if content.training.experts is not None:
        drawn["experts"] = experts_by_domain(content.training.experts)
    drawn |= {name: forgetting.matrix(name, one) for one, name in forgetting_plots(content.forgetting)}
    if content.selection is not None:
        shown = enumerate(content.selection.histograms)
        drawn |= {f"score_{number}": score_plots.histogram(one, number) for number, one in shown}
    if (outcome := content.evaluation.decision.forecast) is not None:
        drawn["forecast"] = run_plots.forecast_beside_outcome(content.forecast, outcome, content.evaluation.unit)
    return drawn


def epoch_plots(found: LossAgainstEpochs | None) -> dict[str, str]:
    """Return the domains whose loss against epochs is drawn, each with the name of its picture."""
    domains = [] if found is None else epochs.most_repeated(found)
    return {domain: f"epochs_{number}" for number, domain in enumerate(domains)}


def forgetting_plots(found: Forgetting | None) -> list[tuple[forgetting.StageMatrix, str]]:
    """Return what each mixture's stages did to the domains, each with the name of its picture."""
    one_each = [] if found is None else forgetting.matrices(found)
    return [(one, f"forgetting_{number}") for number, one in enumerate(one_each)]


def headline(decision: Decision) -> str:
    """Return what a reader should do, in one sentence."""
    found = decision.comparisons[decision.baseline]
    if decision.claim:
        return "Train on the searched mixture."
    if found.below_zero:
        return f"Keep the {decision.baseline} mixture: the searched one is worse."
    if found.ends is None:
        return f"Keep the {decision.baseline} mixture: nothing here shows that another is better."
    return f"Keep the {decision.baseline} mixture, or measure with more seeds: no difference is shown."


def stage_shifts(recipe: Recipe) -> list[float | None]:
    """Return how far each stage's mixture begins from where that of the stage before ends, in nats; None for the first."""
    ends = [stage.end_weights or stage.weights for stage in recipe.stages]
    starts = [stage.weights for stage in recipe.stages[1:]]
    return [None, *(divergence(new, old) for new, old in zip(starts, ends, strict=False))]


def mixture_rows(content: PageContent) -> list[dict[str, Any]]:
    """Return, per domain, its tokens, its weight in each mixture, and its epochs in the searched one."""
    weights = {name: content.recipe.weights(name) for name in content.recipe.mixtures}
    gone_through = content.training.epochs.get("searched")
    return [
        {
            "domain": domain,
            "weights": {name: column[index] for name, column in weights.items()},
            "epochs": None if gone_through is None else gone_through[index],
        }
        for index, domain in enumerate(content.map.domains)
    ]


def bits_rows(content: PageContent) -> list[dict[str, Any]]:
    """Return, per domain, task of the objective and at last for the objective, each mixture and the paired differences."""
    found = content.evaluation
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "last": False,
            "bits": {mixture: means[index] for mixture, means in found.means.items()},
            "differences": {key: _told(each.per_domain[name]) for key, each in found.comparisons.items()},
        }
        for index, name in enumerate(found.domains)
    ]
    rows += [
        {
            "name": name,
            "last": False,
            "bits": bits,
            "differences": {key: _told(each.per_task[name]) for key, each in found.comparisons.items()},
        }
        for name, bits in found.decision.per_task.items()
    ]
    overall = {key: _told(each) for key, each in found.comparisons.items()}
    return [*rows, {"name": found.overall_name, "last": True, "bits": found.overall, "differences": overall}]


def score_columns(scores: Scores | None) -> list[ScoreColumn]:
    """Return the primary score of every task, then the sets of scores, each by model in the order of `scores.models`."""
    if scores is None:
        return []
    first, models = scores.models[0], scores.models
    tasks = [
        ScoreColumn(name, one.primary, tuple(model.tasks[name].scores[one.primary] for model in models))
        for name, one in first.tasks.items()
    ]
    sets = [ScoreColumn(name, "set", tuple(model.score_sets[name] for model in models)) for name in first.score_sets]
    return [*tasks, *sets]


def _told(difference: Interval) -> dict[str, Any]:
    """Return a difference with a word for what its interval says, so that colour is not the only sign."""
    if difference.ends is None:
        return {"gain": difference.gain, "interval": None, "word": "open"}
    lower, upper = difference.ends
    word = "better" if difference.above_zero else "worse" if difference.below_zero else "open"
    return {"gain": difference.gain, "interval": f"{signed(lower)} to {signed(upper)}", "word": word}


def _lost(source: SourceFunnel) -> Count:
    return sum(source.dropped.values(), Count())
