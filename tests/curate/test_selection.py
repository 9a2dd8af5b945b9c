"""Selection by scores: what is kept by tokens, that sharding changes nothing, and that every document has its reason."""

import numpy as np
import pytest

from tasks.curate.selection import kinds
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.choosing import choice_of
from tasks.curate.selection.documents import Candidates
from tasks.curate.selection.kinds import Selection, Single
from tasks.curate.selection.method import Values
from tasks.curate.selection.quantiles import Quantiles
from tasks.curate.selection.sampled import Sampled, gumbel
from tasks.curate.selection.threshold import Threshold

IDS = np.array([number_of(f"document-{i}") for i in range(4_000)], np.int64)


def values(scores: object, tokens: object = 1) -> Values:
    score_N = np.asarray(scores, np.float64)
    return Values(score_N, np.broadcast_to(np.asarray(tokens, np.int64), score_N.shape), IDS[: len(score_N)])


def kept(selection: Single, given: Values) -> list[int]:
    return np.flatnonzero(kinds.method(selection).choose(selection, {"": given})[""].kept_N).tolist()


def test_a_threshold_keeps_what_equals_it_and_nothing_without_a_score() -> None:
    given = values([0.1, 0.5, np.nan, 0.9, 0.7])
    assert kept(Threshold(score="s", at_least=0.5), given) == [1, 3, 4]
    assert kept(Threshold(score="s", at_most=0.5), given) == [0, 1]
    assert kept(Threshold(score="s", at_least=0.5, at_most=0.7), given) == [1, 4]


def test_quantiles_count_tokens_and_bands_share_no_document_and_leave_none_out() -> None:
    rng = np.random.default_rng(0)
    given = values(rng.normal(size=999).round(1), rng.integers(1, 500, 999))
    bands = [kept(Quantiles(score="s", low=low, high=high), given) for low, high in ((0, 0.2), (0.2, 0.9), (0.9, 1))]
    assert sorted(row for band in bands for row in band) == list(range(999))
    shares = [given.tokens_N[band].sum() / given.tokens_N.sum() for band in bands]
    assert np.allclose(shares, [0.2, 0.7, 0.1], atol=500 / given.tokens_N.sum())
    assert given.score_N[bands[0]].max() <= given.score_N[bands[1]].min()


def test_quantiles_of_equal_scores_are_told_apart_by_id_alone() -> None:
    given = values([1.0] * 100)
    order = np.random.default_rng(0).permutation(100)
    shuffled = Values(given.score_N[order], given.tokens_N[order], given.id_N[order])
    one = {*given.id_N[kept(Quantiles(score="s", low=0.7), given)].tolist()}
    assert one == {*shuffled.id_N[kept(Quantiles(score="s", low=0.7), shuffled)].tolist()}
    assert len(one) == 30


def test_a_document_with_all_tokens_is_kept_by_the_band_that_its_middle_lies_in() -> None:
    assert [kept(Quantiles(score="s", low=low, high=low + 0.25), values([2.0], 7)) for low in (0, 0.25, 0.5, 0.75)] == [
        *([], []),
        *([0], []),
    ]
    assert kept(Quantiles(score="s", low=0.5), values([np.nan, np.nan])) == []
    # A document without a token lies at the very end of those before it.
    assert kept(Quantiles(score="s", low=0.5), values([1.0, 2.0, 3.0], [5, 5, 0])) == [1, 2]


def test_a_draw_keeps_its_share_whatever_the_order_and_another_seed_draws_others() -> None:
    rng = np.random.default_rng(1)
    given = values(rng.normal(size=4_000), rng.integers(1, 100, 4_000))
    order = rng.permutation(4_000)
    shuffled = Values(given.score_N[order], given.tokens_N[order], given.id_N[order])
    config = Sampled(score="s", share=0.3, temperature=1.0)
    one = kept(config, given)
    assert {*given.id_N[one].tolist()} == {*shuffled.id_N[kept(config, shuffled)].tolist()}
    assert 0.3 - 100 / given.tokens_N.sum() <= given.tokens_N[one].sum() / given.tokens_N.sum() <= 0.3
    assert len({*one} & {*kept(config.model_copy(update={"seed": 1}), given)}) < 0.6 * len(one)


@pytest.mark.parametrize(("temperature", "low", "high"), [(0.01, 1.9, 2.0), (1.0, 0.8, 1.2), (1000.0, -0.1, 0.1)])
def test_the_temperature_decides_how_much_the_score_counts(temperature: float, low: float, high: float) -> None:
    # Gumbel top-k at temperature 1 draws in proportion to exp(z): of few from a normal pool the mean is about 1.
    given = values(np.random.default_rng(2).normal(size=4_000))
    drawn = kept(Sampled(score="s", share=0.05, temperature=temperature), given)
    standard = (given.score_N - given.score_N.mean()) / given.score_N.std()
    assert low <= standard[drawn].mean() <= high + 0.15


def test_the_noise_is_gumbel() -> None:
    noise = gumbel(0, IDS)
    assert noise.mean() == pytest.approx(0.5772, abs=0.08)
    assert noise.std() == pytest.approx(np.pi / np.sqrt(6), abs=0.08)
    assert abs(np.corrcoef(noise, gumbel(1, IDS))[0, 1]) < 0.05


def test_each_group_is_selected_from_alone_and_a_later_selection_sees_what_is_left() -> None:
    sources = np.array(["a"] * 10 + ["b"] * 30, dtype=object)
    scores = {"s": np.arange(40.0), "t": -np.arange(40.0)}
    candidates = Candidates(
        np.array(["p"] * 40, dtype=object), {"source": sources}, np.ones(40, np.int64), IDS[:40], scores
    )
    half = Quantiles(score="s", low=0.5, by=("source",))
    best = Quantiles(score="t", low=0.8)
    cuts = choice_of({"p": (half, best), "unused": ()}, candidates).cuts
    assert [(cut.group, cut.documents, cut.kept_documents) for cut in cuts] == [
        ("a", 10, 5),
        ("b", 30, 15),
        ("", 20, 4),
    ]
    assert cuts[0].keeps == "quantiles 0.5 to 1 of s, by tokens, of a"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "threshold", "score": "s"}, "needs at_least, at_most, or both"),
        ({"kind": "threshold", "score": "s", "at_least": 2, "at_most": 1}, "no document can pass both"),
        ({"kind": "quantiles", "score": "s", "low": 0.5, "high": 0.5}, "there is nothing between them"),
        ({"kind": "sampled", "score": "s", "share": 0}, "greater than 0"),
        ({"kind": "sampled", "score": "s", "share": 0.1, "temperature": 0}, "greater than 0"),
    ],
)
def test_selections_that_cannot_be_are_refused(values: dict[str, object], said: str) -> None:
    from pydantic import TypeAdapter

    with pytest.raises(ValueError, match=said):
        TypeAdapter(Selection).validate_python(values)
