"""The pictures of the report: each takes a chapter of the story and returns an inline SVG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.report.canvas import INK, MIXTURE_COLOURS, MUTED, NATURAL, PAPER, RULE, SEARCHED, SERIES, UNIFORM, drawn
from tasks.report.treemap import Box, treemap
from tasks.report.types import (
    MIXTURES,
    Curation,
    Curve,
    Domain,
    DomainMap,
    Evaluation,
    Forecast,
    Proxy,
    Recipe,
    Search,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 760.0
# Points a character takes at size 11 in the widest common system font (measured); margins are made from it.
_CHARACTER = 6.3
_LONGEST = 34


def funnel(curation: Curation) -> str:
    """Return, per source, the share of bytes kept and dropped by each filter."""
    sources, filters = curation.sources, curation.filters
    names = [_short(source.name) for source in sources]

    def draw(axes: "Axes") -> None:
        rows = _rows(axes, names)
        left = [0.0] * len(sources)
        series = [("kept", SEARCHED, [_share(s.kept.bytes, s.taken.bytes) for s in sources])]
        for index, name in enumerate(filters):
            shares = [_share(s.dropped[name].bytes if name in s.dropped else 0, s.taken.bytes) for s in sources]
            series.append((name, SERIES[index % len(SERIES)], shares))
        for name, colour, shares in series:
            axes.barh(rows, shares, left=left, height=0.66, color=colour, edgecolor=PAPER, linewidth=1.2, label=name)
            left = [a + b for a, b in zip(left, shares, strict=True)]
        for row, source in zip(rows, sources, strict=True):
            share = _share(source.kept.bytes, source.taken.bytes)
            if share >= 0.07:
                axes.text(0.012, row, f"{share:.0%}", va="center", color=PAPER, fontsize=11)
        axes.set_xlim(0, 1)
        _percent(axes)
        _legend(axes, columns=1 + len(filters))

    kept = ", ".join(f"{s.name} {_share(s.kept.bytes, s.taken.bytes):.0%}" for s in sources)
    label = f"Share of bytes kept per source: {kept}."
    return drawn("funnel", label, (WIDTH, 74 + 30 * len(names)), (_room(names), 24, 30, 34), draw)


def reasons(curation: Curation) -> str:
    """Return how many documents each reason dropped."""
    shown, filters = curation.reasons, curation.filters
    names = [_short(reason.name.replace("_", " ")) for reason in shown]
    counts = [reason.count.documents for reason in shown]

    def draw(axes: "Axes") -> None:
        rows = _rows(axes, names)
        seen: set[str] = set()
        for row, reason in zip(rows, shown, strict=True):
            colour = SERIES[filters.index(reason.filter) % len(SERIES)]
            fresh = reason.filter not in seen
            seen.add(reason.filter)
            label = reason.filter if fresh else None
            axes.barh(row, reason.count.documents, height=0.66, color=colour, label=label)
            _value(axes, reason.count.documents, row, f"{reason.count.documents:,}")
        axes.set_xlim(0, 1.12 * max(counts, default=1))
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        _legend(axes, columns=max(len(filters), 1))

    told = ", ".join(f"{reason.name} {reason.count.documents:,}" for reason in shown)
    label = f"Documents dropped by reason: {told}."
    return drawn("reasons", label, (WIDTH, 48 + 24 * len(names)), (_room(names), 14, 10, 34), draw)


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
            axes.add_patch(
                Rectangle((box.x + 1.5, box.y + 1.5), *shape, facecolor=SEARCHED, alpha=tone, linewidth=0)
            )
            _box_label(axes, domain, box)

    told = ", ".join(f"{domain.name} {size(domain.bytes)}" for domain in shown)
    return drawn("map", f"Map of the domains by size: {told}.", (WIDTH, height), (0, 0, 0, 0), draw)


def _box_label(axes: "Axes", domain: Domain, box: Box) -> None:
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
            axes.text(box.x + 11, box.y + 26 + 17 * len(lines), part, fontsize=11, color=MUTED)
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
            axes.scatter(
                *cluster.position, s=area, marker="o", linewidths=1.2, alpha=0.55 if kept else 0.9,
                facecolor=SERIES[cluster.domain % len(SERIES)] if kept else "none", edgecolor=PAPER if kept else MUTED,
            )  # fmt: skip
            label = str(cluster.domain) if kept else "×"
            axes.annotate(label, cluster.position, ha="center", va="center", fontsize=11)
        axes.margins(0.1)
        axes.set_axis_off()

    pruned = sum(cluster.domain < 0 for cluster in shown)
    label = f"{len(shown)} clusters on two principal axes, {pruned} of them pruned; near each other means similar words."
    return drawn("clusters", label, (WIDTH, 360), (4, 4, 4, 4), draw)


def mixture(recipe: Recipe) -> str:
    """Return the weights of the searched mixture beside natural and uniform, per domain."""
    names = [_short(name) for name in recipe.domains]

    def draw(axes: "Axes") -> None:
        rows = _rows(axes, names)
        for place, name in zip((-0.27, 0.0, 0.27), MIXTURES, strict=True):
            weights = recipe.weights(name)
            axes.barh([row + place for row in rows], weights, height=0.25, color=MIXTURE_COLOURS[name], label=name)
            for row, weight in zip(rows, weights, strict=True):
                _value(axes, weight, row + place, f"{weight:.1%}", fontsize=9.5)
        axes.set_xlim(0, 1.12 * max(max(recipe.weights(name)) for name in MIXTURES))
        _percent(axes)
        _legend(axes, columns=3)

    pairs = zip(recipe.domains, recipe.searched, recipe.natural, strict=True)
    told = ", ".join(f"{name} {found:.0%} (natural {natural:.0%})" for name, found, natural in pairs)
    label = f"Weights of the searched mixture: {told}."
    return drawn("mixture", label, (WIDTH, 74 + 46 * len(names)), (_room(names), 30, 30, 34), draw)


def epochs(recipe: Recipe, domains: DomainMap) -> str:
    """Return how often each domain's training text is seen, against the cap."""
    names = [_short(name) for name in recipe.domains]
    seen = epochs_of(recipe, domains, "searched")

    def draw(axes: "Axes") -> None:
        rows = _rows(axes, names)
        axes.barh(rows, seen, height=0.6, color=SEARCHED)
        for row, value in zip(rows, seen, strict=True):
            _value(axes, value, row, f"{value:.2f}")
        if recipe.max_epochs is not None:
            axes.axvline(recipe.max_epochs, color=NATURAL, linestyle=(0, (4, 3)), linewidth=1.5)
            axes.text(recipe.max_epochs, -0.72, f"cap {recipe.max_epochs:g} ", ha="right", fontsize=11, color=NATURAL)
        axes.set_xlim(0, 1.12 * max(*seen, recipe.max_epochs or 0.0, 1e-9))
        axes.set_xlabel("epochs over the domain's training tokens")

    told = ", ".join(f"{name} {value:.2f}" for name, value in zip(recipe.domains, seen, strict=True))
    cap = "no cap" if recipe.max_epochs is None else f"the cap is {recipe.max_epochs:g}"
    label = f"Epochs per domain under the searched mixture: {told}; {cap}."
    return drawn("epochs", label, (WIDTH, 70 + 30 * len(names)), (_room(names), 30, 48, 22), draw)


def epochs_of(recipe: Recipe, domains: DomainMap, name: str) -> tuple[float, ...]:
    """Return, per domain, tokens the mixture asks for over tokens there are to train on."""
    pairs = zip(recipe.weights(name), domains.domains, strict=True)
    return tuple(weight * recipe.tokens / domain.tokens["train"] for weight, domain in pairs)


_KINDS = {
    "natural": ("D", NATURAL),
    "uniform": ("s", UNIFORM),
    "design": ("o", SERIES[3]),
    "proposal": ("o", SEARCHED),
    "repeat": ("^", SERIES[1]),
}


def objective(search: Search, forecast: Forecast) -> str:
    """Return what each proxy measured, in the order of the search, and the best so far."""
    values = [proxy.objective for proxy in search.proxies]
    best = [min(values[: index + 1]) for index in range(len(values))]
    positions = list(range(1, len(values) + 1))

    def draw(axes: "Axes") -> None:
        _rounds(axes, [proxy.round for proxy in search.proxies])
        for name in ("natural", "uniform"):
            level = [proxy.objective for proxy in search.proxies if proxy.kind == name]
            if level:
                axes.axhline(level[0], color=MIXTURE_COLOURS[name], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.step(positions, best, where="post", color=INK, linewidth=1.2, label="best so far")
        axes.fill_between(
            positions, [b - forecast.noise_sd for b in best], [b + forecast.noise_sd for b in best],
            step="post", color=INK, alpha=0.10, linewidth=0, label="± noise (1 sd)",
        )  # fmt: skip
        _by_kind(axes, search.proxies, positions, values)
        axes.set_xlim(0.3, len(values) + 0.7)
        axes.set_xlabel("proxy run")
        axes.set_ylabel(forecast.objective)
        axes.grid(axis="y")
        _legend(axes, columns=7)

    label = (
        f"Objective of {len(values)} proxy runs in the order they were run: from {max(values):.4f} to {min(values):.4f}; "
        f"noise {forecast.noise_sd:.4f}."
    )
    return drawn("objective", label, (WIDTH, 330), (62, 14, 46, 34), draw)


def predicted(search: Search) -> str:
    """Return what the predictor says of each run it has not seen, against what was measured."""
    known = [
        (proxy, proxy.predicted, proxy.predicted_sd)
        for proxy in search.proxies
        if proxy.predicted is not None and proxy.predicted_sd is not None
    ]
    ends = [value for proxy, said, sd in known for value in (said - sd, said + sd, proxy.objective)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.05 * (high - low) or 0.01
    span = (low - pad, high + pad)

    def draw(axes: "Axes") -> None:
        axes.plot(span, span, color=MUTED, linewidth=1, zorder=0)
        axes.hlines(
            [proxy.objective for proxy, _, _ in known], [said - sd for _, said, sd in known],
            [said + sd for _, said, sd in known], color=MUTED, linewidth=1, alpha=0.6, zorder=1,
        )  # fmt: skip
        proxies = [proxy for proxy, _, _ in known]
        _by_kind(axes, proxies, [said for _, said, _ in known], [proxy.objective for proxy in proxies])
        axes.set(xlim=span, ylim=span)
        axes.set_xlabel("predicted from the other runs")
        axes.set_ylabel("measured")
        axes.grid(True)
        axes.set_aspect("equal")
        _legend(axes, columns=5)

    error = (sum((proxy.objective - said) ** 2 for proxy, said, _ in known) / max(len(known), 1)) ** 0.5
    label = f"Predicted against measured objective of {len(known)} proxy runs; root mean square error {error:.4f}."
    return drawn("predicted", label, (430, 430), (62, 10, 46, 34), draw)


def curves(shown: Sequence[Curve]) -> str:
    """Return the training loss of each mixture: the mean over seeds, and a band from the lowest to the highest."""

    def draw(axes: "Axes") -> None:
        for curve in shown:
            colour = MIXTURE_COLOURS[curve.mixture]
            axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(curve.steps, curve.mean, color=colour, label=curve.mixture, linestyle=_LINES[curve.mixture])
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("training loss, nats per token")
        axes.margins(x=0.01)
        axes.grid(axis="y")
        _legend(axes, columns=3)

    told = ", ".join(f"{curve.mixture} {curve.mean[-1]:.3f}" for curve in shown)
    label = f"Training loss of each mixture on its own text, mean over seeds; at the end: {told}."
    return drawn("curves", label, (WIDTH, 330), (62, 14, 46, 34), draw)


_LINES: dict[str, Any] = {"searched": "-", "natural": (0, (6, 2)), "uniform": (0, (1.5, 1.5))}


def differences(evaluation: Evaluation) -> str:
    """Return, per domain and over all, how much better the searched mixture is, with intervals."""
    names = [*(_short(name) for name in evaluation.domains), "mean over domains"]
    baselines = [name for name in ("natural", "uniform") if name in evaluation.differences]

    def draw(axes: "Axes") -> None:
        rows = _rows(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        axes.axhspan(len(names) - 1.5, len(names) - 0.5, color=RULE, alpha=0.35, linewidth=0)
        for place, name in zip((-0.16, 0.16), baselines, strict=False):
            shown = evaluation.differences[name]
            heights = [row + place for row in rows]
            axes.hlines(heights, [d.lower for d in shown], [d.upper for d in shown], color=MIXTURE_COLOURS[name])
            axes.plot(
                [d.gain for d in shown], heights, linestyle="none", marker=_KINDS[name][0], markersize=6,
                color=MIXTURE_COLOURS[name], label=f"against {name}",
            )  # fmt: skip
        axes.grid(axis="x")
        axes.set_xlabel("← worse      gain of the searched mixture, bits per byte      better →")
        _legend(axes, columns=2)

    first = evaluation.differences[baselines[0]]
    told = ", ".join(f"{name} {d.gain:+.4f} ({d.lower:+.4f} to {d.upper:+.4f})" for name, d in zip(names, first, strict=True))
    label = f"Gain of the searched mixture over {baselines[0]} in bits per byte: {told}."
    return drawn("differences", label, (WIDTH, 84 + 32 * len(names)), (_room(names), 18, 46, 34), draw)


def forecast_beside_outcome(forecast: Forecast, evaluation: Evaluation) -> str:
    """Return the interval that was forecast above the interval that came out."""
    outcome = evaluation.verdict.overall
    names = ["forecast", "outcome"]

    def draw(axes: "Axes") -> None:
        rows = _rows(axes, names)
        axes.axvline(0, color=INK, linewidth=1)
        shown = ((forecast.lower, forecast.gain, forecast.upper), (outcome.lower, outcome.gain, outcome.upper))
        for row, colour, (lower, middle, upper) in zip(rows, (UNIFORM, SEARCHED), shown, strict=True):
            axes.hlines(row, lower, upper, color=colour, linewidth=7, alpha=0.45)
            axes.plot([middle], [row], marker="o", markersize=10, color=colour)
            axes.text(middle, row - 0.32, f"{middle:+.4f}", ha="center", fontsize=12, fontweight="bold")
        axes.margins(x=0.08)
        axes.set_ylim(1.5, -0.75)
        axes.grid(axis="x")
        axes.set_xlabel(f"gain over {evaluation.verdict.baseline}, bits per byte")

    label = (
        f"Forecast gain {forecast.gain:+.4f} ({forecast.lower:+.4f} to {forecast.upper:+.4f}); outcome {outcome.gain:+.4f} "
        f"({outcome.lower:+.4f} to {outcome.upper:+.4f})."
    )
    return drawn("forecast", label, (WIDTH, 170), (82, 24, 46, 4), draw)


def size(number: int) -> str:
    """Return a number of bytes for people.

    >>> size(1_530_000), size(900)
    ('1.5 MB', '900 B')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


def _rows(axes: "Axes", names: Sequence[str]) -> list[int]:
    """Name the rows from top to bottom and return their heights."""
    rows = list(range(len(names)))
    axes.set_yticks(rows, list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    return rows


def _value(axes: "Axes", end: float, row: float, told: str, fontsize: float = 11) -> None:
    """Write a bar's value beside its end."""
    axes.annotate(told, (end, row), (5, 0), textcoords="offset points", va="center", color=MUTED, fontsize=fontsize)


def _rounds(axes: "Axes", rounds: Sequence[int]) -> None:
    """Shade every second round."""
    start = 0
    for index in range(1, len(rounds) + 1):
        if index == len(rounds) or rounds[index] != rounds[start]:
            if rounds[start] % 2:
                axes.axvspan(start + 0.5, index + 0.5, color=RULE, alpha=0.35, linewidth=0)
            start = index


def _by_kind(axes: "Axes", proxies: Sequence[Proxy], across: Sequence[float], up: Sequence[float]) -> None:
    for kind, (marker, colour) in _KINDS.items():
        chosen = [index for index, proxy in enumerate(proxies) if proxy.kind == kind]
        if chosen:
            axes.plot(
                [across[i] for i in chosen], [up[i] for i in chosen], linestyle="none", marker=marker, markersize=6.5,
                color=colour, markeredgecolor=PAPER, markeredgewidth=0.8, label=kind,
            )  # fmt: skip


def _percent(axes: "Axes") -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="x")


def _legend(axes: "Axes", columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.3, columnspacing=1.4)


def _room(names: Sequence[str]) -> float:
    return 16 + _CHARACTER * max((len(name) for name in names), default=0)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


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
