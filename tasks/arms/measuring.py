"""Arms trained and measured on the text and tasks that all have in common: what a comparison of them rests on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from tasks.arms.config import BITS_PER_BYTE, ArmsParams
from tasks.arms.plan import PlannedArm, arms_of, natural_weights, planned
from tasks.arms.published import ArmRun
from tasks.core.digest import digest_json
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle, Tree
from tasks.evaluation.measured import bits_per_byte_of, held_out_of
from tasks.evaluation.tasks.ahead import require_answerable
from tasks.evaluation.tasks.item import Direction
from tasks.evaluation.tasks.kinds import method
from tasks.evaluation.tasks.published import ScoredModel
from tasks.evaluation.tasks.stage import GivenTask, MeasuredTasks, content_of, given_tasks, measured
from tasks.evaluation.tasks.unit import TrainedEnsemble, TrainedModel
from tasks.evaluation.unit import SPLIT
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import StageInput, stage_input
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.tokenize.prefixed import METADATA
from tasks.tokenize.published import TOKENIZER_FILE, Split
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE
from tasks.training.recipes import PlannedRun
from tasks.training.runs.stage import require_worlds, train_all
from tasks.training.segments import flops_of
from tasks.training.stage import start_of, teachers_of
from tasks.training.starts.start import Start
from tasks.training.starts.weights import start_mistakes
from tasks.training.teachers.fit import require_fit
from tasks.training.teachers.loaded import require_teachers
from tasks.training.types import RunSpec, Trunk

# Seed by seed: the arm, its runs with this seed (several of an ensemble), and their records.
Made = Sequence[tuple[PlannedArm, tuple[RunSpec, ...], tuple[UnitRecord, ...]]]
Pools = Mapping[str | None, TokenPool]
Planner = Callable[[ArmsParams, Pools], list[PlannedArm]]


@dataclass(frozen=True)
class GivenArms:
    """Arms with all that they read: pools by the name of an arm's pool (None = the common one), tasks, starts."""

    params: ArmsParams
    pools: Mapping[str | None, StageInput]
    tasks: tuple[GivenTask, ...]
    begin: Start | None
    own: Mapping[str, Start | None]
    teachers: Mapping[str, tuple[Start, ...]]

    @staticmethod
    def of(params: ArmsParams, inputs: Mapping[str, Path], workshop: Workshop) -> "GivenArms":
        """Return arms with what they read; `inputs` are folders of tokenize, `tokenize` the common one.

        Raises:
            ConfigError: an arm has a curation, and nothing was curated for it.
        """
        pools: dict[str | None, StageInput] = {None: stage_input(workshop, inputs, "tokenize")}
        pools |= {
            name: stage_input(workshop, {"tokenize": folder}, "tokenize") for name, folder in _own_pools(params, inputs)
        }
        own = {arm.name: start_of(arm.start) for arm in params.arms if arm.start is not None}
        teachers = {arm.name: teachers_of(arm.teachers) for arm in params.arms if arm.teachers}
        return GivenArms(params, pools, tuple(given_tasks(params)), start_of(params.start), own, teachers)

    @property
    def common(self) -> StageInput:
        """The pool that all arms are measured on."""
        return self.pools[None]

    @property
    def digests(self) -> dict[str, str]:
        """The digests of all that is read, by name."""
        found = {"tokenize" if name is None else f"tokenize:{name}": each.digest for name, each in self.pools.items()}
        starts = {"": self.begin, **self.own}
        found |= {f"start:{name}": start.digest for name, start in starts.items() if start is not None}
        found |= {f"teachers:{name}": digest_json([one.digest for one in some]) for name, some in self.teachers.items()}
        return found | content_of(self.tasks, self.params)


@dataclass(frozen=True)
class MeasuredArms:
    """What became of arms: the runs with their records, every score of each, and what was scored of tasks."""

    plan: Sequence[PlannedArm]
    pools: Pools
    made: Made
    runs: tuple[ArmRun, ...]
    directions: Mapping[str, Direction]
    scored: MeasuredTasks | None

    @property
    def records(self) -> list[UnitRecord]:
        """The records of all runs."""
        return [record for _, _, some in self.made for record in some]


def all_arms(params: ArmsParams, pools: Pools) -> list[PlannedArm]:
    """Return every arm with every seed."""
    natural = natural_weights(pools[None], params.training, params.max_epochs)
    return planned(params, arms_of(params, pools[None].names, natural), pools)


def measure(given: GivenArms, workshop: Workshop, planner: Planner = all_arms, split: Split = SPLIT) -> MeasuredArms:
    """Train what `planner` makes of the arms, and measure all models on the same tasks and split of the common text.

    Raises:
        ConfigError: an arm cannot be run as it stands, or its tokens are of another tokenizer than the common ones.
    """
    params = given.params
    trees = {
        name: each.tree(*POOL_FILES, "tokens/train/", METADATA, TOKENIZER_FILE) for name, each in given.pools.items()
    }
    held_out = held_out_of(given.common, split)
    _require_one_tokenizer(trees)
    pools = {name: read_pool(tree.local(), "train") for name, tree in trees.items()}
    plan = planner(params, pools)
    starts = {one.arm.name: given.own.get(one.arm.name, given.begin) for one in plan}
    _require_fit(plan, starts, trees, pools)
    plan = [
        _taught(one, given.teachers.get(one.arm.name, ()), trees[one.arm.pool], pools[one.arm.pool]) for one in plan
    ]
    specs = [spec for one in plan for spec in one.specs]
    require_worlds(specs, workshop)
    if given.tasks:
        _require_asked_as_one(plan, given.tasks)
        ends = [spec.segments[-1].model for spec in specs]
        require_answerable(given.tasks, trees[None][TOKENIZER_FILE].local(), ends, "tasks")
    made = _trained(plan, trees, starts, workshop)
    records = [some for _, _, some in made]
    tokens, label = params.test_tokens_per_domain, "arms: bits per byte"
    bpb = bits_per_byte_of(records, held_out, tokens, workshop, label=label, split=split)
    models = {specs[0].name: _model(some, trees[None][TOKENIZER_FILE]) for _, specs, some in made}
    scored = measured(workshop, params, given.tasks, models) if given.tasks or params.harness_results else None
    by_model = {} if scored is None else {one.model: one for one in scored.scores.models}
    runs = tuple(_runs(made, bpb, by_model, pools))
    return MeasuredArms(plan, pools, made, runs, _directions(by_model, bpb[0]), scored)


def _own_pools(params: ArmsParams, inputs: Mapping[str, Path]) -> list[tuple[str, Path]]:
    """Return the pools of arms beside the common one: what was curated for an arm is an input of that name."""
    names = list(dict.fromkeys(arm.pool for arm in params.arms if arm.pool is not None))
    curated = {arm.pool for arm in params.arms if arm.curation is not None}
    if missing := [name for name in names if name in curated and name not in inputs]:
        raise ConfigError(f"{len(missing)} pool(s) are missing; first: {missing[0]}. Name the run by --run.")
    return [(name, inputs.get(name, Path(name))) for name in names]


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
    pools: Pools,
) -> None:
    for one in plan:
        if (start := starts[one.arm.name]) is not None:
            training, tokens = one.training, one.arm.pool
            mistakes = tuple(start_mistakes(start, training, pools[tokens].vocab_size, trees[tokens][TOKENIZER_FILE]))
            if mistakes:
                raise ConfigError(f"arm {one.arm.name}, start: {len(mistakes)} mistake(s): {'; '.join(mistakes)}")


def _require_asked_as_one(plan: Sequence[PlannedArm], tasks: Sequence[GivenTask]) -> None:
    """Refuse tasks that look at hidden states where an arm is an ensemble, which has none."""
    several = [one.arm.name for one in plan if one.members > 1]
    looking = [task.params.name for task in tasks if method(task.params.task).comparison is not None]
    if several and looking:
        raise ConfigError(
            f"tasks: {looking[0]} compares hidden states, and arm {several[0]} is an ensemble, which has none of its own. "
            "Leave one of them out."
        )


def _taught(one: PlannedArm, teachers: tuple[Start, ...], tree: Tree, pool: TokenPool) -> PlannedArm:
    """Return an arm whose runs learn from teachers, if it has some.

    Raises:
        ConfigError: it has none and is to learn from some, or some that cannot teach it.
    """
    name = f"arm {one.arm.name}"
    if one.arm.trunk is not None:
        if one.training.distillation is not None:
            raise ConfigError(f"{name}: no arm goes on from one that learns from teachers. Train it from the start.")
        return one
    require_teachers(name, one.training, len(teachers))
    taught = replace(one, specs=tuple(replace(spec, teachers=teachers or None) for spec in one.specs))
    require_fit(taught.specs, pool.vocab_size, tree[TOKENIZER_FILE], name)
    return taught


def _trained(
    plan: Sequence[PlannedArm],
    trees: Mapping[str | None, Tree],
    starts: Mapping[str, Start | None],
    workshop: Workshop,
) -> Made:
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
    return [
        (one, specs, tuple(made[one.arm.name, spec.seed] for spec in specs)) for one in plan for specs in one.by_seed
    ]


def _begun(spec: RunSpec, start: Start | None) -> RunSpec:
    """Return a run that goes on with the optimizer of its start, if that has one."""
    if start is None or start.optimizer_steps is None:
        return spec
    trunk = None if spec.trunk is None else Trunk(_begun(spec.trunk.spec, start), spec.trunk.step)
    return replace(spec, optimizer_steps=start.optimizer_steps, trunk=trunk)


def _model(records: Sequence[UnitRecord], tokenizer: Handle) -> TrainedModel | TrainedEnsemble:
    members = [TrainedModel(one.file(CONFIG_FILE), one.file(WEIGHTS_FILE), tokenizer) for one in records]
    return members[0] if len(members) == 1 else TrainedEnsemble(tuple(members))


def _runs(
    made: Made,
    bpb: Sequence[Mapping[str, float]],
    scored: Mapping[str, ScoredModel],
    pools: Pools,
) -> Iterator[ArmRun]:
    for (one, specs, records), own in zip(made, bpb, strict=True):
        vocab_size, steps = pools[one.arm.pool].vocab_size, one.training.num_steps
        yield ArmRun(
            arm=one.arm.name,
            seed=specs[0].seed,
            models=len(specs),
            tokens=one.training.num_tokens,
            flops=sum(flops_of(spec, vocab_size, 0, steps) for spec in specs),
            device=_all(record.identity["device"] for record in records),
            instruction_set=_all(record.environment["instruction_set"] for record in records),
            scores=_scores(own, scored.get(specs[0].name)),
        )


def _all(values: Iterable[str]) -> str:
    return ", ".join(sorted({*values}))


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
