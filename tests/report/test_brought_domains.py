"""The page where domains were not found in clusters but brought."""

from pathlib import Path

from tasks.cluster.published.domains import ClusterMap
from tasks.report.config import ReportParams
from tasks.report.load import read_content
from tasks.report.page import render
from tests.report.folders import commit

AXES = "on two principal axes"


def test_no_map_of_clusters_is_drawn_where_there_are_none(page: str, own_folders: dict[str, Path]) -> None:
    ClusterMap(clusters=()).write(own_folders["cluster"])
    commit(own_folders)
    without = render(read_content(own_folders, ReportParams()), ReportParams())
    assert AXES in page
    assert AXES not in without
