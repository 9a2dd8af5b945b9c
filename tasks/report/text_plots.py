"""The pictures of the text: what was kept of it, and the domains it falls into."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.pictures.canvas import MUTED, PAPER, SEARCHED, SERIES, drawn, marked
from tasks.pictures.marks import (
    LEGEND_COLUMNS,
    WIDTH,
    beside,
    legend,
    legend_room,
    percent,
    room,
    rows_of,
    share,
    share_in_words,
    short,
    size,
)
from tasks.report.curation import Curation
from tasks.report.domains import DomainMap, MappedDomain
from tasks.report.treemap import Box, treemap

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def funnel(curation: Curation) -> str:
    """Return, per source, the share of bytes kept and dropped by each filter."""
    sources, filters = curation.sources, curation.filters
    names = [short(source.name) for source in sources]

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        left = [0.0] * len(sources)
        series = [("kept", SEARCHED, [share(s.kept.bytes, s.taken.bytes) for s in sources])]
        for index, name in enumerate(filters):
            shares = [share(s.dropped[name].bytes if name in s.dropped else 0, s.taken.bytes) for s in sources]
            series.append((name, SERIES[index % len(SERIES)], shares))
        for name, colour, shares in series:
            style: dict[str, Any] = {"height": 0.66, "color": colour, "edgecolor": PAPER, "linewidth": 1.2}
            for source, part, bar in zip(
                sources, shares, axes.barh(rows, shares, left=left, label=name, **style), strict=True
            ):
                marked(bar, f"{source.name}, {name}: {part:.1%} of {size(source.taken.bytes)}")
            left = [a + b for a, b in zip(left, shares, strict=True)]
        for row, source in zip(rows, sources, strict=True):
            kept = share(source.kept.bytes, source.taken.bytes)
            if kept >= 0.07:
                axes.text(
                    0.012,
                    row,
                    share_in_words(source.kept.bytes, source.taken.bytes),
                    va="center",
                    color=PAPER,
                    fontsize=11,
                )
        axes.set_xlim(0, 1)
        percent(axes)
        legend(axes, columns=LEGEND_COLUMNS)

    told = ", ".join(f"{s.name} {share_in_words(s.kept.bytes, s.taken.bytes)}" for s in sources)
    top = legend_room(1 + len(filters))
    label = f"Share of bytes kept per source: {told}."
    return drawn("funnel", label, (WIDTH, 40 + top + 30 * len(names)), (room(names), 24, 30, top), draw)


def reasons(curation: Curation) -> str:
    """Return how many documents each reason dropped."""
    shown, filters = curation.reasons, curation.filters
    names = [short(reason.name.replace("_", " "), 42) for reason in shown]
    counts = [reason.count.documents for reason in shown]

    def draw(axes: "Axes") -> None:
        rows = rows_of(axes, names)
        seen: set[str] = set()
        for row, reason in zip(rows, shown, strict=True):
            colour = SERIES[filters.index(reason.filter) % len(SERIES)]
            fresh = reason.filter not in seen
            seen.add(reason.filter)
            label = reason.filter if fresh else None
            (bar,) = axes.barh(row, reason.count.documents, height=0.66, color=colour, label=label)
            marked(
                bar, f"{reason.name}, {reason.filter}: {reason.count.documents:,} documents, {size(reason.count.bytes)}"
            )
            beside(axes, reason.count.documents, row, f"{reason.count.documents:,}")
        axes.set_xlim(0, 1.12 * max(counts, default=1))
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        legend(axes, columns=LEGEND_COLUMNS)

    told = ", ".join(f"{reason.name} {reason.count.documents:,}" for reason in shown)
    top = legend_room(len(filters))
    label = f"Documents dropped by reason: {told}."
    return drawn("reasons", label, (WIDTH, 14 + top + 24 * len(names)), (room(names), 14, 10, top), draw)


def domain_map(domains: DomainMap) -> str:
    """Return a treemap: area is the domain's text, a stronger tone means higher mean quality."""
    shown = [domain for domain in domains.domains if domain.bytes > 0]
    height = 380.0
    boxes = treemap([float(domain.bytes) for domain in shown], Box(0, 0, WIDTH, height))
    tones = _tones([domain.quality for domain in shown])

    def draw(axes: "Axes") -> None:
        from matplotlib.patches import Rectangle

        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        for domain, box, tone in zip(shown, boxes, tones, strict=True):
            shape = (box.width - 3, box.height - 3)
            place = (box.x + 1.5, box.y + 1.5)
            patch = axes.add_patch(Rectangle(place, *shape, facecolor=SEARCHED, alpha=tone, linewidth=0))
            marked(patch, f"{domain.index} · {domain.name}: {size(domain.bytes)}, {domain.documents:,} documents")
            _box_label(axes, domain, box)

    told = ", ".join(f"{domain.name} {size(domain.bytes)}" for domain in shown)
    return drawn("map", f"Map of the domains by size: {told}.", (WIDTH, height), (0, 0, 0, 0), draw)


def _box_label(axes: "Axes", domain: MappedDomain, box: Box) -> None:
    """Write the name over several lines and the size below it, as far as the box has room."""
    room = int((box.width - 22) / 7.4)
    lines = _wrapped(domain.name, room) if room >= 4 else []
    if not lines or 17 * (len(lines) + 1) > box.height - 16:
        if min(box.width, box.height) >= 22:
            axes.text(box.x + box.width / 2, box.y + box.height / 2, str(domain.index), ha="center", va="center")
        return
    for index, line in enumerate(lines):
        axes.text(box.x + 11, box.y + 24 + 17 * index, line, fontsize=13, fontweight="bold")
    told = f"{size(domain.bytes)} · {domain.documents:,} documents"
    quality = "" if domain.quality is None else f" · quality {domain.quality:.2f}"
    for part in (told + quality, told, size(domain.bytes)):
        if len(part) * 6.2 <= box.width - 18:
            axes.text(box.x + 11, box.y + 26 + 17 * len(lines), part, fontsize=11)
            return


def _tones(qualities: Sequence[float | None]) -> list[float]:
    """Return an opacity per quality: light enough for text in the page's ink, darker for higher quality."""
    known = [quality for quality in qualities if quality is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return [0.14 + 0.36 * (0.5 if q is None or high <= low else (q - low) / (high - low)) for q in qualities]


def cluster_map(domains: DomainMap) -> str:
    """Return the k-means clusters where they lie on two principal axes, each with the number of its domain."""
    shown = sorted(domains.clusters, key=lambda cluster: -cluster.bytes)
    largest = max((cluster.bytes for cluster in shown), default=0) or 1

    def draw(axes: "Axes") -> None:
        for cluster in shown:
            kept = cluster.domain >= 0
            area = 90 + 2600 * cluster.bytes / largest
            circle = axes.scatter(
                *cluster.position, s=area, marker="o", linewidths=1.2, alpha=0.55 if kept else 0.9,
                facecolor=SERIES[cluster.domain % len(SERIES)] if kept else "none", edgecolor=PAPER if kept else MUTED,
            )  # fmt: skip
            domain = f"domain {cluster.domain}" if kept else "left out"
            marked(
                circle, f"cluster {cluster.cluster}, {domain}: {size(cluster.bytes)}, {cluster.documents:,} documents"
            )
            label = str(cluster.domain) if kept else "×"
            axes.annotate(label, cluster.position, ha="center", va="center", fontsize=11 if area > 250 else 8)
        axes.margins(0.1)
        axes.set_axis_off()

    pruned = sum(cluster.domain < 0 for cluster in shown)
    label = f"{len(shown)} clusters on two principal axes, {pruned} of them pruned; near each other means similar."
    return drawn("clusters", label, (WIDTH, 360), (4, 4, 4, 4), draw)


def _wrapped(name: str, room: int) -> list[str]:
    """Return a name broken at its hyphens into lines of at most `room` characters; [] if that cannot be done."""
    lines: list[str] = []
    for word in name.split("-"):
        if len(word) > room:
            return []
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f"-{word}"
        else:
            lines.append(word)
    return lines
