"""All that was forecast, beside what came out."""

from tasks.evaluation.decide import decision
from tasks.evaluation.published import Decision
from tasks.mixture.published_forecast import ExpectedValue, Forecast, MixtureForecast, Said
from tasks.training.published_updates import ForecastUpdate, ForecastUpdates
from tests.evaluation.made import forecast, measured, recipe

MODELS = [
    measured(mixture, seed, (2.0 - 0.1 * (mixture == "searched") + 0.001 * seed, 3.0 + 0.001 * seed))
    for mixture in ("natural", "searched")
    for seed in range(3)
]  # fmt: skip
RECIPE = recipe((0.6, 0.4), (0.3, 0.7))


def values(shift: float) -> MixtureForecast:
    def told(value: float) -> ExpectedValue:
        return ExpectedValue.of(value + shift, 0.0, 0.01, 1.0)

    return MixtureForecast(objective=told(2.5), sets={"d0": told(2.0), "d1": told(3.0), "gone": told(1.0)})


def before() -> Forecast:
    return forecast(
        0.05, 0.04, 0.06, confidence=0.8, values={"searched": values(-0.05), "natural": values(0.3)},
        gains={"d0": Said(value=0.3, lower=0.2, upper=0.4), "gone": Said(value=0.0, lower=0.0, upper=0.0)},
    )  # fmt: skip


def updated() -> ForecastUpdates:
    gain = Said(value=0.0, lower=-0.1, upper=0.01)
    update = ForecastUpdate(
        share=0.5, step=10, losses={}, expected={}, off=0.0, gain=gain,
        values={"searched": values(-0.05), "natural": values(0.0)},
    )  # fmt: skip
    return ForecastUpdates(confidence=0.8, updates=(update,))


def decided(told: Forecast, updates: ForecastUpdates | None, tokens: int = 2048) -> Decision:
    return decision(MODELS, RECIPE, told, updates, confidence=0.95, model_parameters=1000, tokens=tokens)


def test_every_value_and_gain_stands_beside_its_outcome_with_all_that_was_said_of_it() -> None:
    found = decided(before(), updated())
    rows = {(each.mixture, each.set): [(said.share, said.inside) for said in each.said] for each in found.forecasts}
    assert rows == {
        (None, None): [(0.0, True), (0.5, False)],
        (None, "d0"): [(0.0, False)],
        ("searched", None): [(0.0, True), (0.5, True)],
        ("searched", "d0"): [(0.0, False), (0.5, False)],
        ("searched", "d1"): [(0.0, False), (0.5, False)],
        ("natural", None): [(0.0, False), (0.5, True)],
        ("natural", "d0"): [(0.0, False), (0.5, True)],
        ("natural", "d1"): [(0.0, False), (0.5, True)],
    }
    assert found.forecasts_statement == (
        "Inside their 80% intervals were 2 of 8 before training, 4 of 7 at 50% of the run."
    )


def test_what_was_said_of_another_size_or_without_values_is_not_judged() -> None:
    assert decided(before(), updated(), tokens=4096).forecasts == ()
    found = decided(forecast(0.05, 0.04, 0.06), None)
    assert found.forecasts == () and found.forecasts_statement == ""
    assert {said.share for each in decided(before(), None).forecasts for said in each.said} == {0.0}


def test_where_natural_was_kept_its_values_alone_are_judged() -> None:
    same = recipe((0.3, 0.7), (0.3, 0.7))
    found = decision(MODELS, same, before(), None, confidence=0.95, model_parameters=1000, tokens=2048)
    assert {each.mixture for each in found.forecasts} == {"natural"}
