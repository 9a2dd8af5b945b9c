"""Stage folders to report on, and the page made from them."""

from pathlib import Path

import pytest

from tasks.report.config import ReportParams
from tasks.report.load import PageContent, read_content
from tasks.report.page import render
from tests.report.folders import add_evidence, commit, stage_folders


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
