"""From two sizes to a third: the line of a gain, the law of a loss, and whether intervals hold what they say."""

import numpy as np
import pytest

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.mixture.published_forecast import SizeGain
from tasks.mixture.third_size import Sizes, exponent_at, extrapolated, fall
from tasks.mixture.transfer import Size, size_gain

SMALL, LARGE, TARGET = Size(1000, 2048), Size(4000, 8192), Size(16_000, 32_768)
EIGHTY = 1.2815515655446004


def gain_at(size: Size, gain: float, sd: float = 0.0) -> SizeGain:
    return size_gain(size, gain, sd)


def third(one: SizeGain, other: SizeGain, target: Size = TARGET, drift: float = 0.4) -> SizeGain:
    return extrapolated(one, other, target, drift, 0.8)


def sd_of(found: SizeGain) -> float:
    assert found.sd is not None
    return found.sd


def test_half_of_a_trend_goes_on_where_nothing_is_noise_and_none_where_all_is() -> None:
    assert third(gain_at(SMALL, 0.02), gain_at(LARGE, 0.03)).gain == pytest.approx(0.035)
    noisy = third(gain_at(SMALL, 0.02, 10.0), gain_at(LARGE, 0.03, 10.0))
    assert noisy.gain == pytest.approx(0.025, abs=1e-4)  # the mean of both


def test_a_measured_target_is_what_was_measured() -> None:
    found = third(gain_at(SMALL, 0.05), gain_at(LARGE, 0.01), LARGE)
    assert (found.gain, found.sd) == (pytest.approx(0.01), pytest.approx(0.0))
    assert third(gain_at(SMALL, 0.0), gain_at(LARGE, 0.0)).sd == 0.0


def test_a_second_size_that_is_smaller_says_what_the_same_two_sizes_say_in_order() -> None:
    small, large = gain_at(SMALL, 0.03, 0.004), gain_at(LARGE, 0.02, 0.002)
    assert third(large, small) == third(small, large)


def test_no_line_is_drawn_through_two_sizes_of_the_same_compute() -> None:
    with pytest.raises(ConfigError, match=r"search\.transfer\.training: .* no more than the .* Give"):
        third(gain_at(SMALL, 0.03), gain_at(Size(2048, 1000), 0.02))
    with pytest.raises(ConfigError, match=r"no more than the"):
        fall(SMALL, Size(2048, 1000), TARGET)


def test_the_interval_widens_with_distance_with_drift_and_with_noise() -> None:
    far = Size(32_000, 65_536)

    def sd(target: Size, drift: float = 0.4, noise: float = 0.0) -> float:
        return sd_of(third(gain_at(SMALL, 0.03, noise), gain_at(LARGE, 0.03, noise), target, drift))

    assert 0 < sd(TARGET) < sd(far) and sd(TARGET, 0.2) < sd(TARGET) < sd(TARGET, noise=0.005)


def test_noise_that_few_seeds_tell_is_as_wide_as_students_t() -> None:
    known = third(gain_at(SMALL, 0.03, 1.0), size_gain(LARGE, 0.03, 0.003), LARGE)
    told = third(gain_at(SMALL, 0.03, 1.0), size_gain(LARGE, 0.03, 0.003, 4), LARGE)
    assert sd_of(told) / sd_of(known) == pytest.approx(1.5332 / EIGHTY, rel=1e-3)


@pytest.mark.parametrize("lasting", [0.0, 0.25, 0.5])
def test_eighty_percent_of_gains_that_drift_lie_in_the_interval(lasting: float) -> None:
    """Half of the drift lasts, as is believed; or none of it."""
    stream, inside = generator(0, "drift", repr(lasting)), 0
    efolds = np.log([LARGE.compute / SMALL.compute, TARGET.compute / LARGE.compute])
    for _ in range(2000):
        trend, *fresh = 0.4 * 0.05 * stream.standard_normal(3) * np.sqrt([lasting, 1 - lasting, 1 - lasting])
        truth = 0.05 + np.cumsum([0, *((trend + np.array(fresh)) * efolds)])
        seen = truth + 0.004 * stream.standard_normal(3)
        found = third(gain_at(SMALL, seen[0], 0.004), gain_at(LARGE, seen[1], 0.004))
        inside += abs(found.gain - truth[2]) <= EIGHTY * sd_of(found)
    assert 0.7 <= inside / 2000 <= 0.9


def test_a_loss_falls_as_its_law_says() -> None:
    found = fall(SMALL, LARGE, TARGET)
    losses = [1.7 + 8.0 * size.compute ** -exponent_at(2.048) for size in (SMALL, LARGE, TARGET)]
    assert losses[1] - found.factor * (losses[0] - losses[1]) == pytest.approx(losses[2])
    assert found.sd == pytest.approx(0.5 * found.factor)
    # Where the target was measured nothing is in doubt.
    assert (fall(SMALL, LARGE, LARGE).factor, fall(SMALL, LARGE, LARGE).sd) == (0.0, 0.0)
    assert fall(SMALL, LARGE, SMALL).factor == pytest.approx(-1) and fall(SMALL, LARGE, SMALL).sd == pytest.approx(0)
    assert Sizes(SMALL).fall is None and Sizes(SMALL, LARGE).fall is None


def test_the_fewer_tokens_a_parameter_has_seen_the_longer_a_loss_falls_on() -> None:
    def factor(tokens_per_parameter: int) -> float:
        return fall(*(Size(each, each * tokens_per_parameter) for each in (1000, 2000, 4000))).factor

    assert factor(20) == factor(5) < 1 < factor(1)
    assert exponent_at(1e-9) == exponent_at(0.1) < 0
    # Where the exponent is 0 the loss falls along a line in log compute.
    straight = 2.5 * np.exp(-0.16 / 0.4)
    assert fall(*(Size(10**6 * each, round(10**6 * each * straight)) for each in (1, 2, 4))).factor == pytest.approx(
        1, abs=1e-5
    )
