"""From arms to runs: which there are, on which pool, with which mixture and how many tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import gcd

from tasks.arms.amount import RowsOf, row_share_of, tokens_of_epochs
from tasks.arms.config import MEMBER_SEEDS, Arm, ArmsParams
from tasks.arms.grid import in_a_name
from tasks.arms.stages import first_step, staged
from tasks.core.errors import ConfigError
from tasks.core.params import layered, validate
from tasks.mixture.problem import filled
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data import run_data
from tasks.training.ewc.fisher import require_samples
from tasks.training.ewc.params import with_earlier
from tasks.training.model_size import num_flops
from tasks.training.recipe_phases import phase_of, staged_training
from tasks.training.replay import Before, read_before
from tasks.training.rows import rows_of
from tasks.training.sample_counts import weight_caps
from tasks.training.segments import Layout
from tasks.training.stage_caps import over_caps
from tasks.training.starts.kinds import StartConfig, trained_on
from tasks.training.starts.scratch import Scratch
from tasks.training.types import RunSpec, Trunk


@dataclass(frozen=True)
class PlannedArm:
    """An arm with the config of its runs, and its runs seed by seed: one, or those of an ensemble's members."""

    arm: Arm
    training: TrainingConfig
    specs: tuple[RunSpec, ...]

    @property
    def members(self) -> int:
        """The runs of each seed."""
        return self.arm.ensemble or 1

    @property
    def by_seed(self) -> tuple[tuple[RunSpec, ...], ...]:
        """The runs of each seed; the first of them is called as what is measured of them all, and has its seed."""
        return tuple(self.specs[first : first + self.members] for first in range(0, len(self.specs), self.members))


def arms_of(params: ArmsParams, domains: Sequence[str], natural: Sequence[float]) -> tuple[Arm, ...]:
    """Return all arms; those that leave a domain out have the others as they are in the natural mixture.

    Where it is left out of the last stage, they are the baseline in all else.

    Raises:
        ConfigError: there is one domain, so that nothing is left without it, or a name is taken by another arm.
    """
    if not params.leave_one_out:
        return params.arms
    shares = dict(zip(domains, natural, strict=True))
    if len([share for share in shares.values() if share > 0]) < 2:
        raise ConfigError(
            f"leave_one_out: the pool has one domain, {', '.join(domains)}, and without it there is nothing to train on. "
            "Set it to false, or take a pool of several domains."
        )
    pairs = zip(domains, _called(domains), strict=True)
    if params.leave_one_out == "last_stage":
        left = [_without(name, f"without-{called}", _of(params.arms, params.baseline)) for name, called in pairs]
    else:
        left = [
            Arm(name=f"without-{called}", weights={other: share for other, share in shares.items() if other != name})
            for name, called in pairs
        ]
    if twice := sorted({one.name for one in params.arms} & {one.name for one in left}):
        raise ConfigError(f"leave_one_out: an arm of the file is called {twice[0]} too. Give that one another name.")
    return (*params.arms, *left)


def _without(domain: str, name: str, baseline: Arm) -> Arm:
    """Return the baseline without a domain in its last stage."""
    last = baseline.stages[-1]
    last = last.model_copy(update={"without": (*last.without, domain)})
    return baseline.model_copy(update={"name": name, "stages": (*baseline.stages[:-1], last)})


def _called(domains: Sequence[str]) -> list[str]:
    """Return domains as names of arms may be: a source is called as its user likes, `my web.v2` or in any script."""
    plain = [in_a_name(name) for name in domains]
    return [name if plain.count(name) == 1 else f"{name}-{place}" for place, name in enumerate(plain)]


def natural_weights(pool: TokenPool, training: TrainingConfig, max_epochs: float) -> tuple[float, ...]:
    """Return each domain's share of the tokens under the caps, in the order of the pool."""
    rows = [each.distinct for each in rows_of(pool, Layout(training.model.sequence_length), training.data)]
    return tuple(
        filled(pool.tokens("train").astype(float), weight_caps(rows, training.num_samples, max_epochs)).tolist()
    )


def planned(params: ArmsParams, arms: Sequence[Arm], pools: Mapping[str | None, TokenPool]) -> list[PlannedArm]:
    """Return every arm's runs. `pools` are by the name of an arm's pool; None = the common one.

    Raises:
        ConfigError: an arm cannot be run as it stands; names all that cannot.
    """
    baseline = _of(arms, params.baseline)
    base = _training(params, baseline, pools[baseline.pool], {})
    budget = num_flops(base, pools[baseline.pool].vocab_size) * (baseline.ensemble or 1)
    found, mistakes = dict[str, PlannedArm](), []
    for arm in arms:
        pool = pools[arm.pool]
        try:
            training = _training(params, arm, pool, found)
            if params.equal == "flops":
                training = _with_flops(training, pool.vocab_size, budget // (arm.ensemble or 1))
            elif params.equal == "tokens" and training.num_tokens != base.num_tokens:
                raise ConfigError(
                    f"arm {arm.name} has {training.num_tokens:,} tokens, the baseline {base.num_tokens:,}: not a comparison "
                    "at equal tokens. Set both to the same, or `equal` to flops, or to text where that alone is equal."
                )
            training = _with_milestones(training, arm, arms)
            found[arm.name] = PlannedArm(arm, *_runs(params, arm, training, pool, found))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        told = "\n".join(f"  {one}" for one in mistakes)
        raise ConfigError(f"{len(mistakes)} of {len(arms)} arms cannot be run:\n{told}")
    return [*found.values()]


def _of(arms: Sequence[Arm], name: str) -> Arm:
    return next(arm for arm in arms if arm.name == name)


def _training(params: ArmsParams, arm: Arm, pool: TokenPool, before: Mapping[str, PlannedArm]) -> TrainingConfig:
    """Return the config of an arm's runs, with the tokens of its epochs, or of its trunk's."""
    training = params.training
    if arm.training:
        values = layered(params.training.model_dump(mode="json"), arm.training)
        training = validate(TrainingConfig, values, f"arm {arm.name}, training")
    trunk = None if arm.trunk is None else before.get(arm.trunk)
    if trunk is not None:
        tokens: int | None = trunk.training.num_tokens
    else:
        tokens = tokens_of_epochs(arm, training, pool, _rows(pool, training), row_share_of(arm, pool))
    if tokens is None or tokens == training.num_tokens:
        return training
    return validate(TrainingConfig, training.model_dump() | {"num_tokens": tokens}, f"arm {arm.name}, its tokens")


def _rows(pool: TokenPool, training: TrainingConfig) -> RowsOf:
    return cache(partial(rows_of, pool, config=training.data))


def _with_flops(training: TrainingConfig, vocab_size: int, budget: int) -> TrainingConfig:
    """Return the config with as many whole steps as `budget` FLOPs give."""
    per_step = num_flops(training, vocab_size) / training.num_steps
    steps = max(1, round(budget / per_step))
    return validate(
        TrainingConfig,
        training.model_dump() | {"num_tokens": steps * training.tokens_per_step},
        "training at equal FLOPs",
    )


def _with_milestones(training: TrainingConfig, arm: Arm, arms: Sequence[Arm]) -> TrainingConfig:
    """Return the config of an arm with a milestone at every step at which another leaves it."""
    leaving = [first_step(one, training.num_steps) for one in arms if one.trunk == arm.name]
    return training if not leaving else training.model_copy(update={"milestone_every_steps": gcd(*leaving)})


def _runs(
    params: ArmsParams, arm: Arm, training: TrainingConfig, pool: TokenPool, before: Mapping[str, PlannedArm]
) -> tuple[TrainingConfig, tuple[RunSpec, ...]]:
    """Return the config of an arm's runs, and a run for every seed; `before` are the arms that it may go on from."""
    rows = _rows(pool, training)
    trunk, step = _trunk(arm, before), first_step(arm, training.num_steps)
    past = None if trunk is None else run_data(trunk.specs[0], pool, rows)
    share = row_share_of(arm, pool) if trunk is None else trunk.specs[0].row_share
    start = _begins_with(params, arm, before)
    read: Before = partial(trained_on, start)
    if trunk is not None:
        read = partial(read_before, trunk.specs[0], step, pool.names, read, {})
    stages = staged(arm, training, pool, rows, params.max_epochs, past, read, share)
    training = _near_start(staged_training(training, stages), read, pool, arm, start)
    phases = tuple(phase_of(one, one.weights, training.model) for one in stages)
    members = arm.ensemble or 1
    seeds = [
        params.seed + number + member * MEMBER_SEEDS for number in range(params.num_seeds) for member in range(members)
    ]
    specs = tuple(
        RunSpec(
            f"{arm.name}-seed{seed}",
            phases,
            seed,
            training,
            params.max_epochs,
            share,
            trunk=None if trunk is None else Trunk(trunk.specs[place], step),
        )
        for place, seed in enumerate(seeds)
    )
    run_data(replace(specs[0], name=f"arm {arm.name}"), pool, rows)  # its caps
    if over := [*over_caps(phases, [one.max_epochs for one in stages], pool.names, training.model, rows)]:
        raise ConfigError(f"arm {arm.name}, {'; '.join(over)}")
    return training, specs


def _begins_with(params: ArmsParams, arm: Arm, before: Mapping[str, PlannedArm]) -> StartConfig:
    """Return what an arm, or the first of its trunks, begins with."""
    while arm.trunk is not None:
        arm = before[arm.trunk].arm
    return arm.start or params.start


def _near_start(
    training: TrainingConfig, read: Before, pool: TokenPool, arm: Arm, start: StartConfig
) -> TrainingConfig:
    """Return the config with the domains that its `ewc` speaks of: those that its start or its trunk was trained on.

    Raises:
        ConfigError: it begins with new weights, or nobody knows what they were trained on.
    """
    where = f"arm {arm.name}"
    if training.ewc is not None and arm.trunk is None and isinstance(start, Scratch):
        raise ConfigError(
            f"{where}: training.ewc holds weights near to those of a start, and its runs begin with new ones. Give it a "
            "start or a trunk, or set ewc to null."
        )
    found = with_earlier(training, read, pool.names, where)
    require_samples(found, pool, where)
    return found


def _trunk(arm: Arm, before: Mapping[str, PlannedArm]) -> PlannedArm | None:
    if arm.trunk is not None and arm.trunk not in before:
        raise ConfigError(f"arm {arm.name}: its trunk {arm.trunk} cannot be run.")
    return None if arm.trunk is None else before[arm.trunk]
