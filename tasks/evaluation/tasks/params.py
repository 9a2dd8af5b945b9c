"""Which tasks are put to models, and the weighted sets of their scores that are told as one."""

from collections.abc import Iterable, Mapping

from pydantic import Field, FiniteFloat

from tasks.core.digest import digest_json
from tasks.core.identity import params_of
from tasks.core.params import Params
from tasks.evaluation.tasks.kinds import TaskConfig, method

NAME = r"^[A-Za-z0-9][A-Za-z0-9_+-]*$"


class TaskParams(Params):
    """A task: its name, the file of its items, and how they are asked."""

    name: str = Field(pattern=NAME)
    file: str = Field(min_length=1, description="one JSON object a line")
    task: TaskConfig


class ScoreSetParams(Params):
    """Scores told as one: the weighted mean of `task` (its primary score) or `task.score`.

    Weights need not sum to 1. A set such as CORE (arXiv 2406.11794) is the mean centred accuracy of its tasks.
    """

    name: str = Field(pattern=NAME)
    weights: Mapping[str, FiniteFloat] = Field(min_length=1, description="by score, such as arc_easy.centred_accuracy")

    def mistakes(self) -> Iterable[str]:
        """Return whether there is a mean at all."""
        if any(weight <= 0 for weight in self.weights.values()):
            yield "weights: each has to be above 0. Leave a score out that does not count"


class TaskSetParams(Params):
    """Tasks and sets of their scores."""

    tasks: tuple[TaskParams, ...] = Field(default=(), description="put to every model; none = bits per byte alone")
    score_sets: tuple[ScoreSetParams, ...] = ()

    def mistakes(self) -> Iterable[str]:
        """Return names that stand twice, and scores of no task."""
        names = [*(task.name for task in self.tasks), *(one.name for one in self.score_sets)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"tasks and score_sets: {', '.join(twice)} stand there twice. Give each a name of its own"
        known = {task.name for task in self.tasks}
        for one in self.score_sets:
            if strangers := sorted(name for name in one.weights if name.partition(".")[0] not in known):
                yield f"score_sets, {one.name}: no task is called {', '.join(strangers)}; tasks: {', '.join(sorted(known))}"


def task_digest(file: str, task: TaskConfig) -> str:
    """Return the digest of what a task is, from its file's: two scores are of one task where it is the same."""
    return digest_json([file, params_of(task)])


def score_of(name: str, tasks: Mapping[str, TaskConfig]) -> tuple[str, str]:
    """Return task and score of a name such as `arc_easy` (the primary score) or `arc_easy.accuracy`."""
    task, _, score = name.partition(".")
    return task, score or method(tasks[task]).primary
