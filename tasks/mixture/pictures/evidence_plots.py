"""The pictures of what a search knows besides its best run: interactions, trade-offs, confirmation, transfer."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tasks.mixture.published_candidates import Correlation, Interactions, Pareto, Transfer
from tasks.mixture.published_forecast import SizeGain
from tasks.mixture.published_mixtures import Confirmation, ConfirmedContender, GainInterval
from tasks.pictures.canvas import INK, MUTED, NATURAL, PAPER, SEARCHED, SERIES, UNIFORM, drawn, marked
from tasks.pictures.marks import WIDTH, amount, legend, points, room, rows_of, short, signed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

# Text in the page's ink can be read on both colours up to this opacity, on the light page and on the dark one.
_STRONGEST = 0.62
# Below 1, so that weak interactions can be seen on the dark page as well.
_TONE = 0.75
# More rows or columns than this are too small to be told apart: the strongest are shown.
_MOST_CELLS = 40
# Points that a cell needs for its number, and that it may take.
_NUMBER_WIDTH, _WIDEST, _ROW = 33.0, 92.0, 22.0


def interactions(found: Interactions) -> str:
    """Return, per held-out set and domain, what more of that domain does to the set's loss; alike beside alike."""
    rows, columns = _order(found)
    sets, domains = [short(found.sets[r]) for r in rows], [short(found.domains[c], 24) for c in columns]
    values = [[found.values[r][c] for c in columns] for r in rows]
    largest = max((abs(value) for row in values for value in row), default=0.0) or 1.0
    left, bottom = room(sets), 24 + room(domains)
    width = min((WIDTH - left - 16) / len(domains), _WIDEST)

    def draw(axes: "Axes") -> None:
        from matplotlib.patches import Rectangle

        for r, row in enumerate(values):
            for c, value in enumerate(row):
                colour, alpha = SEARCHED if value > 0 else NATURAL, _STRONGEST * (abs(value) / largest) ** _TONE
                cell = axes.add_patch(
                    Rectangle((c - 0.5, r - 0.5), 1, 1, facecolor=colour, alpha=alpha, edgecolor="none")
                )
                marked(cell, f"{sets[r]}, of a larger share of {domains[c]}: {signed(value)} {found.unit_of_values}")
                if width >= _NUMBER_WIDTH:
                    axes.text(c, r, _thousandths(value), ha="center", va="center", fontsize=9.5)
        rows_of(axes, sets)
        axes.set_xticks(range(len(domains)), domains, rotation=90)
        axes.set_xlim(-0.5, (WIDTH - left - 16) / width - 0.5)
        axes.set_xlabel("a larger share of this domain", loc="left")
        axes.spines["bottom"].set_visible(False)
        numbers = (
            f"(thousandths of {found.unit_of_values})"
            if width >= _NUMBER_WIDTH
            else f"(strongest: {largest:.3f} {found.unit_of_values})"
        )
        for colour, text in ((SEARCHED, "lowers the loss"), (NATURAL, f"raises it {numbers}")):
            axes.bar(0, 0, color=colour, alpha=_STRONGEST, label=text)
        legend(axes, columns=2)

    label = (
        f"What a larger share of a domain does to each held-out set, in {found.unit_of_values}: {_strongest(found)}."
    )
    return drawn("interactions", label, (WIDTH, 44 + bottom + _ROW * len(sets)), (left, 16, bottom, 34), draw)


def _thousandths(value: float) -> str:
    return signed(1000 * value, 0 if abs(value) >= 0.00995 else 1)


def _strongest(found: Interactions) -> str:
    """Return in words, per set, the domain that helps it most, and the strongest harm of all."""
    helps = []
    for name, row in zip(found.sets, found.values, strict=True):
        best = max(range(len(row)), key=lambda d: row[d])
        helps.append(f"{name} falls most by {found.domains[best]} ({signed(row[best])})")
    worst, s, d = min((value, s, d) for s, row in enumerate(found.values) for d, value in enumerate(row))
    harm = f"; the strongest harm is {found.domains[d]} to {found.sets[s]} ({signed(worst)})" if worst < 0 else ""
    return "; ".join(helps) + harm


def _order(found: Interactions) -> tuple[list[int], list[int]]:
    """Return rows and columns in the order of their likeness; where sets are the domains, one order for both."""
    import numpy as np

    values_SD = np.array(found.values)
    if found.sets == found.domains:
        both = _seriated(np.hstack([values_SD, values_SD.T]))
        return both, both
    return _seriated(values_SD), _seriated(values_SD.T)


def _seriated(profiles: "npt.NDArray[np.float64]") -> list[int]:
    """Return the strongest profiles in the order of the leaves of their tree (average linkage, optimal leaves)."""
    import numpy as np
    from scipy.cluster.hierarchy import leaves_list, linkage

    kept = np.sort(np.argsort(-np.abs(profiles).max(axis=1), kind="stable")[:_MOST_CELLS])
    if len(kept) < 3:
        return [int(index) for index in kept]
    tree = linkage(profiles[kept], method="average", optimal_ordering=True)
    return [int(kept[leaf]) for leaf in leaves_list(tree)]


def pareto(found: Pareto) -> str:
    """Return the measured mixtures by their objectives: two as a map with its front, more as lines across them."""
    return _front(found) if len(found.objectives) == 2 else _lines(found)


def _front(found: Pareto) -> str:
    front = sorted((point for point in found.points if point.front), key=lambda point: point.values)
    rest = [point for point in found.points if not point.front]

    def told(name: str, values: Sequence[float]) -> str:
        pairs = zip(found.objectives, values, strict=True)
        return f"{name}: {', '.join(f'{objective} {value:.4f}' for objective, value in pairs)}"

    def draw(axes: "Axes") -> None:
        axes.step(*_columns([point.values for point in front]), where="post", color=SEARCHED, linewidth=1.4)
        kinds = ((rest, UNIFORM, 5.5, 0.7, "measured"), (front, SEARCHED, 7, 1.0, "front"))
        for shown, colour, size, alpha, name in kinds:
            own = [told(f"run {point.run}, {point.kind}", point.values) for point in shown]
            points(
                axes, *_columns([point.values for point in shown]), own, label=name, marker="o", markersize=size,
                color=colour, alpha=alpha,
            )  # fmt: skip
        points(
            axes, *_columns([found.natural]), [told("natural", found.natural)], label="natural", marker="D", markersize=8,
            color=NATURAL,
        )  # fmt: skip
        points(
            axes, *_columns([found.chosen]), [told("chosen", found.chosen)], label="chosen", marker="o", markersize=14,
            markerfacecolor="none", color=INK,
        )  # fmt: skip
        axes.set_xlabel(f"{short(found.objectives[0], 40)} (lower is better)")
        axes.set_ylabel(short(found.objectives[1], 40))
        axes.margins(0.08)
        axes.grid(True)
        legend(axes, columns=4)

    return drawn("pareto", _front_in_words(found), (WIDTH, 380), (66, 14, 46, 34), draw)


def _lines(found: Pareto) -> str:
    """Return one row per objective and one line per mixture: its gain over natural in each."""
    names = [short(name) for name in found.objectives]

    def gains(values: Sequence[float]) -> list[float]:
        return [natural - value for natural, value in zip(found.natural, values, strict=True)]

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        for point in sorted(found.points, key=lambda point: point.front):
            colour, alpha = (SEARCHED, 0.55) if point.front else (UNIFORM, 0.25)
            axes.plot(gains(point.values), rows, color=colour, alpha=alpha, linewidth=1.1)
        axes.axvline(0, color=NATURAL, linewidth=1.6, label="natural")
        chosen = gains(found.chosen)
        axes.plot(chosen, rows, color=INK, linewidth=2.4)
        told = [f"chosen, {name}: {signed(gain)}" for name, gain in zip(names, chosen, strict=True)]
        points(axes, chosen, rows, told, label="chosen", marker="o", markersize=6, color=INK)
        axes.plot([], [], color=SEARCHED, alpha=0.55, label="front")
        axes.plot([], [], color=UNIFORM, alpha=0.6, label="measured, not on the front")
        axes.set_ylim(len(names) - 0.8, -0.2)
        axes.set_xlabel("← worse · gain over natural · better →")
        axes.grid(True)
        legend(axes, columns=4)

    return drawn("pareto", _front_in_words(found), (WIDTH, 84 + 34 * len(names)), (room(names), 18, 48, 34), draw)


def _columns(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [point[0] for point in points], [point[1] for point in points]


def _front_in_words(found: Pareto) -> str:
    pairs = zip(found.objectives, found.chosen, found.natural, strict=True)
    text = "; ".join(f"{name} {chosen:.4f} (natural {natural:.4f})" for name, chosen, natural in pairs)
    number = sum(point.front for point in found.points)
    return f"{number} of {len(found.points)} measured mixtures are on the Pareto front. The chosen one has {text}."


def confirmation(found: Confirmation, unit: str) -> str:
    """Return the gains of candidates that were run again with fresh seeds, with intervals, beside their predictions.

    `unit` is that of gains, in words.
    """
    rows_shown = found.rows[1:]
    names = [short(row.contender.name) for row in rows_shown]
    kinds: tuple[tuple[float, str, str, Callable[[ConfirmedContender], GainInterval | None]], ...] = (
        (-0.14, NATURAL, "over natural", lambda each: each.over_natural),
        (0.2, SEARCHED, "over the best measured", lambda each: each.over_best),
    )

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        for place, colour, text, gain in kinds:
            shown = [(row + place, gain(each), name) for row, each, name in zip(rows, rows_shown, names, strict=True)]
            _intervals(axes, [(row, each, name) for row, each, name in shown if each is not None], colour, text)
        predicted = [(each.contender.gain, row - 0.14) for row, each in zip(rows, rows_shown, strict=True)]
        told = [f"{name}, predicted: {signed(gain)}" for name, (gain, _) in zip(names, predicted, strict=True)]
        points(
            axes, *_columns(predicted), told, label="predicted, over natural", marker="D", markersize=9,
            markerfacecolor="none", color=INK, zorder=4,
        )  # fmt: skip
        for row, each in zip(rows, rows_shown, strict=True):
            if each.z is not None:
                axes.annotate(
                    f"z {each.z:+.1f}".replace("-", "−"), (1, row - 0.14), (8, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", fontsize=11, color=MUTED,
                )  # fmt: skip
        axes.margins(x=0.06)
        axes.grid(axis="x")
        axes.set_xlabel(f"← worse · paired gain with fresh seeds, {unit} · better →")
        legend(axes, columns=3)

    label = f"Candidates with fresh seeds: {'; '.join(map(_candidate_in_words, rows_shown))}."
    return drawn("confirmation", label, (WIDTH, 90 + 46 * len(names)), (room(names), 64, 48, 34), draw)


def _intervals(axes: "Axes", shown: Sequence[tuple[float, GainInterval, str]], colour: str, text: str) -> None:
    if shown:
        rows = [row for row, *_ in shown]
        axes.hlines(
            rows, [each.lower for _, each, _ in shown], [each.upper for _, each, _ in shown], color=colour, linewidth=2
        )
        told = [f"{name}, {text}: {_interval_in_words(each)}" for _, each, name in shown]
        points(
            axes, [each.mean for _, each, _ in shown], rows, told, label=text, marker="o", markersize=7, color=colour
        )


def _candidate_in_words(each: ConfirmedContender) -> str:
    found = f"{each.contender.name} gains"
    if each.over_natural is not None:
        found += f" {_interval_in_words(each.over_natural)} over natural"
    if each.over_best is not None:
        found += f" and {_interval_in_words(each.over_best)} over the best measured"
    return f"{found}, predicted {signed(each.contender.gain)}"


def _interval_in_words(gain: GainInterval) -> str:
    return f"{signed(gain.mean)} ({signed(gain.lower)} to {signed(gain.upper)})"


def transfer(found: Transfer, overall: Correlation) -> str:
    """Return the ranks of the same mixtures at both sizes; on the diagonal nothing changes. The best stand out."""
    from scipy.stats import rankdata

    first = rankdata([each.small for each in found.mixtures]).tolist()
    second = rankdata([each.large for each in found.mixtures]).tolist()
    among_best = [each.top for each in found.mixtures]
    number, best = len(first), sum(among_best)
    stay = sum(is_top and rank <= best for is_top, rank in zip(among_best, second, strict=True))
    corner = [f"Spearman {_correlation_in_words(overall)}"]
    corner += [] if found.top is None else [f"best quarter {found.top.rho:.2f}"]

    def draw(axes: "Axes") -> None:
        span = (0.2, number + 0.8)
        axes.plot(span, span, color=MUTED, linewidth=1, zorder=0)
        for top, colour, marker, text in ((True, SEARCHED, "o", "best quarter"), (False, SERIES[0], "s", "others")):
            chosen = [index for index, is_top in enumerate(among_best) if is_top == top]
            told = [f"run {found.mixtures[i].run}: rank {first[i]:g}, then {second[i]:g} of {number}" for i in chosen]
            points(
                axes, [first[i] for i in chosen], [second[i] for i in chosen], told, label=text, marker=marker,
                markersize=8, color=colour, markeredgecolor=PAPER, markeredgewidth=0.8,
            )  # fmt: skip
        axes.set(xlim=span, ylim=span)
        axes.set_xlabel(f"rank at {_size(found.gains[0])}")
        axes.set_ylabel(f"rank at {_size(found.gains[1])}")
        axes.grid(True)
        axes.set_aspect("equal")
        for index, text in enumerate(corner):
            axes.text(0.03, 0.95 - 0.05 * index, text, transform=axes.transAxes, fontsize=11, va="center")
        legend(axes, columns=2)

    top = "" if found.top is None else f"; among the best quarter {found.top.rho:.2f}"
    label = (
        f"Ranks of {number} mixtures at {_size(found.gains[0])} and at {_size(found.gains[1])}: rank correlation "
        f"{_correlation_in_words(overall)}{top}; of the {best} that belong to the best "
        f"quarter, {stay} are among the best {best} at the second size."
    )
    return drawn("transfer", label, (430, 430), (62, 10, 46, 34), draw)


def _correlation_in_words(found: Correlation) -> str:
    return f"{found.rho:.2f} ({found.lower:.2f} to {found.upper:.2f})"


def _size(of: SizeGain) -> str:
    return f"{amount(of.model_parameters)} parameters, {amount(of.tokens)} tokens"
