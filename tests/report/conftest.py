"""Stage folders to report on, and the page made from them."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from tasks.mixture.pictures import evidence_plots, search_plots
from tasks.pictures import epochs, forgetting
from tasks.report import page as page_module
from tasks.report import run_plots, score_plots, text_plots
from tasks.report.config import ReportParams
from tasks.report.load import PageContent, read_content
from tasks.report.page import render
from tests.report.folders import add_evidence, commit, stage_folders

# What draws, by the module in which the page finds it.
DRAWING = {
    run_plots: ("decision", "differences", "forecast_beside_outcome"),
    text_plots: ("funnel", "reasons", "domain_map", "cluster_map"),
    search_plots: ("mixture", "regret", "predicted", "epochs"),
    evidence_plots: ("interactions", "pareto", "confirmation", "transfer"),
    score_plots: ("histogram",),
    epochs: ("loss_against_epochs",),
    forgetting: ("matrix",),
    page_module: ("curves", "experts_by_domain"),
}


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator[None]:
    """A picture of what was drawn before is the one drawn before: most pages differ from others in one of twenty.

    That it has the same bytes when it is drawn again is shown by processes that know nothing of this.
    """
    drawn = dict[bytes, str]()

    def remembered(draw: Callable[..., str]) -> Callable[..., str]:
        def found(*given: object) -> str:
            key = pickle.dumps((draw.__module__, draw.__name__, given))
            return drawn[key] if key in drawn else drawn.setdefault(key, draw(*given))

        return found

    with ExitStack() as stack:
        for module, names in DRAWING.items():
            for name in names:
                stack.enter_context(patch.object(module, name, remembered(getattr(module, name))))
        yield


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A set of folders that tests only read."""
    return stage_folders(tmp_path_factory.mktemp("stages"))


@pytest.fixture
def own_folders(tmp_path: Path) -> dict[str, Path]:
    """A set of folders that a test may change."""
    return stage_folders(tmp_path / "data")


@pytest.fixture(scope="session")
def content(folders: dict[str, Path]) -> PageContent:
    return read_content(folders, ReportParams())


@pytest.fixture(scope="session")
def searching(tmp_path_factory: pytest.TempPathFactory) -> PageContent:
    """What is told of a search that looked at everything it can look at."""
    made = stage_folders(tmp_path_factory.mktemp("searching"))
    add_evidence(made["search"])
    commit(made)
    return read_content(made, ReportParams())


@pytest.fixture(scope="session")
def page(content: PageContent) -> str:
    return render(content, ReportParams())
