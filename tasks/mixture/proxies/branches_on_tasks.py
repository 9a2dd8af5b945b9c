"""Branches of a search's last stage that are put to tasks as well, as proxies are."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.results import Here, UnitResult
from tasks.mixture.proxies.branches import BranchesArgs, measured_branches
from tasks.mixture.proxies.on_tasks import AskedTasks
from tasks.training.types import DivergedError


@dataclass(frozen=True)
class TaskBranchesArgs:
    """A trunk with its branches, and the tasks."""

    branches: BranchesArgs
    asked: AskedTasks


def search_branches_on_tasks(
    args: Sequence[TaskBranchesArgs], places: Sequence[Here]
) -> list[UnitResult | DivergedError]:
    """Measure trunks with their branches, on their domains and then on tasks."""
    measure = args[0].asked.measure(args[0].branches.pool.local())
    return [measured_branches(each.branches, here, measure) for each, here in zip(args, places, strict=True)]
