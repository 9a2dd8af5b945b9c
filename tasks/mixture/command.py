"""What a search leaves to the run it is for and to the machine, and what is shown of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.mixture.config import SearchParams
from tasks.runtime.command import StageExtras
from tasks.training.command import proxy_precision

if TYPE_CHECKING:
    from tasks.runtime.task import Shown


def complete(params: SearchParams, section: Callable[[str], Any]) -> SearchParams:
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


EXTRAS = StageExtras(complete=complete, decide=decide, show=show)
