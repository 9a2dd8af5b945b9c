"""Grids of arms: which cell is the best by the primary score, and how far that can be believed."""

from collections.abc import Sequence
from itertools import product
from statistics import fmean

from tasks.arms.config import Arm
from tasks.arms.published import ArmRun, GridFound
from tasks.core.words import counted
from tasks.evaluation.tasks.item import Direction


def grids_found(
    arms: Sequence[Arm], runs: Sequence[ArmRun], primary: str, direction: Direction
) -> tuple[GridFound, ...]:
    """Return each grid with its best cell, in the order of the arms."""
    names = dict.fromkeys(arm.cell.grid for arm in arms if arm.cell is not None)
    return tuple(_found(name, arms, runs, primary, direction) for name in names)


def table_of(found: GridFound) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of a grid: the values of the last axis go to the right, those of the others down."""
    *down, across = found.axes
    labels = found.axes[across] if down else (found.grid,)
    width = len(labels)
    head = (" by ".join(place.rpartition(".")[2] for place in found.axes), *labels)
    values = [f"{value:.4f}" for value in found.values.values()]
    names = ["-".join(some) for some in product(*(found.axes[place] for place in down or [across]))]
    return head, [(name, *values[row * width : (row + 1) * width]) for row, name in enumerate(names)]


def _found(name: str, arms: Sequence[Arm], runs: Sequence[ArmRun], primary: str, direction: Direction) -> GridFound:
    cells = {arm.name: arm.cell.values for arm in arms if arm.cell is not None and arm.cell.grid == name}
    axes = {
        place: tuple(dict.fromkeys(values[place] for values in cells.values())) for place in next(iter(cells.values()))
    }
    means = {arm: fmean(run.scores[primary] for run in runs if run.arm == arm) for arm in cells}
    best = (min if direction == "lower" else max)(means, key=lambda arm: means[arm])
    edge = tuple(
        place for place, labels in axes.items() if len(labels) > 2 and cells[best][place] in (labels[0], labels[-1])
    )
    seeds = sum(run.arm == best for run in runs)
    return GridFound(
        grid=name,
        axes=axes,
        values=means,
        best=best,
        at_the_edge=edge,
        statement=_statement(name, best, means[best], len(cells), seeds, primary, edge),
    )


def _statement(name: str, best: str, value: float, cells: int, seeds: int, primary: str, edge: Sequence[str]) -> str:
    told = (
        f"Best of {cells} cells of {name} in {primary}: {best}, {value:.4f} (mean of {counted(seeds, 'seed')}). It was "
        "chosen by what it is measured by, so that is a little too good: run it alone with other seeds (`seed`)."
    )
    return told if not edge else f"{told} It lies at the edge of {' and '.join(edge)}: a better one may lie beyond."
