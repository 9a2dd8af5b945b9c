"""Many scores of one comparison: adjusted p-values hold their promises in simulations with a known truth."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from tasks.core.errors import EvidenceError
from tasks.evaluation.compare import paired_interval
from tasks.evaluation.families import benjamini_hochberg, detectable_effect, holm, p_values, westfall_young

REPEATS = 2000


def noise(seed: int, *shape: int, shared: float = 0.0) -> np.ndarray:
    """Return normal noise of variance 1 over [..., K, S] in which scores share a part of the variance."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((*shape[:-2], 1, shape[-1]))
    return np.sqrt(shared) * common + np.sqrt(1 - shared) * random.standard_normal(shape)


def test_p_values_are_those_of_the_t_test() -> None:
    differences_KS = noise(0, 4, 7) + 0.5
    assert p_values(differences_KS) == pytest.approx(ttest_1samp(differences_KS, 0.0, axis=1).pvalue)
    assert p_values(np.array([[1.0, 1.0], [0.0, 0.0]])).tolist() == [0.0, 1.0]


def test_a_claim_without_an_effect_is_as_rare_as_promised() -> None:
    false = sum(
        not interval.lower <= 0 <= interval.upper  # type: ignore[operator]
        for interval in (paired_interval(one, 0.95) for one in noise(1, REPEATS, 1, 5)[:, 0])
    )
    assert false / REPEATS <= 0.065


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_detectable_effect_is_found_in_four_of_five_comparisons(seeds: int) -> None:
    effect = detectable_effect(1.0, seeds)
    p = np.array([p_values(one)[0] for one in noise(2, REPEATS, 1, seeds) + effect])
    assert 0.75 <= (p < 0.05).mean() <= 0.85
    # Half the noise lets half the effect be seen.
    assert detectable_effect(0.5, seeds) == pytest.approx(effect / 2)


def test_twenty_scores_that_move_together_give_a_false_finding_as_rarely_as_one() -> None:
    differences_RKS = noise(3, REPEATS, 20, 6, shared=0.5)
    by_holm = np.mean([(holm(p_values(one)) < 0.05).any() for one in differences_RKS])
    assert by_holm <= 0.065
    # Without an adjustment it would be several times as often.
    assert np.mean([(p_values(one) < 0.05).any() for one in differences_RKS]) > 0.2
    few = differences_RKS[:300]
    assert np.mean([(westfall_young(one) < 0.05).any() for one in few]) <= 0.09


def test_scores_that_move_together_leave_westfall_and_young_more_power_than_holm() -> None:
    differences_RKS = noise(4, 100, 20, 8, shared=0.95) + 1.2
    found = np.array(
        [[(holm(p_values(one)) < 0.05).mean(), (westfall_young(one) < 0.05).mean()] for one in differences_RKS]
    )
    by_holm, by_flips = found.mean(axis=0)
    assert by_flips > by_holm


def test_a_real_effect_survives_the_adjustments_and_order_is_kept() -> None:
    differences_KS = noise(5, 5, 8)
    differences_KS[3] += 5
    p_K = p_values(differences_KS)
    for adjusted in (holm(p_K), benjamini_hochberg(p_K), westfall_young(differences_KS)):
        assert int(adjusted.argmin()) == 3 and adjusted[3] < 0.05
        assert adjusted.max() <= 1
    assert (benjamini_hochberg(p_K) <= holm(p_K) + 1e-12).all()


def test_too_few_seeds_are_said() -> None:
    with pytest.raises(EvidenceError, match="5 seed"):
        westfall_young(noise(6, 3, 5))
    with pytest.raises(EvidenceError, match="1 seed"):
        p_values(noise(6, 3, 1))
    with pytest.raises(EvidenceError, match="1 of 6 differences are no finite numbers"):
        p_values(np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]]))
    with pytest.raises(EvidenceError, match="1 seed"):
        detectable_effect(1.0, 1)
