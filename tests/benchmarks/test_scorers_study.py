"""The study of scorers: its files are leaderboards', and the damage it plants is what its ratings say."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.studies import scorers
from benchmarks.studies.scorer_boards import CHECKS, shuffled, write_planted
from tasks.leaderboard.config import LeaderboardParams
from tasks.leaderboard.entrants import entrants


@pytest.mark.parametrize("check", CHECKS)
def test_the_file_of_every_check_is_a_leaderboard(check: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for family in ("steps", "sources"):
        (tmp_path / "models" / f"{family}.json").write_text(json.dumps({"a": -2.0, "b": -1.0}))
    values = scorers.board(argparse.Namespace(check=check, seeds=3, tokens=102_400), tmp_path)
    params = LeaderboardParams.model_validate(values)
    found = {(one.selector, one.keep) for one in entrants(params) if one.role == "selector"}
    assert found == {(one.name, keep) for one in params.selectors for keep in params.keep}


def test_shuffled_words_are_those_of_the_text_and_as_many_move_as_the_rating_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(f"w{number}" for number in range(400)) + "\nend"
    for share in (0.0, 0.25, 1.0):
        found = shuffled(text, share, "a")
        assert sorted(found.split()) == sorted(text.split()) and found.count("\n") == 1
        moved = sum(one != other for one, other in zip(found.split(), text.split(), strict=True))
        assert moved == pytest.approx(401 * share, abs=25)
    record = {"id": "a", "source": "books", "text": " ".join(f"w{number}" for number in range(5_000))}
    monkeypatch.setattr(
        "benchmarks.studies.scorer_boards.sampled", lambda data, every: [record, record | {"source": "x"}]
    )
    write_planted(tmp_path, tmp_path, 1)
    pieces = [json.loads(line) for line in (tmp_path / "input/pool.jsonl").read_text().splitlines()]
    levels = {one["id"]: one["overall"] for one in map(json.loads, (tmp_path / "all.jsonl").read_text().splitlines())}
    assert len(pieces) == 25 and {*levels} == {one["id"] for one in pieces if one["source"] != "clean"}
    whole = {id_ for id_, level in levels.items() if level == 5}
    assert whole == {one["id"] for one in pieces if one["id"] in levels and one["text"] in record["text"]}
