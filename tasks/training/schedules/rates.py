"""The learning rate of every step of a run: one warm-up for all schedules, and what changes on the way."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.training.schedules.kinds import ScheduleConfig, decay_fraction, mistakes, share
from tasks.training.schedules.span import Span, decayed

if TYPE_CHECKING:
    from tasks.training.config import TrainingConfig


def learning_rate(training: "TrainingConfig", step: int) -> float:
    """Return the learning rate of a step of a run, counted from 0: a pure function of config and step.

    It rises linearly over the warm-up, to the peak at its last step, and is never above what the schedule says.
    """
    change = training.optimizer.decay_from
    if change is None:
        return _scheduled(training, training.num_steps, step)
    trunk_steps = change.trunk_steps or training.num_steps
    if step < change.step:
        return _scheduled(training, trunk_steps, step)
    left, num_steps = training.num_steps - step, training.num_steps - change.step
    falling = decayed(left, num_steps, change.decay_shape, change.final_fraction or 0.0)
    return _scheduled(training, trunk_steps, change.step) * falling


def warmup_steps(training: "TrainingConfig", num_steps: int) -> int:
    """Return the steps over which the rate rises in a run of `num_steps`; left open, at most what the decay leaves."""
    given = training.optimizer.warmup_steps
    if given is not None:
        return given
    return min(10, num_steps // 10, int(num_steps * (1 - decay_fraction(training.optimizer.schedule))))


def schedule_mistakes(training: "TrainingConfig") -> Iterator[str]:
    """Yield what of the schedules does not fit into the run."""
    optimizer, horizon = training.optimizer, training.num_steps
    if (change := optimizer.decay_from) is not None:
        horizon = change.trunk_steps or horizon
        if change.step >= training.num_steps:
            yield (
                f"decay_from.step {change.step} leaves a decay of 0 steps in a run of {training.num_steps}; "
                "lower it or raise num_tokens"
            )
        elif change.step >= horizon:
            yield f"decay_from.step {change.step} is behind the end of a trunk of {horizon} steps; raise trunk_steps"
    starts = [0, *(rewarm.step for rewarm in optimizer.rewarms), horizon]
    if starts != sorted(set(starts)):
        # A run of no whole step is told where its tokens stand.
        if optimizer.rewarms:
            yield f"the steps of rewarms, {starts[1:-1]}, do not rise from 1 to the last of {horizon} steps; correct them"
        return
    for schedule, span in _parts(training, horizon):
        yield from mistakes(schedule, span)


def _parts(training: "TrainingConfig", num_steps: int) -> list[tuple[ScheduleConfig, Span]]:
    """Return the schedules of a run, each with the steps it rules."""
    optimizer = training.optimizer
    warmups = [warmup_steps(training, num_steps), *(rewarm.warmup_steps for rewarm in optimizer.rewarms)]
    peaks = [1.0, *(rewarm.peak_fraction for rewarm in optimizer.rewarms)]
    schedules = [optimizer.schedule, *(rewarm.schedule for rewarm in optimizer.rewarms)]
    starts = [0, *(rewarm.step for rewarm in optimizer.rewarms), num_steps]
    return [
        (
            schedule,
            Span(
                stop - start,
                warmup,
                optimizer.learning_rate * peak,
                training.sequences_per_step,
                training.tokens_per_step,
                start,
            ),
        )
        for schedule, warmup, peak, start, stop in zip(schedules, warmups, peaks, starts[:-1], starts[1:], strict=True)
    ]


def _scheduled(training: "TrainingConfig", num_steps: int, step: int) -> float:
    """Return the rate that the schedules of a run of `num_steps` give a step."""
    schedule, span = [part for part in _parts(training, num_steps) if part[1].steps_before <= step][-1]
    own, warmup = step - span.steps_before, span.warmup_steps
    if span.steps_before and own < warmup:
        before = _scheduled(training, num_steps, span.steps_before - 1)
        return before + (span.peak - before) * (own + 1) / warmup
    rising = (own + 1) / warmup if own < warmup else 1.0
    return span.peak * min(rising, share(schedule, span, own))
