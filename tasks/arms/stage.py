"""The driver of a comparison of arms: every arm trained with every seed, measured on the same text, judged in pairs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.arms.cells import grids_found
from tasks.arms.config import BITS_PER_BYTE, ArmsParams
from tasks.arms.items import ItemGain, item_gains
from tasks.arms.judge import judged
from tasks.arms.measuring import GivenArms, Made, MeasuredArms, measure
from tasks.arms.page import ArmsContent, render
from tasks.arms.published import ArmsComparison
from tasks.arms.table import markdown
from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.evaluation.compare import MIN_SEEDS
from tasks.evaluation.families import detectable_effect
from tasks.evaluation.tasks.params import TaskSetParams
from tasks.evaluation.tasks.published import Scores, TaskItems
from tasks.evaluation.tasks.stage import GivenTask, MeasuredTasks, known_scores, require_score
from tasks.pages.templating import PAGE
from tasks.pictures.curves import Curve, curve_of
from tasks.runtime.context import Workshop
from tasks.runtime.stages import Content, StageInput, StageRun, environment_over
from tasks.tokenize.published import TokenPoolIndex
from tasks.training.published_run import read_losses

STAGE = "arms"


def run(params: ArmsParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train every arm with every seed, measure all models on the same text and tasks, and say what that shows."""
    given = GivenArms.of(params, inputs, workshop)
    primary = score_named(params.primary, params, given.tasks, given.common, "primary")
    stage = StageRun(workshop, STAGE, __name__, params, given.digests, output, gpus=workshop.gpus_per_trainer)
    if (found := stage.unchanged()) is not None:
        return found
    workshop.observer.say(effect_words(params))
    measured = measure(given, workshop)
    told, environment = _told(params, primary, measured), environment_over(measured.records)
    scored = measured.scored
    content = ArmsContent(
        found=told,
        plan=measured.plan,
        domains={name: pool.names for name, pool in measured.pools.items()},
        curves=_curves(measured.made),
        items=() if scored is None else _item_gains(params, scored, measured),
        pools={name: each.manifest for name, each in given.pools.items()},
        own=stage.draft(),
        environment=environment,
    )
    files: dict[str, Content] = {ArmsComparison.FILE: told, "arms.md": markdown(told), PAGE: render(content)}
    if scored is not None:
        files |= {Scores.FILE: scored.scores, TaskItems.FILE: scored.items}
    summary = {"statements": told.statements}
    return stage.publish(files, summary=summary, environment=environment)


def _curves(made: Made) -> dict[str, Curve]:
    """Return the training curve of every arm."""
    losses: dict[str, list[tuple[float, ...]]] = {}
    for one, _, records in made:
        losses.setdefault(one.arm.name, []).extend(read_losses(record.folder) for record in records)
    return {name: curve_of(name, own) for name, own in losses.items()}


def _item_gains(params: ArmsParams, scored: MeasuredTasks, measured: MeasuredArms) -> tuple[ItemGain, ...]:
    models = {one.arm.name: [specs[0].name for specs in one.by_seed] for one in measured.plan}
    return item_gains(scored, models, params.baseline, params.confidence)


def effect_words(params: ArmsParams) -> str:
    """Say, before anything is spent, which effect this many seeds can find."""
    if params.num_seeds < MIN_SEEDS:
        return f"arms: {params.num_seeds} seeds give no interval and no claim; {MIN_SEEDS} are needed (num_seeds)"
    sd = params.noise_sd
    effect = detectable_effect(sd or 1.0, params.num_seeds, confidence=params.confidence)
    unit = (
        "standard deviations of a paired difference (noise_sd is not given)" if sd is None else f"in {params.primary}"
    )
    return f"arms: {params.num_seeds} seeds find a gain of {effect:.4g} {unit} in four of five comparisons"


def _told(params: ArmsParams, primary: str, measured: MeasuredArms) -> ArmsComparison:
    comparisons, adjustment = judged(
        measured.runs, measured.directions, baseline=params.baseline, primary=primary, confidence=params.confidence
    )
    arms = [one.arm for one in measured.plan]
    return ArmsComparison(
        baseline=params.baseline,
        primary=primary,
        confidence=params.confidence,
        adjustment=adjustment,
        directions=measured.directions,
        runs=measured.runs,
        comparisons=comparisons,
        grids=grids_found(arms, measured.runs, primary, measured.directions[primary]),
    )


def score_named(name: str, params: TaskSetParams, tasks: Sequence[GivenTask], common: StageInput, where: str) -> str:
    """Return the whole name of a score that `where` names, before anything is spent on it.

    Raises:
        ConfigError: no arm will have such a score.
    """
    domains = [domain.name for domain in common.read(TokenPoolIndex).domains]
    own = [BITS_PER_BYTE, *(f"{BITS_PER_BYTE}.{one}" for one in domains), *(one.name for one in params.score_sets)]
    if name in own:
        return name
    if name.partition(".")[0] == BITS_PER_BYTE:
        raise ConfigError(f"{where}: the pool has no domain of {name}. It has {', '.join(domains)}.")
    return ".".join(require_score(name, known_scores(tasks, params), where))
