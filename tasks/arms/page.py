"""The page of a comparison of arms: the decision first, then every score, what was trained, and where it came from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from tasks.arms.cells import table_of
from tasks.arms.config import BITS_PER_BYTE
from tasks.arms.items import ItemGain
from tasks.arms.plan import PlannedArm
from tasks.arms.published import ArmComparison, ArmsComparison
from tasks.arms.stages import described
from tasks.core.manifest import Manifest
from tasks.core.words import counted
from tasks.evaluation.compare import MIN_SEEDS
from tasks.mixture.shift import divergence
from tasks.pages.lineage import StageLineage
from tasks.pages.templating import page
from tasks.pictures.curves import Curve, curves
from tasks.pictures.gains import Gain, gains
from tasks.training.types import RunSpec

TEMPLATES = Path(__file__).with_name("templates")
# So many curves can be told apart.
_MOST_CURVES = 8
_NOTHING = "–"


@dataclass(frozen=True)
class ArmsContent:
    """All that the page tells beside the comparison: the arms as planned, curves by arm, gains over items, lineage.

    `pools` are the manifests of the token pools, by the name of an arm's pool (None = the common one); `own` is the
    comparison's, before anything is published.
    """

    found: ArmsComparison
    plan: Sequence[PlannedArm]
    domains: Mapping[str | None, Sequence[str]]
    curves: Mapping[str, Curve]
    items: Sequence[ItemGain]
    pools: Mapping[str | None, Manifest]
    own: Manifest
    environment: Mapping[str, str]

    @property
    def arms(self) -> list[str]:
        """The baseline, then the other arms."""
        return [self.found.baseline, *(one.arm for one in self.found.comparisons)]


@dataclass(frozen=True)
class Cell:
    """A score of an arm: its mean over seeds, the gain over the baseline, its adjusted p-value, and a word for it."""

    value: float
    gain: float
    adjusted: float | None
    word: str


@dataclass(frozen=True)
class ScoreRow:
    """A score of all arms; more of it is better where `higher`."""

    name: str
    primary: bool
    higher: bool
    baseline: float
    cells: tuple[Cell, ...]


def render(content: ArmsContent) -> str:
    """Return the whole page as HTML."""
    found = content.found
    rows = score_rows(found)
    of_domains = [row for row in rows if row.name.startswith(f"{BITS_PER_BYTE}.")]
    told = {
        "found": found,
        "content": content,
        "headline": headline(found),
        "best": best_first(found),
        "seeds": len(found.comparisons[0].differences),
        "domain_rows": [*of_domains, *(row for row in rows if row.name == BITS_PER_BYTE)],
        "other_rows": [row for row in rows if not row.name.startswith(BITS_PER_BYTE)],
        "grids": [(one, table_of(one)) for one in found.grids],
        "overall": BITS_PER_BYTE,
        "called": called,
        "settings": settings_of(content.plan),
        "weights": weights_of(content),
        "stages": stages_of(content),
        "curves_shown": _shown(content),
        "pools": [StageLineage.of(each) for each in content.pools.values()],
        "own": StageLineage.of(content.own, content.environment),
    }
    pictures = {
        "decision": gains("decision", _gains(found), called(found.primary), f"Gain over {found.baseline}"),
        "curves": curves([content.curves[name] for name in _shown(content)]),
    }
    return page("arms.html", TEMPLATES, f"Arms compared by {called(found.primary)}", told, pictures)


def called(score: str) -> str:
    """Return the name of a score as people read it; those of tasks, sets and domains stay as they are.

    >>> called("facts_q.log_p_correct"), called("my_set"), called("bits_per_byte.d_1")
    ('facts_q: log p correct', 'my_set', 'bits per byte of d_1')
    """
    if score.partition(".")[0] == BITS_PER_BYTE:
        return " of ".join(["bits per byte", *score.split(".", 1)[1:]])
    task, dot, name = score.rpartition(".")
    return f"{task}: {name.replace('_', ' ')}" if dot else score


def headline(found: ArmsComparison) -> str:
    """Return what a reader should do, in one sentence."""
    claims = [one for one in best_first(found) if one.claim]
    if claims:
        return f"Take {claims[0].arm}: it beats {found.baseline}."
    seeds = len(found.comparisons[0].differences)
    if seeds < MIN_SEEDS:
        return f"Keep {found.baseline}: {counted(seeds, 'seed')} are too few to say that an arm is better."
    if all(_worse(one, found) for one in found.comparisons):
        return f"Keep {found.baseline}: every other arm is worse."
    if any(_worse(one, found) for one in found.comparisons):
        return f"Keep {found.baseline}: no arm is shown to be better."
    return f"No difference shown: keep {found.baseline}, or measure with more seeds."


def _worse(one: ArmComparison, found: ArmsComparison) -> bool:
    return one.below_zero and one.adjusted is not None and one.adjusted < 1 - found.confidence


def best_first(found: ArmsComparison) -> list[ArmComparison]:
    """Return the arms that make a claim, then the others, then those of which nothing can be said; each by its gain."""
    return sorted(found.comparisons, key=lambda one: (not one.claim, one.ends is None, -one.gain))


def score_rows(found: ArmsComparison) -> list[ScoreRow]:
    """Return every score: the baseline's mean, and each arm's with its gain."""
    rows = []
    for name, direction in found.directions.items():
        means = {
            arm: fmean(run.scores[name] for run in found.runs if run.arm == arm)
            for arm in dict.fromkeys(run.arm for run in found.runs)
        }
        cells = tuple(_cell(one, name, means[one.arm], found) for one in found.comparisons)
        rows.append(ScoreRow(name, name == found.primary, direction == "higher", means[found.baseline], cells))
    return rows


def _cell(one: ArmComparison, name: str, value: float, found: ArmsComparison) -> Cell:
    if name == found.primary:
        gain, adjusted = one.gain, one.adjusted
    elif (secondary := one.secondary.get(name)) is not None:
        gain, adjusted = secondary.gain, secondary.adjusted
    else:
        baseline = fmean(run.scores[name] for run in found.runs if run.arm == found.baseline)
        gain, adjusted = (value - baseline) * (1 if found.directions[name] == "higher" else -1), None
    shown = adjusted is not None and adjusted < 1 - found.confidence
    return Cell(value, gain, adjusted, ("better" if gain > 0 else "worse") if shown else "open")


def settings_of(plan: Sequence[PlannedArm]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the settings in which arms differ, and their values by arm; weights are told apart."""
    by_arm = {one.arm.name: dict(_settings(one)) for one in plan}
    names = dict.fromkeys(name for own in by_arm.values() for name in own)
    differing = [name for name in names if len({own.get(name) for own in by_arm.values()}) > 1]
    return differing, {arm: [own.get(name, _NOTHING) for name in differing] for arm, own in by_arm.items()}


def _settings(one: PlannedArm) -> Iterator[tuple[str, str]]:
    yield "tokens", one.arm.pool or "the common pool"
    if one.arm.curation is not None:
        yield from _flat("", one.arm.curation.model_dump(mode="json"))
    if one.arm.trunk is not None:
        yield "trunk", one.arm.trunk
    for name in ("epochs", "distinct_tokens", "ensemble"):
        yield name, _told(getattr(one.arm, name))
    if one.arm.stages:
        yield "stages", "; ".join(described(one.arm))
    # A trunk's milestones change nothing of it.
    yield from _flat("training", one.training.model_dump(mode="json", exclude={"milestone_every_steps"}))
    if one.arm.start is not None:
        yield from _flat("start", one.arm.start.model_dump(mode="json"))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}".lstrip("."), inner)
    else:
        yield name, _told(value)


def _told(value: Any) -> str:
    return _NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def weights_of(content: ArmsContent) -> tuple[list[str], dict[str, list[float | None]]]:
    """Return all domains, and each arm's share of its tokens from each; None where its pool has no such domain."""
    names = list(dict.fromkeys(name for own in content.domains.values() for name in own))
    rows = {}
    for one in content.plan:
        parts = parts_of(one.specs[0])
        mean_N = np.average([part.weights for part in parts], axis=0, weights=[part.tokens for part in parts])
        shares = dict(zip(content.domains[one.arm.pool], mean_N.tolist(), strict=True))
        rows[one.arm.name] = [shares.get(name) for name in names]
    return names, rows


@dataclass(frozen=True)
class Part:
    """A part of a run with one mixture: tokens, share of each domain, and how far it is from the part before, in nats."""

    tokens: int
    weights: Sequence[float]
    shift: float | None
    of_trunk: bool


def parts_of(spec: RunSpec) -> list[Part]:
    """Return the parts of a run with what its trunk trained before it."""
    found, left = list[Part](), spec.tokens_before
    for before in [] if spec.trunk is None else parts_of(spec.trunk.spec):
        if left > 0:
            found.append(replace(before, tokens=min(before.tokens, left), of_trunk=True))
        left -= before.tokens
    for phase in spec.phases:
        shift = divergence(phase.mean_weights, found[-1].weights) if found else None
        found.append(Part(phase.num_tokens, phase.mean_weights, shift, of_trunk=False))
    return found


def stages_of(content: ArmsContent) -> tuple[list[str], list[tuple[str, Part, dict[str, float]]]]:
    """Return all domains, and the parts of each arm that has several, with the share of each domain there."""
    names, found = list(dict.fromkeys(name for own in content.domains.values() for name in own)), []
    for one in content.plan:
        parts = parts_of(one.specs[0])
        for part in parts if len(parts) > 1 else []:
            found.append((one.arm.name, part, dict(zip(content.domains[one.arm.pool], part.weights, strict=True))))
    return names, found


def _gains(found: ArmsComparison) -> list[Gain]:
    seeds = [run.seed for run in found.runs if run.arm == found.baseline]
    return [
        Gain(
            one.arm,
            one.gain,
            one.ends,
            {f"seed {seed}": gain for seed, gain in zip(seeds, one.differences, strict=True)},
            shown=one.claim or _worse(one, found),
        )
        for one in best_first(found)
    ]


def _shown(content: ArmsContent) -> list[str]:
    """Return the baseline and the arms that differ most from it, as many as curves can be told apart."""
    others = sorted(content.found.comparisons, key=lambda one: -abs(one.gain))[: _MOST_CURVES - 1]
    chosen = {content.found.baseline, *(one.arm for one in others)}
    return [name for name in content.arms if name in chosen]
