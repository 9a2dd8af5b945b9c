"""The driver of a comparison of arms: every arm is trained with every seed and measured; what was run before is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from tasks.arms.config import BITS_PER_BYTE, ArmsParams
from tasks.arms.items import ItemGain, item_gains
from tasks.arms.judge import judged
from tasks.arms.page import ArmsContent, render
from tasks.arms.plan import PlannedArm, arms_of, natural_weights, planned
from tasks.arms.published import ArmRun, ArmsComparison
from tasks.arms.table import markdown
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle, Tree
from tasks.core.manifest import Manifest
from tasks.evaluation.compare import MIN_SEEDS
from tasks.evaluation.families import detectable_effect
from tasks.evaluation.measured import bits_per_byte_of, held_out_of
from tasks.evaluation.tasks.item import Direction
from tasks.evaluation.tasks.published import ScoredModel, Scores, TaskItems
from tasks.evaluation.tasks.stage import (
    GivenTask,
    MeasuredTasks,
    content_of,
    given_tasks,
    known_scores,
    measured,
    require_score,
)
from tasks.evaluation.tasks.unit import TrainedModel
from tasks.pages.templating import PAGE
from tasks.pictures.curves import Curve, curve_of
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageInput, StageRun, environment_over, stage_input
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.tokenize.published import TOKENIZER_FILE, TokenPoolIndex
from tasks.training.config import num_flops
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE, read_losses
from tasks.training.recipes import PlannedRun
from tasks.training.stage import require_worlds, start_of, train_all
from tasks.training.starts.weights import Start, start_mistakes
from tasks.training.types import RunSpec

STAGE = "arms"
_Made = Sequence[tuple[PlannedArm, RunSpec, UnitRecord]]


def run(params: ArmsParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Train every arm with every seed, measure all models on the same text and tasks, and say what that shows."""
    common = stage_input(workshop, inputs, "tokenize")
    given: dict[str | None, StageInput] = {None: common}
    given |= {
        name: stage_input(workshop, {"tokenize": folder}, "tokenize") for name, folder in _own_pools(params, inputs)
    }
    tasks, own = given_tasks(params), {arm.name: start_of(arm.start) for arm in params.arms if arm.start is not None}
    begin, primary = start_of(params.start), _primary(params, tasks, common)
    digests = _digests(given, {"": begin, **own}) | content_of(tasks, params)
    stage = StageRun(workshop, STAGE, __name__, params, digests, output, gpus=workshop.gpus_per_trainer)
    if (found := stage.unchanged()) is not None:
        return found
    trees = {name: each.tree(*POOL_FILES, "tokens/train/", TOKENIZER_FILE) for name, each in given.items()}
    held_out = held_out_of(common)
    _require_one_tokenizer(trees)
    pools = {name: read_pool(tree.local(), "train") for name, tree in trees.items()}
    natural = natural_weights(pools[None], params.training, params.max_epochs)
    plan = planned(params, arms_of(params, pools[None].names, natural), pools)
    starts = {one.arm.name: own.get(one.arm.name, begin) for one in plan}
    _require_fit(plan, starts, trees, pools)
    require_worlds([spec for one in plan for spec in one.specs], workshop)
    workshop.observer.say(effect_words(params))
    made = _trained(plan, trees, starts, workshop)
    records = [record for _, _, record in made]
    bpb = bits_per_byte_of(records, held_out, params.test_tokens_per_domain, workshop, label="arms: bits per byte")
    by_run = {spec.name: own for (_, spec, _), own in zip(made, bpb, strict=True)}
    models = {spec.name: _model(record, trees[None][TOKENIZER_FILE]) for _, spec, record in made}
    scored = measured(workshop, params, tasks, models) if tasks or params.harness_results else None
    by_model = {} if scored is None else {one.model: one for one in scored.scores.models}
    told, environment = _told(params, primary, made, by_run, by_model, pools), environment_over(records)
    content = ArmsContent(
        found=told,
        plan=plan,
        domains={name: pool.names for name, pool in pools.items()},
        curves=_curves(made),
        items=() if scored is None else _item_gains(params, scored, tasks, plan),
        pools={name: each.manifest for name, each in given.items()},
        own=stage.draft(),
        environment=environment,
    )
    files: dict[str, Content] = {ArmsComparison.FILE: told, "arms.md": markdown(told), PAGE: render(content)}
    if scored is not None:
        files |= {Scores.FILE: scored.scores, TaskItems.FILE: scored.items}
    summary = {"statements": [one.statement for one in told.comparisons]}
    return stage.publish(files, summary=summary, environment=environment)


def _curves(made: _Made) -> dict[str, Curve]:
    """Return the training curve of every arm."""
    losses: dict[str, list[tuple[float, ...]]] = {}
    for one, _, record in made:
        losses.setdefault(one.arm.name, []).append(read_losses(record.folder))
    return {name: curve_of(name, own) for name, own in losses.items()}


def _item_gains(
    params: ArmsParams, scored: MeasuredTasks, tasks: Sequence[GivenTask], plan: Sequence[PlannedArm]
) -> tuple[ItemGain, ...]:
    models = {one.arm.name: [spec.name for spec in one.specs] for one in plan}
    return item_gains(scored, tasks, models, params.baseline, params.confidence)


def _own_pools(params: ArmsParams, inputs: Mapping[str, Path]) -> list[tuple[str, Path]]:
    """Return the pools of arms beside the common one: what was curated for an arm is an input of that name.

    Raises:
        ConfigError: an arm has a curation, and nothing was curated for it.
    """
    names = list(dict.fromkeys(arm.pool for arm in params.arms if arm.pool is not None))
    curated = {arm.pool for arm in params.arms if arm.curation is not None}
    if missing := [name for name in names if name in curated and name not in inputs]:
        raise ConfigError(f"{len(missing)} pool(s) are missing; first: {missing[0]}. Name the run by --run.")
    return [(name, inputs.get(name, Path(name))) for name in names]


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


def _digests(given: Mapping[str | None, StageInput], starts: Mapping[str, Start | None]) -> dict[str, str]:
    found = {"tokenize" if name is None else f"tokenize:{name}": each.digest for name, each in given.items()}
    return found | {f"start:{name}": start.digest for name, start in starts.items() if start is not None}


def _require_one_tokenizer(trees: Mapping[str | None, Tree]) -> None:
    """Refuse pools whose tokens are not the same: their models could not be measured on the common text."""
    common = trees[None][TOKENIZER_FILE].digest
    if wrong := [name for name, tree in trees.items() if tree[TOKENIZER_FILE].digest != common]:
        raise ConfigError(
            f"{len(wrong)} of {len(trees)} pools have another tokenizer; first: {wrong[0]}. A loss per token says nothing "
            "across tokenizers: tokenize it with the common one (tokenizer kind `file`)."
        )


def _require_fit(
    plan: Sequence[PlannedArm],
    starts: Mapping[str, Start | None],
    trees: Mapping[str | None, Tree],
    pools: Mapping[str | None, TokenPool],
) -> None:
    for one in plan:
        if (start := starts[one.arm.name]) is not None:
            training, tokens = one.training, one.arm.pool
            mistakes = tuple(start_mistakes(start, training, pools[tokens].vocab_size, trees[tokens][TOKENIZER_FILE]))
            if mistakes:
                raise ConfigError(f"arm {one.arm.name}, start: {len(mistakes)} mistake(s): {'; '.join(mistakes)}")


def _trained(
    plan: Sequence[PlannedArm],
    trees: Mapping[str | None, Tree],
    starts: Mapping[str, Start | None],
    workshop: Workshop,
) -> list[tuple[PlannedArm, RunSpec, UnitRecord]]:
    """Make all runs, as the train stage makes them: what either has made, neither makes again."""
    runs = [(one, _begun(spec, starts[one.arm.name])) for one in plan for spec in one.specs]
    made: dict[tuple[str, int], UnitRecord] = {}
    # Arms of one pool that begin with the same weights are trained side by side.
    kinds = dict.fromkeys((one.arm.pool, starts[one.arm.name]) for one in plan)
    for tokens, start in kinds:
        own = [
            PlannedRun(one.arm.name, spec)
            for one, spec in runs
            if (one.arm.pool, starts[one.arm.name]) == (tokens, start)
        ]
        records = train_all(own, trees[tokens], start, workshop)
        made |= {(one.mixture, one.spec.seed): record for one, record in zip(own, records, strict=True)}
    return [(one, spec, made[one.arm.name, spec.seed]) for one, spec in runs]


def _begun(spec: RunSpec, start: Start | None) -> RunSpec:
    """Return a run that goes on with the optimizer of its start, if that has one."""
    return spec if start is None else replace(spec, optimizer_steps=start.optimizer_steps)


def _model(record: UnitRecord, tokenizer: Handle) -> TrainedModel:
    return TrainedModel(record.file(CONFIG_FILE), record.file(WEIGHTS_FILE), tokenizer)


def _told(
    params: ArmsParams,
    primary: str,
    made: _Made,
    bpb: Mapping[str, Mapping[str, float]],
    scored: Mapping[str, ScoredModel],
    pools: Mapping[str | None, TokenPool],
) -> ArmsComparison:
    directions = _directions(scored, next(iter(bpb.values())))
    runs = [
        ArmRun(
            arm=one.arm.name,
            seed=spec.seed,
            tokens=one.training.num_tokens,
            flops=num_flops(one.training, pools[one.arm.pool].vocab_size),
            device=record.identity["device"],
            instruction_set=record.environment["instruction_set"],
            scores=_scores(bpb[spec.name], scored.get(spec.name)),
        )
        for one, spec, record in made
    ]
    comparisons, adjustment = judged(
        runs, directions, baseline=params.baseline, primary=primary, confidence=params.confidence
    )
    return ArmsComparison(
        baseline=params.baseline,
        primary=primary,
        confidence=params.confidence,
        adjustment=adjustment,
        directions=directions,
        runs=tuple(runs),
        comparisons=comparisons,
    )


def _primary(params: ArmsParams, tasks: Sequence[GivenTask], common: StageInput) -> str:
    """Return the whole name of the primary score, before anything is spent on it.

    Raises:
        ConfigError: no arm will have such a score.
    """
    domains = [domain.name for domain in common.read(TokenPoolIndex).domains]
    own = [BITS_PER_BYTE, *(f"{BITS_PER_BYTE}.{name}" for name in domains), *(one.name for one in params.score_sets)]
    if params.primary in own:
        return params.primary
    if params.primary.partition(".")[0] == BITS_PER_BYTE:
        raise ConfigError(f"primary: the pool has no domain of {params.primary}. It has {', '.join(domains)}.")
    return require_score(params.primary, known_scores(tasks, params), "primary")


def _scores(bpb: Mapping[str, float], scored: ScoredModel | None) -> dict[str, float]:
    """Return a run's scores by name: the mean over domains, each domain, each score of each task, each set."""
    found = {BITS_PER_BYTE: fmean(bpb.values()), **{f"{BITS_PER_BYTE}.{name}": value for name, value in bpb.items()}}
    if scored is None:
        return found
    tasks = {f"{task}.{name}": one.value for task, own in scored.tasks.items() for name, one in own.scores.items()}
    return found | tasks | {name: one.value for name, one in scored.score_sets.items()}


def _directions(scored: Mapping[str, ScoredModel], bpb: Mapping[str, float]) -> dict[str, Direction]:
    found: dict[str, Direction] = {BITS_PER_BYTE: "lower", **{f"{BITS_PER_BYTE}.{name}": "lower" for name in bpb}}
    for one in [*scored.values()][:1]:
        for task, own in one.tasks.items():
            found |= {f"{task}.{name}": score.direction for name, score in own.scores.items()}
        found |= {name: score.direction for name, score in one.score_sets.items()}
    return found
