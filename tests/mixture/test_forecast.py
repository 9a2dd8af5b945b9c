"""The forecast: what is said of the proxies' size, and what of the full run's."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.rng import generator
from tasks.evaluation.forecast import forecast_beside_outcome
from tasks.evaluation.published import Comparison
from tasks.mixture.decide import Pick
from tasks.mixture.forecast import forecast
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.published_candidates import Correlation, Transfer
from tasks.mixture.published_forecast import Forecast, TransferVerdict
from tasks.mixture.published_mixtures import Candidate, Confirmation, ConfirmedContender, Contender, GainInterval
from tasks.mixture.runs import RunTable
from tasks.mixture.transfer import Size, size_gain

Array = npt.NDArray[np.float64]
DOMAINS = tuple(
    SearchedDomain(name, rows * 10, rows * 40, rows, rows) for name, rows in (("a", 300), ("b", 400), ("c", 300))
)
PROBLEM = Problem(DOMAINS, (1 / 3,) * 3, 100, 100, 4.0)
WEIGHTS = (0.5, 0.3, 0.2)
NO_RUNS = RunTable(("a", "b", "c"), ("a", "b", "c"), "bits per byte", ())
# Of one run, so small that what three pairs differ by is nothing beside the rest.
NOISE = 1e-6
EIGHTY = 1.2815515655446004
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
        PROBLEM, Teller(), pick(sd=sd), NO_RUNS, size=SMALL, noise_sd=NOISE, other_text=(0.017,) * len(PROBLEM.names),
        confirmation=confirmation, transfer=transfer, target=target,
    )  # fmt: skip


def test_from_one_size_only_that_size_is_spoken_of() -> None:
    found = told()
    assert (found.status, found.model_parameters, found.tokens) == ("one size", 1000, 2048)
    assert (found.gain_over_natural, found.upper - found.gain_over_natural) == pytest.approx(
        (0.03, EIGHTY * 0.01), rel=1e-3
    )
    assert "untransferred" in found.statement and f"{TARGET.tokens:,}" not in found.statement
    assert found.noise_sd == NOISE and found.sizes == (size_gain(SMALL, 0.03, 0.01),)


@pytest.mark.parametrize("verdict", ["transfers", "does not transfer", "cannot tell"])
def test_where_a_second_size_was_measured_the_target_is_spoken_of_with_a_wider_interval(
    verdict: TransferVerdict,
) -> None:
    found = told(gate(verdict))
    assert (found.status, found.model_parameters, found.tokens) == (verdict, 16_000, 32_768)
    assert found.upper - found.gain_over_natural > EIGHTY * 0.01
    assert f"The gate says: {verdict}." in found.statement and "nothing was measured" in found.statement
    assert "gained +0.0200, at the proxies' size +0.0300" in found.statement
    assert [each["tokens"] for each in found.model_dump()["sizes"]] == [2048, 8192]


def test_without_a_target_or_without_noise_at_the_second_size_nothing_is_extrapolated() -> None:
    assert told(gate("transfers"), target=None).tokens == 2048
    found = told(gate("transfers", sd=None))
    assert (found.status, found.tokens) == ("transfers", 2048)
    assert "nothing is said, as noise at the second size is unknown" in found.statement


def test_what_three_pairs_of_runs_differ_by_is_part_of_the_interval() -> None:
    quiet, noisy = (
        forecast(PROBLEM, Teller(), pick(), NO_RUNS, size=SMALL, noise_sd=sd, other_text=(0.017,) * len(PROBLEM.names))
        for sd in (NOISE, 0.01)
    )
    widths = [each.upper - each.gain_over_natural for each in (quiet, noisy)]
    assert widths[1] ** 2 - widths[0] ** 2 == pytest.approx(EIGHTY**2 * 2 * 0.01**2 / 3, rel=1e-3)


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
    assert found.upper - found.gain_over_natural == pytest.approx(EIGHTY * 0.01 / 2**0.5, rel=1e-3)
    assert told(confirmation=confirmation(0.01, noise_sd=1e-9)).gain_over_natural == pytest.approx(0.01)


@pytest.mark.parametrize("degrees_of_freedom", [2, 4, 6])
def test_eighty_percent_of_gains_lie_in_the_interval_where_fresh_seeds_decide_however_few_tell_the_noise(
    degrees_of_freedom: int,
) -> None:
    stream, inside, error = generator(0, "fresh seeds"), 0, 0.01
    for _ in range(500):
        truth = 0.03 + 10 * error * stream.standard_normal()
        noise_sd = (
            error * (stream.chisquare(degrees_of_freedom) / degrees_of_freedom) ** 0.5
        )  # of one run; two seeds: of their mean difference
        fresh = confirmation(truth + error * stream.standard_normal(), noise_sd, 2, degrees_of_freedom)
        found = told(confirmation=fresh, sd=10 * error)
        inside += found.lower <= truth <= found.upper
    assert 0.75 <= inside / 500 <= 0.85


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
        NO_RUNS,
        size=SMALL,
        noise_sd=0.01,
        other_text=(0.017,) * len(PROBLEM.names),
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
        (told(gate("does not transfer"), target=None), "did not keep their order"),
        (told(gate("cannot tell"), target=None), "could not be told"),
        (told(gate("transfers")).model_copy(update={"tokens": 1}), "how far that carries"),
    ):
        value = forecast_beside_outcome(found, outcome, model_parameters=16_000, tokens=32_768)
        assert value.warning is not None and words in value.warning
    same = forecast_beside_outcome(told(gate("transfers")), outcome, model_parameters=16_000, tokens=32_768)
    assert same.same_size and same.warning is None
