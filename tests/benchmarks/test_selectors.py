"""The study of selectors: its file is a leaderboard's, and what cannot be run is named."""

import argparse
from pathlib import Path

import pytest

from benchmarks.studies import selectors
from tasks.leaderboard.config import LeaderboardParams
from tasks.leaderboard.entrants import entrants


def test_the_file_of_the_study_is_a_leaderboard_and_what_is_left_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for name, _ in selectors.SELECTORS]
    asked = argparse.Namespace(selectors=names, keep=[0.1, 0.3], seeds=3, tokens=50 * 2048)
    monkeypatch.setattr(selectors, "find_spec", lambda name: None)
    values, missing = selectors.board(tmp_path, tmp_path, asked)
    assert missing == ["fasttext (the extra `classifiers` is not installed)"]
    found = entrants(LeaderboardParams.model_validate(values))
    assert [one.selector for one in found if one.role == "selector"] == [n for n in names if n != "fasttext"] * 2
    asked.selectors = ["longest"]
    _, missing = selectors.board(tmp_path, tmp_path, asked)
    assert "betr (not asked for)" in missing
