"""Forgetting: bits per byte of every domain behind every stage, as a picture and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from tasks.core.words import counted
from tasks.pictures.canvas import INK, NATURAL, PAPER, SEARCHED, drawn, marked
from tasks.pictures.marks import room, short, signed
from tasks.training.published_forgetting import Forgetting, RunForgetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL, _ROW = 92.0, 34.0


@dataclass(frozen=True)
class StageMatrix:
    """The runs of a mixture, means over seeds: `bits` [stages + 1, domains], and forgetting and transfer over the seeds."""

    mixture: str
    seeds: int
    stages: tuple[str, ...]
    domains: tuple[str, ...]
    bits: tuple[tuple[float, ...], ...]
    backward: tuple[float, ...]
    forward: tuple[float, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """What stands beside the rows."""
        return ("before", *(f"{number}. {name}" for number, name in enumerate(self.stages, start=1)))

    @property
    def words(self) -> str:
        """What came out, in a sentence."""
        if not self.backward:
            return f"{self.mixture}: its stages are not of different domains, so no forgetting is told."
        told = [f"{_over(self.backward)} bits per byte forgotten", f"{_over(self.forward)} by what came before"]
        return f"{self.mixture}: {', '.join(told)} (mean over domains, {counted(self.seeds, 'seed')})."


def matrices(found: Forgetting) -> list[StageMatrix]:
    """Return what each mixture's runs say together; runs whose stages are alike are seeds of one."""
    together: dict[tuple[str, tuple[str, ...]], list[RunForgetting]] = {}
    for run in found.runs:
        together.setdefault((run.mixture, run.stages), []).append(run)
    return [_matrix(mixture, stages, found.domains, runs) for (mixture, stages), runs in together.items()]


def _matrix(
    mixture: str, stages: tuple[str, ...], domains: tuple[str, ...], runs: Sequence[RunForgetting]
) -> StageMatrix:
    rows = zip(*(run.bits_per_byte for run in runs), strict=True)
    bits = tuple(tuple(map(fmean, zip(*each, strict=True))) for each in rows)
    backward = tuple(run.mean_backward for run in runs if run.mean_backward is not None)
    forward = tuple(run.mean_forward for run in runs if run.mean_forward is not None)
    return StageMatrix(mixture, len(runs), stages, domains, bits, backward, forward)


def table_of(found: Forgetting) -> list[dict[str, object]]:
    """Return a row for every mixture, stage and domain."""
    return [
        {"mixture": one.mixture, "behind": name, "domain": domain, "bits per byte": f"{value:.4f}"}
        for one in matrices(found)
        for name, values in zip(one.rows, one.bits, strict=True)
        for domain, value in zip(one.domains, values, strict=True)
    ]


def matrix(name: str, found: StageMatrix) -> str:
    """Return the matrix as a picture: a row for each stage, coloured by the change; `name` makes ids unique."""
    changes = [[value - first for value, first in zip(row, found.bits[0], strict=True)] for row in found.bits]
    most = max(max(abs(one) for one in row) for row in changes) or 1.0

    def draw(axes: "Axes") -> None:
        for row, (values, own) in enumerate(zip(found.bits, changes, strict=True)):
            for column, (value, change) in enumerate(zip(values, own, strict=True)):
                colour = NATURAL if change > 0 else SEARCHED
                at_its_end = row > 0 and found.stages[row - 1] == found.domains[column]
                (cell,) = axes.fill(
                    [column - 0.5, column + 0.5, column + 0.5, column - 0.5],
                    [row - 0.5, row - 0.5, row + 0.5, row + 0.5],
                    facecolor=colour if change else PAPER, alpha=0.75 * abs(change) / most if change else 1.0,
                    edgecolor=PAPER, linewidth=1,
                )  # fmt: skip
                marked(
                    cell, f"{found.domains[column]}, {found.rows[row]}: {value:.4f} ({signed(change)} against before)"
                )
                weight = "bold" if at_its_end else "normal"
                axes.text(
                    column, row, f"{value:.3f}", ha="center", va="center", color=INK, fontsize=11, fontweight=weight
                )
        axes.set_xticks(range(len(found.domains)), [short(one, 13) for one in found.domains])
        axes.xaxis.set_ticks_position("top")
        axes.set_yticks(range(len(found.rows)), [short(one, 24) for one in found.rows])
        axes.set_xlim(-0.5, len(found.domains) - 0.5)
        axes.set_ylim(len(found.rows) - 0.5, -0.5)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    left = room([short(one, 24) for one in found.rows])
    size = (left + _CELL * len(found.domains) + 12, _ROW * len(found.rows) + 40)
    return drawn(name, found.words, size, (left, 12, 8, 32), draw)


def _over(values: Sequence[float]) -> str:
    ends = f" ({signed(min(values))} to {signed(max(values))})" if len(values) > 1 else ""
    return signed(fmean(values)) + ends
