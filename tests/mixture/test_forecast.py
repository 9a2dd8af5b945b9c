"""The forecast: what is said of the proxies' size, and what of a size that nobody measured."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.evaluation.forecast import forecast_beside_outcome
from tasks.evaluation.published import Comparison
from tasks.mixture.decide import Pick
from tasks.mixture.forecast import extrapolated, forecast
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.published import Forecast, SizeGain, TransferVerdict
from tasks.mixture.published_candidates import (
    Candidate,
    Confirmation,
    ConfirmedContender,
    Contender,
    Correlation,
    GainInterval,
    Transfer,
)
from tasks.mixture.transfer import Size, size_gain

Array = npt.NDArray[np.float64]
DOMAINS = tuple(
    SearchedDomain(name, rows * 10, rows * 40, rows, rows) for name, rows in (("a", 300), ("b", 400), ("c", 300))
)
PROBLEM = Problem(DOMAINS, (1 / 3,) * 3, 100, 100, 4.0)
WEIGHTS = (0.5, 0.3, 0.2)
SMALL, LARGE, TARGET = Size(1000, 2048), Size(4000, 8192), Size(16_000, 32_768)


@dataclass(frozen=True)
class Teller:
    """A predictor of which only what it predicts is asked."""

    name: str = "made"
    noise_sd: float = 0.004

    def outputs(self, weights_MD: Array) -> Array:
        return 2.0 - 0.1 * weights_MD

    def mean(self, weights_MD: Array) -> Array:
        return np.asarray(self.outputs(weights_MD).mean(axis=1))

    def sd(self, weights_MD: Array) -> Array:
        raise AssertionError

    def gain(self, weights_MD: Array, reference_D: Array) -> tuple[Array, Array]:
        raise AssertionError

    def kriging_believer(self, weights_PD: Array) -> "Teller":
        raise AssertionError


def pick(gain: float = 0.03, sd: float = 0.01) -> Pick:
    chosen = Candidate(
        source="measured",
        run=3,
        weights=WEIGHTS,
        measured=1.9,
        predicted=1.9,
        gain=gain,
        gain_sd=sd,
        score=gain - sd,
    )
    return Pick(chosen, "because", (chosen,))


def gate(verdict: TransferVerdict, first: float = 0.03, second: float = 0.02, sd: float | None = 0.004) -> Transfer:
    gains = (size_gain(SMALL, first, sd), size_gain(LARGE, second, sd))
    return Transfer(
        verdict=verdict,
        overall=Correlation(rho=0.9, lower=0.5, upper=0.97, mixtures=8, ceiling=None),
        top=None,
        gains=gains,
        mixtures=(),
        drift_per_efold=0.2,
        statement=f"The gate says: {verdict}.",
    )


def told(
    transfer: Transfer | None = None,
    target: Size | None = TARGET,
    confirmation: Confirmation | None = None,
    sd: float = 0.01,
) -> Forecast:
    return forecast(
        PROBLEM, Teller(), pick(sd=sd), model_parameters=1000, tokens=2048, noise_sd=None,
        confirmation=confirmation, transfer=transfer, target=target,
    )  # fmt: skip


def test_from_one_size_only_that_size_is_spoken_of() -> None:
    found = told()
    assert (found.status, found.model_parameters, found.tokens) == ("one size", 1000, 2048)
    assert (found.gain_over_natural, found.upper - found.gain_over_natural) == pytest.approx(
        (0.03, 1.645 * 0.01), rel=1e-3
    )
    assert "untransferred" in found.statement and f"{TARGET.tokens:,}" not in found.statement
    assert found.noise_sd == 0.004 and found.sizes == (size_gain(SMALL, 0.03, 0.01),)


@pytest.mark.parametrize("verdict", ["does not transfer", "cannot tell"])
def test_where_the_gate_fails_there_is_no_number_for_the_target(verdict: TransferVerdict) -> None:
    found = told(gate(verdict))
    assert (found.status, found.tokens, found.gain_over_natural) == (verdict, 2048, 0.03)
    assert "Of other sizes nothing is said" in found.statement and f"{TARGET.tokens:,}" not in found.statement
    assert [each["tokens"] for each in found.model_dump()["sizes"]] == [2048, 8192]


def test_where_the_order_transfers_the_target_is_forecast_with_a_wider_interval() -> None:
    found = told(gate("transfers"))
    assert (found.status, found.model_parameters, found.tokens) == ("transfers", 16_000, 32_768)
    assert found.gain_over_natural == pytest.approx(0.01)  # .03, .02 and as far again in log(parameters x tokens)
    assert found.upper - found.gain_over_natural > 1.645 * 0.01
    assert "The gate says: transfers." in found.statement and "nothing was measured" in found.statement


def test_without_a_target_or_without_noise_at_the_second_size_nothing_is_extrapolated() -> None:
    assert told(gate("transfers"), target=None).tokens == 2048
    found = told(gate("transfers", sd=None))
    assert (found.status, found.tokens) == ("transfers", 2048)
    assert "nothing is said, as noise at the second size is unknown" in found.statement


def gain_at(size: Size, gain: float, sd: float = 0.0) -> SizeGain:
    return size_gain(size, gain, sd)


def test_a_gain_that_grew_is_held_and_one_that_shrinks_ends_at_nothing() -> None:
    assert extrapolated(gain_at(SMALL, 0.02), gain_at(LARGE, 0.03), TARGET, 0.2).gain == 0.03
    far = Size(10**6, 10**6)
    assert extrapolated(gain_at(SMALL, 0.03), gain_at(LARGE, 0.02), far, 0.2).gain == 0.0
    assert extrapolated(gain_at(SMALL, -0.03), gain_at(LARGE, -0.02), TARGET, 0.2).gain == pytest.approx(-0.01)
    between = Size(2000, 4096)
    assert extrapolated(gain_at(SMALL, 0.02), gain_at(LARGE, 0.03), between, 0.2).gain == pytest.approx(0.025)
    assert extrapolated(gain_at(SMALL, 0.03), gain_at(LARGE, 0.02), between, 0.2).gain == pytest.approx(0.025)


def test_between_the_two_sizes_the_gain_lies_on_the_line_however_much_it_shrank() -> None:
    found = extrapolated(gain_at(SMALL, 0.05), gain_at(LARGE, 0.01), Size(2000, 4096), 0.2)
    assert found.gain == pytest.approx(0.03)


def test_a_second_size_that_is_smaller_says_what_the_same_two_sizes_say_in_order() -> None:
    small, large = gain_at(SMALL, 0.03, 0.004), gain_at(LARGE, 0.02, 0.002)
    assert extrapolated(large, small, TARGET, 0.2) == extrapolated(small, large, TARGET, 0.2)
    assert extrapolated(large, small, TARGET, 0.2).gain == pytest.approx(0.01)


def test_no_line_is_drawn_through_two_sizes_of_the_same_compute() -> None:
    same = gain_at(Size(2048, 1000), 0.02)
    with pytest.raises(ConfigError, match=r"search\.transfer\.training: .* no more than the .* Give"):
        extrapolated(gain_at(SMALL, 0.03), same, TARGET, 0.2)


def test_noise_that_few_seeds_tell_widens_what_is_extrapolated_by_students_t() -> None:
    known = extrapolated(gain_at(SMALL, 0.03), size_gain(LARGE, 0.03, 0.003), LARGE, 0.2)
    told = extrapolated(gain_at(SMALL, 0.03), size_gain(LARGE, 0.03, 0.003, 4), LARGE, 0.2)
    assert known.sd == 0.003 and told.sd == pytest.approx(0.003 * 2.1318 / 1.6449, rel=1e-4)
    first = extrapolated(size_gain(SMALL, 0.04, 0.003, 4), gain_at(LARGE, 0.03), TARGET, 0.2)
    without = extrapolated(size_gain(SMALL, 0.04, 0.003), gain_at(LARGE, 0.03), TARGET, 0.2)
    assert first.sd is not None and without.sd is not None and first.sd > without.sd


def test_the_interval_widens_with_distance_with_change_and_with_noise() -> None:
    def sd(first: float, target: Size, noise: float = 0.0) -> float:
        found = extrapolated(gain_at(SMALL, first, noise), gain_at(LARGE, 0.03, noise), target, 0.2).sd
        assert found is not None
        return found

    assert sd(0.03, LARGE) == 0.0
    assert 0 < sd(0.03, TARGET) < sd(0.04, TARGET) < sd(0.04, Size(32_000, 65_536))
    assert sd(0.04, TARGET) < sd(0.04, TARGET, noise=0.005)


def test_ninety_percent_of_gains_that_drift_lie_in_the_interval() -> None:
    stream, inside, sizes = generator(0, "drift"), 0, (SMALL, LARGE, TARGET)
    for _ in range(2000):
        # Each size loses or keeps its own share of the gain: up to .3 per e-fold of compute, anew from size to size.
        efolds = np.log([LARGE.compute / SMALL.compute, TARGET.compute / LARGE.compute])
        gains = 0.05 * np.exp(-np.r_[0, np.cumsum(stream.uniform(0, 0.3, 2) * efolds)])
        seen = gains + 0.003 * stream.standard_normal(3)
        found = extrapolated(gain_at(sizes[0], seen[0], 0.003), gain_at(sizes[1], seen[1], 0.003), TARGET, 0.2)
        assert found.sd is not None
        inside += abs(found.gain - gains[2]) <= 1.645 * found.sd
    assert inside / 2000 >= 0.9


def confirmation(mean: float, noise_sd: float = 0.01, seeds: int = 2, degrees_of_freedom: int = 10**6) -> Confirmation:
    shipped = Contender(source="measured", run=3, role="best measured", weights=WEIGHTS, gain=0.03, gain_sd=0.01)
    row = ConfirmedContender(
        contender=shipped,
        objectives=(1.9, 1.91),
        over_natural=GainInterval(mean=mean, lower=mean - 0.02, upper=mean + 0.02),
        over_best=None,
        z=0.0,
    )
    return Confirmation(
        shipped=shipped,
        verdict="ship best measured",
        claim=True,
        confidence=0.9,
        seeds=tuple(range(seeds)),
        paired=True,
        noise_sd=noise_sd,
        degrees_of_freedom=degrees_of_freedom,
        rows=(row,),
        statement="It ships.",
    )


def test_fresh_seeds_count_by_their_precision() -> None:
    found = told(confirmation=confirmation(0.01))  # predicted .03 and measured .01, both with sd .01
    assert found.gain_over_natural == pytest.approx(0.02)
    assert found.upper - found.gain_over_natural == pytest.approx(1.645 * 0.01 / 2**0.5, rel=1e-3)
    assert told(confirmation=confirmation(0.01, noise_sd=1e-9)).gain_over_natural == pytest.approx(0.01)


@pytest.mark.parametrize("degrees_of_freedom", [2, 4, 6])
def test_ninety_percent_of_gains_lie_in_the_interval_where_fresh_seeds_decide_however_few_tell_the_noise(
    degrees_of_freedom: int,
) -> None:
    stream, inside, error = generator(0, "fresh seeds"), 0, 0.01
    for _ in range(2000):
        truth = 0.03 + 10 * error * stream.standard_normal()
        noise_sd = (
            error * (stream.chisquare(degrees_of_freedom) / degrees_of_freedom) ** 0.5
        )  # of one run; two seeds: of their mean difference
        fresh = confirmation(truth + error * stream.standard_normal(), noise_sd, 2, degrees_of_freedom)
        found = told(confirmation=fresh, sd=10 * error)
        inside += found.lower <= truth <= found.upper
    assert 0.87 <= inside / 2000 <= 0.94


def test_natural_is_forecast_to_gain_nothing() -> None:
    natural = Candidate(
        source="natural",
        weights=tuple(PROBLEM.natural.tolist()),
        measured=2.0,
        predicted=2.0,
        gain=0.0,
        gain_sd=0.0,
        score=0.0,
    )
    found = forecast(
        PROBLEM,
        Teller(),
        Pick(natural, "", (natural,)),
        model_parameters=1000,
        tokens=2048,
        noise_sd=0.01,
    )
    assert (found.gain_over_natural, found.lower, found.upper, found.noise_sd) == (0.0, 0.0, 0.0, 0.01)
    assert "gain nothing over natural" in found.statement


def test_evaluation_says_of_another_size_what_the_search_knew() -> None:
    outcome = Comparison(
        gain=0.02, lower=0.01, upper=0.03, baseline="natural", claim=True, test="paired", statement="",
        differences=(0.02,) * 3, seeds=(0, 1, 2), per_domain={},
    )  # fmt: skip
    for found, words in (
        (told(), "untransferred to others"),
        (told(gate("does not transfer")), "did not keep their order"),
        (told(gate("cannot tell")), "could not be told"),
        (told(gate("transfers")).model_copy(update={"tokens": 1}), "how far that carries"),
    ):
        value = forecast_beside_outcome(found, outcome, model_parameters=16_000, tokens=32_768)
        assert value.warning is not None and words in value.warning
    same = forecast_beside_outcome(told(gate("transfers")), outcome, model_parameters=16_000, tokens=32_768)
    assert same.same_size and same.warning is None
