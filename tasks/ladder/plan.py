"""From a ladder to runs: of every size a trunk, which is the longest run, and branches off it for fewer tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.arms.plan import natural_weights
from tasks.arms.stages import shares_of
from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.ladder.config import LadderParams, Size
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data import run_data
from tasks.training.model_size import num_parameters
from tasks.training.schedules.changes import DecayFrom
from tasks.training.schedules.rates import warmup_steps
from tasks.training.schedules.wsd import Wsd
from tasks.training.segments import flops_of
from tasks.training.types import Phase, RunSpec, Trunk


@dataclass(frozen=True)
class LadderRun:
    """A run of the ladder: its size, that size's parameters, and what is trained; trunks have none themselves."""

    size: str
    parameters: int
    spec: RunSpec

    def flops(self, vocab_size: int) -> int:
        """Return the floating-point operations of all its steps, a trunk's among them."""
        return flops_of(self.spec, vocab_size, 0, self.spec.training.num_steps)

    def spent(self, vocab_size: int) -> int:
        """Return the floating-point operations that it takes when its trunk is there."""
        before = 0 if self.spec.trunk is None else self.spec.trunk.step
        return flops_of(self.spec, vocab_size, before, self.spec.training.num_steps)


def planned(params: LadderParams, pool: TokenPool) -> list[LadderRun]:
    """Return all runs, size by size and seed by seed: first all trunks, then their branches.

    All have one mixture: under the epoch caps of the run with the most tokens.

    Raises:
        ConfigError: sizes that cannot be run as they stand; names all.
    """
    mistakes, longest = list[str](), list[tuple[Size, TrainingConfig]]()
    for size in params.sizes:
        try:
            longest.append((size, _longest(params, size, pool.vocab_size)))
        except ConfigError as error:
            mistakes.append(str(error))
    _require(mistakes, len(params.sizes))
    weights = _weights(params, max((one for _, one in longest), key=lambda one: one.num_tokens), pool)
    found = [run for size, trunk in longest for run in _runs(params, size, trunk, weights, pool.vocab_size)]
    for run in found:
        try:
            run_data(run.spec, pool)  # its caps
        except ConfigError as error:
            mistakes.append(f"size {run.size}, {run.spec.training.num_tokens:,} tokens: {error}")
    _require(mistakes, len(found))
    return sorted(found, key=lambda run: run.spec.trunk is not None)


def require_affordable(runs: Sequence[LadderRun], vocab_size: int, budget: float | None) -> None:
    """Refuse a ladder that takes more floating-point operations than one has.

    Raises:
        ConfigError: it does; says what it takes without its dearest sizes.
    """
    spent = {name: sum(run.spent(vocab_size) for run in runs if run.size == name) for name in _names(runs)}
    total = sum(spent.values())
    if budget is None or total <= budget:
        return
    kept = list(spent)
    while kept and sum(spent[name] for name in kept) > budget:
        kept.remove(max(kept, key=spent.__getitem__))
    within = f"{', '.join(kept)} alone take {sum(spent[name] for name in kept):.3g}" if kept else "no size alone fits"
    raise ConfigError(
        f"the ladder takes {total:.3g} FLOPs, {total / budget:.3g} times the budget of {budget:.3g}; {within}. Leave sizes "
        "out, lower tokens_per_parameter, or raise the budget."
    )


def _names(runs: Sequence[LadderRun]) -> list[str]:
    return list(dict.fromkeys(run.size for run in runs))


def _require(mistakes: Sequence[str], count: int) -> None:
    if mistakes:
        told = "\n".join(f"  {one}" for one in dict.fromkeys(mistakes))
        raise ConfigError(f"{len(mistakes)} of {count} cannot be run:\n{told}")


def _longest(params: LadderParams, size: Size, vocab_size: int) -> TrainingConfig:
    """Return the config of a size's trunk; a milestone stands where each branch leaves it."""
    own = size.config(params.training)
    tokens = params.tokens_per_parameter[0] * num_parameters(own.model, vocab_size)[0]
    steps = round(tokens / own.tokens_per_step)
    decay = round(params.decay_fraction * steps)
    if not 0 < decay < steps:
        raise ConfigError(
            f"size {size.name}: its shortest run has {tokens:,.0f} tokens, {steps} steps of {own.tokens_per_step:,}, of "
            f"which {decay} would be the decay. Raise tokens_per_parameter, or lower sequences_per_step."
        )
    schedule = Wsd(decay_fraction=decay / steps, decay_shape=params.decay_shape)
    changes = {
        "num_tokens": params.multiples[-1] * steps * own.tokens_per_step,
        "optimizer": dict(own.optimizer) | {"schedule": schedule, "rewarms": (), "decay_from": None},
        "milestone_every_steps": steps - decay if len(params.multiples) > 1 else None,
        "evaluations": None,
    }
    found = validate(TrainingConfig, dict(own) | changes, f"size {size.name}")
    if warmup_steps(found, found.num_steps) > steps - decay:
        raise ConfigError(
            f"size {size.name}: its rate rises over {warmup_steps(found, found.num_steps)} steps, and that of its shortest "
            f"run falls from step {steps - decay} on. Lower warmup_steps, or raise tokens_per_parameter."
        )
    return found


def _weights(params: LadderParams, longest: TrainingConfig, pool: TokenPool) -> tuple[float, ...]:
    if params.weights is None:
        return natural_weights(pool, longest, params.max_epochs)
    return shares_of(params.weights, pool, "the ladder")


def _runs(
    params: LadderParams, size: Size, training: TrainingConfig, weights: tuple[float, ...], vocab_size: int
) -> list[LadderRun]:
    parameters, found = num_parameters(training.model, vocab_size)[0], list[RunSpec]()
    for seed in range(params.seed, params.seed + params.num_seeds):
        phase = Phase(training.num_tokens, weights)
        name = f"{size.name}-{params.tokens_per_parameter[-1]:g}x-seed{seed}"
        trunk = RunSpec(name, (phase,), seed, training, params.max_epochs)
        found.append(trunk)
        for multiple, per_parameter in zip(params.multiples[:-1], params.tokens_per_parameter, strict=False):
            name = f"{size.name}-{per_parameter:g}x-seed{seed}"
            found.append(_branch(name, trunk, multiple, params))
    return [LadderRun(size.name, parameters, spec) for spec in found]


def _branch(name: str, trunk: RunSpec, multiple: int, params: LadderParams) -> RunSpec:
    training = trunk.training
    assert training.milestone_every_steps is not None, "a trunk with branches has milestones"
    step = multiple * training.milestone_every_steps
    steps = training.num_steps * multiple // params.multiples[-1]
    change = DecayFrom(step=step, trunk_steps=training.num_steps, decay_shape=params.decay_shape)
    changes = {
        "num_tokens": steps * training.tokens_per_step,
        "optimizer": training.optimizer.model_copy(update={"decay_from": change}),
        "milestone_every_steps": None,
    }
    own = validate(TrainingConfig, dict(training) | changes, name)
    phase = Phase((steps - step) * training.tokens_per_step, trunk.phases[0].weights)
    return RunSpec(name, (phase,), trunk.seed, own, trunk.max_epochs, trunk=Trunk(trunk, step))
