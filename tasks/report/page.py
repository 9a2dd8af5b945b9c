"""The page: a story and its pictures through one template. Text from documents is escaped, always."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.core.account import Count
from tasks.report import plots
from tasks.report.config import ReportParams
from tasks.report.types import MIXTURES, Difference, Source, Story

_TEMPLATES = Path(__file__).with_name("templates")


def render(story: Story, params: ReportParams) -> str:
    """Return the whole page as HTML: it needs no network, no script and no other file."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "size": plots.size,
        "percent": lambda share: f"{share:.1%}",
        "bits": lambda value: f"{value:.4f}",
        "gain": lambda value: f"{value:+.4f}".replace("-", "−"),
        "millions": lambda number: f"{number / 1e6:.2f}M",
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "short": lambda digest: digest[:12],
    }
    # The stylesheet is this package's own file, and the pictures escape what they write: both are markup already.
    css = Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("report.html").render(
        title=params.title,
        css=css,
        story=story,
        plots=pictures(story),
        MIXTURES=MIXTURES,
        mixture_rows=mixture_rows(story),
        bits_rows=bits_rows(story),
        lost=_lost,
    )


def pictures(story: Story) -> dict[str, Markup]:
    """Return every picture of the page by name."""
    drawn = {
        "forecast": plots.forecast_beside_outcome(story.forecast, story.evaluation),
        "funnel": plots.funnel(story.curation),
        "reasons": plots.reasons(story.curation),
        "map": plots.domain_map(story.map),
        "clusters": plots.cluster_map(story.map),
        "mixture": plots.mixture(story.recipe),
        "epochs": plots.epochs(story.recipe, story.map),
        "objective": plots.objective(story.search, story.forecast),
        "predicted": plots.predicted(story.search),
        "curves": plots.curves(story.curves),
        "differences": plots.differences(story.evaluation),
    }
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704


def mixture_rows(story: Story) -> list[dict[str, Any]]:
    """Return, per domain, its tokens, its weight in each mixture, and its epochs in the searched and natural one."""
    recipe, domains = story.recipe, story.map.domains
    weights = {name: recipe.weights(name) for name in MIXTURES}
    epochs = {name: plots.epochs_of(recipe, story.map, name) for name in MIXTURES}
    return [
        {
            "domain": domain,
            "weights": {name: weights[name][index] for name in MIXTURES},
            "epochs": {name: epochs[name][index] for name in MIXTURES},
        }
        for index, domain in enumerate(domains)
    ]


def bits_rows(story: Story) -> list[dict[str, Any]]:
    """Return, per domain and at last for their mean, bits per byte of each mixture and the paired differences."""
    found = story.evaluation
    rows: list[dict[str, Any]] = []
    for index, name in enumerate((*found.domains, "mean over domains")):
        last = index == len(found.domains)
        rows.append(
            {
                "name": name,
                "last": last,
                "bits": {key: found.overall[key] if last else found.means[key][index] for key in found.means},
                "differences": {key: _told(values[index]) for key, values in found.differences.items()},
            }
        )
    return rows


def _told(difference: Difference) -> dict[str, Any]:
    """Return a difference with a word for what its interval says, so that colour is not the only sign."""
    word = "better" if difference.lower > 0 else "worse" if difference.upper < 0 else "open"
    return {"gain": difference.gain, "lower": difference.lower, "upper": difference.upper, "word": word}


def _lost(source: Source) -> Count:
    return sum(source.dropped.values(), Count())
