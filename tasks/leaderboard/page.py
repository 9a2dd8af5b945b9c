"""The page of a leaderboard: the decision first, then gains, what was kept, what was trained, and where it came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.manifest import Manifest
from tasks.core.words import counted
from tasks.leaderboard.published import Leaderboard, Objective
from tasks.pages.lineage import StageLineage
from tasks.pages.templating import page
from tasks.pictures.gains import Gain, gains

TEMPLATES = Path(__file__).with_name("templates")
# So many scores of an objective are told by name.
_MOST_SCORES = 4


def render(found: Leaderboard, common: Manifest, own: Manifest, environment: Mapping[str, str]) -> str:
    """Return the whole page as HTML; `common` is the manifest of the tokens, `own` the leaderboard's, not published yet."""
    by_rate: dict[float, list[str]] = {}
    for row in found.entrants:
        by_rate.setdefault(row.keep, []).append(row.name)
    for names in by_rate.values():
        names += [name for name in found.twins if name in next(r for r in found.entrants if r.name == names[0]).overlap]
    told = {
        "found": found,
        "intervals": found.entrants[0].gains["target"].ends is not None,
        "nulls": sum(row.role == "null" for row in found.entrants),
        "target": _named(found.objectives["target"]),
        "held_out": _named(found.objectives["held_out"]),
        "all_kept": {**{row.name: row.kept for row in found.entrants}, **found.twins},
        "by_rate": by_rate,
        "overlaps": {row.name: row.overlap for row in found.entrants},
        "pools": [StageLineage.of(common)],
        "own": StageLineage.of(own, environment),
    }
    whose = "Gain over documents drawn at random"
    pictures: dict[str, str] = {
        name: gains(name, _gains(found, name), name.replace("_", " "), whose) for name in found.objectives
    }
    return page("leaderboard.html", TEMPLATES, "Selectors of documents", told, pictures)


def _named(scores: Sequence[str]) -> str:
    names = [score.replace("_", " ").replace(".", " of ", 1) for score in scores]
    if len(names) > _MOST_SCORES:
        return f"the mean of {counted(len(names), 'score')}, {names[0]} and others"
    return names[0] if len(names) == 1 else f"the mean of {', '.join(names)}"


def _gains(found: Leaderboard, objective: Objective) -> list[Gain]:
    return [
        Gain(
            row.name,
            gain.gain,
            gain.ends,
            {f"seed {seed}": one for seed, one in zip(found.seeds, gain.differences, strict=True)},
            shown=gain.ends is not None and not gain.ends[0] <= 0 <= gain.ends[1],
        )
        for row in found.entrants
        for gain in (row.gains[objective],)
    ]
