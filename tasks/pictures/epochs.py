"""Loss against epochs: how a domain's held-out loss went while its training text was gone through again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from tasks.core.words import counted
from tasks.evaluation.published_like import EpochPoint, LossAgainstEpochs, RepeatedDomain
from tasks.pictures.canvas import MUTED, SERIES, drawn, marked
from tasks.pictures.marks import KINDS, legend, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Domains that have a picture; all stand in the table.
_MOST_PICTURES = 4
_COLUMNS = 3


@dataclass(frozen=True)
class EpochLine:
    """Bits per byte of a domain against epochs in the runs of a mixture: mean over seeds, lowest and highest.

    A line of one point is the end of runs that were not evaluated on their way, on the test split.
    """

    mixture: str
    seeds: int
    epochs: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class EpochRow:
    """A domain in the runs of a mixture, means over seeds.

    `bits_per_byte` is that of the end on the test split; `at_one_epoch` and `at_end` are of the split `search`, None where
    the runs were not evaluated on their way, or never were between their first evaluation and one epoch.
    """

    domain: str
    mixture: str
    epochs: float
    bits_per_byte: float
    at_one_epoch: float | None
    at_end: float | None


def lines_of(found: LossAgainstEpochs, domain: str) -> list[EpochLine]:
    """Return the lines of a domain: of the evaluations on the way, or of the ends where no run had any."""
    own = _by_mixture(found, domain)
    on_the_way = any(one.on_the_way for each in own.values() for one in each)
    lines = []
    for mixture, each in own.items():
        ends = [(EpochPoint(step=1, epochs=one.epochs, bits_per_byte=one.bits_per_byte),) for one in each]
        points = list(zip(*([one.on_the_way for one in each] if on_the_way else ends), strict=True))
        if not points:
            continue
        bits = [[one.bits_per_byte for one in column] for column in points]
        lines.append(
            EpochLine(
                mixture=mixture,
                seeds=len(each),
                epochs=tuple(fmean(one.epochs for one in column) for column in points),
                mean=tuple(map(fmean, bits)),
                low=tuple(map(min, bits)),
                high=tuple(map(max, bits)),
            )
        )
    return lines


def rows_of(found: LossAgainstEpochs) -> list[EpochRow]:
    """Return a row for every domain and mixture."""
    rows = []
    for domain in found.models[0].domains:
        lines = {line.mixture: line for line in lines_of(found, domain) if len(line.epochs) > 1}
        for mixture, each in _by_mixture(found, domain).items():
            line = lines.get(mixture)
            rows.append(
                EpochRow(
                    domain=domain,
                    mixture=mixture,
                    epochs=fmean(one.epochs for one in each),
                    bits_per_byte=fmean(one.bits_per_byte for one in each),
                    at_one_epoch=None if line is None else _at_one(line),
                    at_end=None if line is None else line.mean[-1],
                )
            )
    return rows


def most_repeated(found: LossAgainstEpochs) -> list[str]:
    """Return the domains that were gone through most often in any run, a few."""
    most = {name: max(model.domains[name].epochs for model in found.models) for name in found.models[0].domains}
    return sorted(most, key=lambda name: -most[name])[:_MOST_PICTURES]


def loss_against_epochs(name: str, domain: str, lines: Sequence[EpochLine]) -> str:
    """Return a domain's bits per byte against epochs, a line or a point for each mixture; `name` makes ids unique."""

    def draw(axes: "Axes") -> None:
        if max(line.epochs[-1] for line in lines) > 1:
            axes.axvline(1, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        others = iter(SERIES * (1 + len(lines) // len(SERIES)))
        for line in lines:
            marker, colour = KINDS.get(line.mixture) or ("v", next(others))
            if len(line.epochs) > 1:
                axes.fill_between(line.epochs, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
                axes.plot(line.epochs, line.mean, color=colour)
            else:
                axes.vlines(line.epochs, line.low, line.high, color=colour)
            seeds = counted(line.seeds, "seed")
            for place, (epochs, bits) in enumerate(zip(line.epochs, line.mean, strict=True)):
                label = None if place else short(line.mixture, 12)
                (point,) = axes.plot(
                    [epochs], [bits], linestyle="none", marker=marker, markersize=5, color=colour, label=label
                )
                marked(point, f"{line.mixture}: {bits:.4f} bits per byte at {epochs:.2f} epochs (mean of {seeds})")
        axes.set_xlim(left=0)
        axes.set_xlabel("epochs of its text")
        axes.set_ylabel("bits per byte")
        axes.grid(axis="y")
        legend(axes, columns=_COLUMNS)

    told = ", ".join(f"{line.mixture} {line.mean[-1]:.4f} at {line.epochs[-1]:.2f}" for line in lines)
    top = 18.0 + 16.0 * -(-len(lines) // _COLUMNS)
    return drawn(
        name, f"{domain}: bits per byte against epochs; at the end {told}.", (330, 186 + top), (62, 12, 44, top), draw
    )


def _by_mixture(found: LossAgainstEpochs, domain: str) -> Mapping[str, list[RepeatedDomain]]:
    own: dict[str, list[RepeatedDomain]] = {}
    for model in found.models:
        own.setdefault(model.mixture, []).append(model.domains[domain])
    return own


def _at_one(line: EpochLine) -> float | None:
    if not line.epochs[0] <= 1 <= line.epochs[-1]:
        return None
    return float(np.interp(1, line.epochs, line.mean))
