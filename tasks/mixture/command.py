"""What a search leaves to the run it is for and to the machine, and what is shown of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.mixture.config import SearchParams
from tasks.runtime.command import Section, StageExtras
from tasks.training.command import proxy_precision

if TYPE_CHECKING:
    from tasks.runtime.task import Shown


def complete(params: SearchParams, section: Section) -> SearchParams:
    """Return params aimed at the run that is trained."""
    return params.aimed_at(section("train").training)


def decide(params: SearchParams) -> SearchParams:
    """Return params with the precision of the proxies decided."""
    return params.decided(proxy_precision())


def show(folder: Path) -> "Shown":
    """Return the pictures and tables of a search."""
    from tasks.mixture.outcome import FILES
    from tasks.mixture.pictures.gallery import best_mixtures, search_pictures
    from tasks.runtime.task import Shown

    return Shown(search_pictures(folder), FILES, {"best-mixtures": best_mixtures(folder)})


def refuse(params: SearchParams, section: Section, inputs: Mapping[str, Path]) -> None:
    """Refuse tasks of evaluate that the models which are trained on the recipe could not answer."""
    from tasks.evaluation.tasks.ahead import require_answerable_later

    if (evaluate := section("evaluate")).tasks:
        require_answerable_later(evaluate, [section("train").training.model], inputs)


EXTRAS = StageExtras(complete=complete, decide=decide, refuse=refuse, show=show)
