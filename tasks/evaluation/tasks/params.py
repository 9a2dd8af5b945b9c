"""Which tasks are put to models, and the weighted sets of their scores that are told as one."""

from collections.abc import Iterable, Mapping

from pydantic import Field, FiniteFloat

from tasks.core.digest import digest_json
from tasks.core.identity import params_of
from tasks.core.params import Params
from tasks.evaluation.harness.params import HarnessResultsParams
from tasks.evaluation.tasks.baselines import TABLES, Baselines
from tasks.evaluation.tasks.kinds import TaskConfig, method

NAME = r"^[A-Za-z0-9][A-Za-z0-9_+-]*$"


class TaskParams(Params):
    """A task: its name, the file of its items, and how they are asked."""

    name: str = Field(pattern=NAME)
    file: str = Field(min_length=1, description="one JSON object a line")
    task: TaskConfig


class ScoreSetParams(Params):
    """Scores told as one: the weighted mean of `task` (its primary score) or `task.score`; weights need not sum to 1.

    CORE (arXiv 2406.11794) is `baselines: dclm_core_v2` without weights: the mean of its 22 tasks' accuracies, each centred.
    """

    name: str = Field(pattern=NAME)
    weights: Mapping[str, FiniteFloat] = Field(
        default={}, description="by score, such as arc_easy.accuracy; may be left out where `baselines` is given"
    )
    baselines: Baselines | None = Field(
        default=None, description="centre each accuracy at its task's random baseline in this table; null = as they are"
    )

    def mistakes(self) -> Iterable[str]:
        """Return whether there is a mean at all."""
        if not self.weights and self.baselines is None:
            yield "weights: there is none, so no mean. Name scores and their weights"
        if any(weight <= 0 for weight in self.weights.values()):
            yield "weights: each has to be above 0. Leave a score out that does not count"

    @property
    def shares(self) -> Mapping[str, float]:
        """The weight of each score; without weights all tasks of the table count the same."""
        return self.weights or ({f"{task}.accuracy": 1.0 for task in TABLES[self.baselines]} if self.baselines else {})


class TaskSetParams(Params):
    """Tasks and sets of their scores."""

    tasks: tuple[TaskParams, ...] = Field(default=(), description="put to every model; none = bits per byte alone")
    score_sets: tuple[ScoreSetParams, ...] = ()
    harness_results: tuple[HarnessResultsParams, ...] = Field(
        default=(), description="of lm-evaluation-harness, one file for each model; sets of scores may name their tasks"
    )

    def mistakes(self) -> Iterable[str]:
        """Return names that stand twice, and scores of no task."""
        names = [*(task.name for task in self.tasks), *(one.name for one in self.score_sets)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"tasks and score_sets: {', '.join(twice)} stand there twice. Give each a name of its own"
        if self.harness_results:
            return  # their tasks are known when the files are read
        known = {task.name for task in self.tasks}
        for one in self.score_sets:
            if not (strangers := sorted(name for name in one.shares if name.partition(".")[0] not in known)):
                continue
            if not one.weights:
                yield (
                    f"score_sets, {one.name}: {len(strangers)} of the {len(one.shares)} tasks of {one.baselines} are not "
                    f"among tasks; first: {strangers[0].partition('.')[0]}. Name those that there are in weights"
                )
            else:
                yield f"score_sets, {one.name}: no task is called {', '.join(strangers)}; tasks: {', '.join(sorted(known))}"


def task_digest(file: str, task: TaskConfig) -> str:
    """Return the digest of what a task is, from its file's: two scores are of one task where it is the same."""
    return digest_json([file, params_of(task)])


def task_in(name: str, tasks: Iterable[str]) -> tuple[str, str] | None:
    """Return the task that the name of a score begins with, and the score behind it ("" = its primary one); None without.

    Tasks of the harness may have dots in their names: the longest that fits is meant.

    >>> task_in("board.v2.acc", ["board", "board.v2"]), task_in("copa", ["copa"]), task_in("copal", ["copa"])
    (('board.v2', 'acc'), ('copa', ''), None)
    """
    found = [task for task in tasks if f"{name}.".startswith(f"{task}.")]
    return (task := max(found, key=len), name[len(task) + 1 :]) if found else None


def score_of(name: str, tasks: Mapping[str, TaskConfig]) -> tuple[str, str]:
    """Return task and score of a name such as `arc_easy` (the primary score) or `arc_easy.accuracy`."""
    task, _, score = name.partition(".")
    return task, score or method(tasks[task]).primary
