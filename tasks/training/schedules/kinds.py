"""All schedules: the union of their configs, and the one place that chooses the functions of a kind."""

from collections.abc import Iterable
from typing import Annotated, assert_never

from pydantic import Field

from tasks.training.schedules import cosine, infinite, inverse_sqrt, power, power_steps, wsd
from tasks.training.schedules.cosine import Cosine
from tasks.training.schedules.infinite import Infinite
from tasks.training.schedules.inverse_sqrt import InverseSqrt
from tasks.training.schedules.power import Power
from tasks.training.schedules.power_steps import PowerSteps
from tasks.training.schedules.span import Span
from tasks.training.schedules.wsd import Wsd

ScheduleConfig = Annotated[
    Wsd | Cosine | Power | PowerSteps | Infinite | InverseSqrt,
    Field(discriminator="kind"),
]


def share(config: ScheduleConfig, span: Span, step: int) -> float:
    """Return the share of the peak rate, 0 to 1, that a schedule asks for at a step of its span; no warm-up in it."""
    match config:
        case Wsd():
            found = wsd.share(config, span, step)
        case Cosine():
            found = cosine.share(config, span, step)
        case Power():
            found = power.share(config, span, step)
        case PowerSteps():
            found = power_steps.share(config, span, step)
        case Infinite():
            found = infinite.share(config, span, step)
        case InverseSqrt():
            found = inverse_sqrt.share(config, span, step)
        case _:
            assert_never(config)
    return found


def mistakes(config: ScheduleConfig, span: Span) -> Iterable[str]:
    """Return what of a schedule does not fit into its span."""
    match config:
        case Wsd():
            found = wsd.mistakes(config, span)
        case Cosine():
            found = cosine.mistakes(span)
        case Power():
            found = power.mistakes(config, span)
        case PowerSteps():
            found = power_steps.mistakes(config, span)
        case Infinite():
            found = infinite.mistakes(config, span)
        case InverseSqrt():
            found = inverse_sqrt.mistakes(config, span)
        case _:
            assert_never(config)
    return found


def decay_fraction(config: ScheduleConfig) -> float:
    """Return the last part of the steps that a warm-up may not reach into."""
    match config:
        case Wsd() | Power() | PowerSteps():
            return config.decay_fraction
        case _:
            return 0.0
