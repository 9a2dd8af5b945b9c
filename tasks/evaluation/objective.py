"""The tasks that the objective of a search names: the decision measures them on the items that the search did not see."""

from collections.abc import Sequence

from tasks.core.errors import ConfigError
from tasks.evaluation.tasks.params import score_of
from tasks.evaluation.tasks.stage import GivenTask, MeasuredTasks
from tasks.mixture.published import Recipe


def require_tasks(recipe: Recipe, tasks: Sequence[GivenTask]) -> None:
    """Refuse tasks that are not those of the search.

    Raises:
        ConfigError: a task that the objective names is not there, or is another one.
    """
    known = {task.params.name: task.digest for task in tasks}
    if wrong := [name for name, digest in recipe.tasks.items() if known.get(name) != digest]:
        why = "has another file or is asked in another way there" if wrong[0] in known else "is not there"
        raise ConfigError(
            f"evaluate.tasks: {len(wrong)} of {len(recipe.tasks)} tasks that the objective of {Recipe.FILE} names are not "
            f"those of the search; first: {wrong[0]} {why}. Name in evaluate.tasks what search.tasks names."
        )


def task_losses(
    sets: Sequence[str], tasks: Sequence[GivenTask], measured: MeasuredTasks, model: str
) -> dict[str, float]:
    """Return the scores of tasks that the objective names, on the half of the items that is kept for the decision."""
    configs, found = {task.params.name: task.params.task for task in tasks}, {}
    for name in sets:
        wanted, score = score_of(name, configs)
        (task,) = (one for one in tasks if one.params.name == wanted)
        found[name] = measured.loss(model, task, score, "test")
    return found
