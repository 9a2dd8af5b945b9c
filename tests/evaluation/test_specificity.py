"""What the text of a domain gains by the model that saw most of the domain."""

import pytest

from tasks.core.errors import ConfigError
from tasks.evaluation.config import SpecificityParams
from tasks.evaluation.published import MeasuredModel
from tasks.evaluation.specificity import specificity
from tasks.mixture.published import MixtureName
from tasks.training.published import Consumed, TrainedRun
from tests.evaluation.made import measured
from tests.training.made import trained_run

DOMAINS = ("d0", "d1", "d2", "d3")
# By mixture: tokens of each domain, and bits per byte on it.
TOKENS: dict[MixtureName, tuple[int, ...]] = {
    "natural": (100, 100, 400, 0),
    "searched": (400, 100, 50, 10),
    "uniform": (200, 200, 200, 5),
}
BITS: dict[MixtureName, tuple[float, ...]] = {
    "natural": (2.0, 2.0, 1.5, 3.0),
    "searched": (1.6, 2.0, 2.2, 2.9),
    "uniform": (1.8, 1.9, 1.8, 2.95),
}


def runs_and_models(seeds: int = 3) -> tuple[list[TrainedRun], list[MeasuredModel]]:
    pairs = [(mixture, seed) for mixture in TOKENS for seed in range(seeds)]
    consumed = {
        mixture: {
            domain: Consumed(samples=1, tokens=tokens, epochs=1.0) for domain, tokens in zip(DOMAINS, own, strict=True)
        }
        for mixture, own in TOKENS.items()
    }
    runs = [trained_run(mixture, seed, DOMAINS, consumed=consumed[mixture]) for mixture, seed in pairs]
    # What the data order of a seed does to every mixture alike moves no difference.
    return runs, [measured(mixture, seed, [bits + seed / 10 for bits in BITS[mixture]]) for mixture, seed in pairs]


def test_specificity_is_what_the_model_that_saw_most_of_a_domain_needs_less() -> None:
    runs, models = runs_and_models()
    told = specificity(SpecificityParams(), runs, models, 0.95)
    assert [one.mixture for one in told.domains.values()] == ["searched", "uniform", "uniform", "searched"]
    assert [one.specificity.gain for one in told.domains.values()] == pytest.approx([0.4, 0.1, -0.3, 0.1])
    assert [one.doublings for one in told.domains.values()] == [2.0, 1.0, -1.0, None]
    assert told.domains["d0"].gain_per_doubling == pytest.approx(0.2)
    assert told.domains["d2"].gain_per_doubling is None
    assert told.spearman is None, "three domains have doublings, and any order of three is likely"


def test_a_rank_correlation_is_told_of_five_domains() -> None:
    mixtures: tuple[MixtureName, ...] = ("natural", "searched")
    names, tokens = [f"d{number}" for number in range(5)], (200, 400, 800, 1600, 3200)
    consumed = {
        mixture: {
            name: Consumed(samples=1, tokens=100 if mixture == "natural" else own, epochs=1.0)
            for name, own in zip(names, tokens, strict=True)
        }
        for mixture in mixtures
    }
    runs = [trained_run(mixture, seed, names, consumed=consumed[mixture]) for mixture in mixtures for seed in range(3)]
    bits = {"natural": [2.0] * 5, "searched": [1.9, 1.8, 1.7, 1.5, 1.6]}
    models = [measured(mixture, seed, bits[mixture]) for mixture in mixtures for seed in range(3)]
    assert specificity(SpecificityParams(), runs, models, 0.95).spearman == pytest.approx(0.9)


def test_pairs_of_a_seed_are_compared_and_one_seed_has_no_interval() -> None:
    found = specificity(SpecificityParams(), *runs_and_models(3), 0.95).domains["d0"].specificity
    assert found.ends is not None and found.ends == pytest.approx((0.4, 0.4))
    assert specificity(SpecificityParams(), *runs_and_models(1), 0.95).domains["d0"].specificity.ends is None


def test_models_of_other_machines_are_no_pairs() -> None:
    runs, models = runs_and_models(3)
    other = [
        model.model_copy(update={"instruction_set": "AVX512"}) if model.mixture == "searched" else model
        for model in models
    ]
    found = specificity(SpecificityParams(), runs, other, 0.95).domains["d0"].specificity
    assert found.ends is not None and found.ends[0] < 0.3 < 0.5 < found.ends[1]


def test_any_mixture_may_be_the_general_one_but_it_has_to_be_there() -> None:
    runs, models = runs_and_models()
    told = specificity(SpecificityParams(general="uniform"), runs, models, 0.95)
    assert told.domains["d2"].mixture == "natural" and told.domains["d2"].specificity.gain == pytest.approx(0.3)
    with pytest.raises(ConfigError, match=r"it is unimax, the runs are of natural, searched, uniform"):
        specificity(SpecificityParams(general="unimax"), runs, models, 0.95)
    alone = [run for run in runs if run.mixture == "natural"]
    with pytest.raises(ConfigError, match="beside which there is another"):
        specificity(SpecificityParams(), alone, models[:3], 0.95)
