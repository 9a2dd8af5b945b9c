"""Scorers of texts and of vectors by local workers and by Ray: the same scores, also when workers are killed on the way."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.executors import Executor, Resources
from infra.local_executor import LocalExecutor
from infra.ray_executor import RayExecutor, ray_closed_after
from tasks.core.manifest import Manifest
from tasks.curate import gather
from tests.curate.scorers.embedded_folders import EMBEDDING, curate, documents, scores, topical, write_items
from tests.in_process import InProcess

# Of each step, which unit kills its worker before it has done anything, and which when all is written. What is learned is
# one unit, which kills two.
KILLS = {
    "curate.look": (2, 5),
    "curate.learn": (0, 0),
    "curate.score": (1, 6),
    "curate.embed": (3, 4),
    "curate.learn_vectors": (0, 0),
    "curate.score_vectors": (0, 7),
}
SCORERS = ("med", "taught", "near")
SHARDS = 8
NO_MORE = Resources()


def killing(work: Callable[[Any], Any], marks: Path) -> Callable[[tuple[int, Any]], Any]:
    """Do `work`, and kill the process that does it where KILLS says so, once for each scorer; `marks` are the kills."""

    def done(item: tuple[int, Any]) -> Any:
        number, order = item
        # Steps that do several units together are none of scorers.
        step = "" if isinstance(order, tuple) else order.step.name
        if step not in KILLS:
            return work(order)
        # Vectors are made for all scorers.
        what = f"{step} {order.args.scorer.config.name if hasattr(order.args, 'scorer') else 'all'}"
        before, after = KILLS[step]
        if number == before:
            killed_once(marks / f"{what} before")
        result = work(order)
        if number == after:
            killed_once(marks / f"{what} after")
        return result

    return done


def killed_once(mark: Path) -> None:
    """Kill this process, the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyRay(RayExecutor):
    """A Ray, some of whose workers are killed."""

    def __init__(self, workers: int, marks: Path) -> None:
        super().__init__(workers)
        self._marks = marks

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        resources: Resources = NO_MORE,
        *,
        warm: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        yield from super().map(killing(function, self._marks), [*enumerate(items)], resources, warm=warm)


@pytest.mark.slow
@pytest.mark.ray
def test_scores_are_the_same_for_any_shards_and_workers_local_or_on_ray_and_whoever_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("floret")
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    target = [str(write_items(tmp_path / "target.jsonl", [{"text": topical("med", 100 + i)} for i in range(4)]))]
    scorers: list[dict[str, Any]] = [
        {"kind": "dsir", "name": "med", "target": target},
        {
            "kind": "fasttext_trained",
            "name": "taught",
            "positive_files": target,
            "training": {"dimension": 8, "num_buckets": 500},
        },
        {"kind": "betr", "name": "near", "target": target, "embedding": EMBEDDING},
    ]
    marks = tmp_path / "marks"
    marks.mkdir()
    ways: dict[str, tuple[int, Executor]] = {
        "one": (1, InProcess()),
        "two": (2, LocalExecutor(2)),
        "eight": (SHARDS, LocalExecutor(SHARDS)),
        "ray": (2, RayExecutor(2)),
        "killed": (SHARDS, DeadlyRay(2, marks)),
    }
    found, outputs = dict[str, list[Any]](), dict[str, Path]()
    every = documents(SHARDS)
    with ray_closed_after():
        for name, (shards, executor) in ways.items():
            bounds = [len(every) * number // shards for number in range(1, shards)]
            outputs[name], _ = curate(tmp_path / name, scorers, every, bounds, executor)
            found[name] = [sorted(scores(outputs[name], scorer).items()) for scorer in SCORERS]
            executor.close()
    assert len({repr(one) for one in found.values()}) == 1
    models = {(output / "learned/taught/model.bin").read_bytes() for output in outputs.values()}
    assert len(models) == 1
    # Everything that is published, and not the scores alone.
    assert Manifest.read(outputs["killed"]).output == Manifest.read(outputs["eight"]).output
    of_texts = [f"{step} {scorer}" for step in ("look", "learn", "score") for scorer in SCORERS[:2]]
    of_vectors = ["embed all", "learn_vectors near", "score_vectors near"]
    expected = {f"curate.{what} {when}" for what in (*of_texts, *of_vectors) for when in ("before", "after")}
    assert {mark.name for mark in marks.iterdir()} == expected
