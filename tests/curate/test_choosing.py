"""Choosing among candidates: quotas met exactly, selections together, probabilities, weights, and combined scores."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tasks.core.errors import DataError
from tasks.curate.combined import kinds as combinations
from tasks.curate.combined.mean_ranks import MeanRanks
from tasks.curate.combined.z_scores import ZScores
from tasks.curate.config import CurateParams
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.choosing import Choice, choice_of
from tasks.curate.selection.documents import Candidates
from tasks.curate.selection.kinds import Selection
from tasks.curate.selection.quota import capped
from tasks.curate.selection.told import selection_warnings

IDS = np.array([number_of(f"document-{i}") for i in range(10_001)], np.int64)
SELECTION: TypeAdapter[Selection] = TypeAdapter(Selection)


def pool(scores: Mapping[str, Sequence[float]], sources: str = "", tokens: object = 1, lang: str = "") -> Candidates:
    """Candidates of one profile; each letter of `sources` and of `lang` is one of theirs."""
    number = len(next(iter(scores.values())))
    groups = {"source": list(sources or "a" * number), "language": list(lang or "e" * number)}
    return Candidates(
        np.array(["p"] * number, dtype=object),
        {name: np.array(values, dtype=object) for name, values in groups.items()},
        np.broadcast_to(np.asarray(tokens, np.int64), (number,)),
        IDS[:number],
        {name: np.asarray(values, np.float64) for name, values in scores.items()},
    )


def chosen(candidates: Candidates, *selections: Mapping[str, object]) -> Choice:
    return choice_of({"p": [SELECTION.validate_python(one) for one in selections]}, candidates)


def kept(candidates: Candidates, *selections: Mapping[str, object]) -> list[int]:
    return np.flatnonzero(chosen(candidates, *selections).kept_N).tolist()


def test_a_quota_keeps_the_highest_of_each_group_and_says_what_it_could_not_fill() -> None:
    candidates = pool({"s": [1, 2, 3, 4, 5, 6]}, "aaaabb", tokens=10)
    quota = {"kind": "quota", "by": ["source"], "score": "s", "at_most_tokens": 25, "tokens": {"b": 100, "c": 7}}
    choice = chosen(candidates, quota)
    assert choice.kept_N.tolist() == [False, False, True, True, True, True]
    told = {cut.group: (cut.documents, cut.kept_tokens, cut.allowed_tokens) for cut in choice.cuts}
    assert told == {"a": (4, 20, 25), "b": (2, 20, 100), "c": (0, 0, 7)}
    assert choice.reason_N[0] == "not_selected_by_s"
    assert (
        choice.detail_N[0]
        == "s 1; kept: the highest s, at most 100 tokens of b, 7 tokens of c, 25 tokens of each, of a"
    )


def test_a_quota_without_a_score_draws_by_seed_and_id_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    candidates = pool({"s": np.zeros(400).tolist()}, "ab" * 200, rng.integers(1, 9, 400))
    quota = {"kind": "quota", "by": ["source"], "at_most_tokens": 100}
    order = rng.permutation(400)
    one = {*candidates.id_N[kept(candidates, quota)].tolist()}
    assert one == {*candidates.take(order).id_N[kept(candidates.take(order), quota)].tolist()}
    assert len(one & {*candidates.id_N[kept(candidates, quota | {"seed": 1})].tolist()}) < 0.7 * len(one)
    assert chosen(candidates, quota).reason_N[-1] in {None, "not_selected_by_quota_by_source"}


def test_a_quota_per_cell_of_two_columns_one_of_them_a_score_of_labels() -> None:
    candidates = pool({"topic": [1, 1, 2, 2, np.nan, np.nan]}, "ababab")
    choice = chosen(candidates, {"kind": "quota", "by": ["source", "topic"], "at_most_tokens": 1})
    assert [cut.group for cut in choice.cuts] == [
        *("a, none", "a, topic 1", "a, topic 2"),
        *("b, none", "b, topic 1", "b, topic 2"),
    ]
    assert choice.kept_N.all()
    assert [
        cut.group for cut in chosen(pool({"t": [-0.0, 0, 1]}), {"kind": "quota", "by": ["t"], "at_most_tokens": 1}).cuts
    ] == ["t 0", "t 1"]
    many = pool({"s": np.arange(10_001).tolist()})
    with pytest.raises(DataError, match=r"by s would have 10,001 groups"):
        choice_of({"p": [SELECTION.validate_python({"kind": "quota", "by": ["s"], "at_most_tokens": 1})]}, many)


def test_shares_of_a_number_of_tokens_are_met_to_a_document_and_nothing_is_repeated() -> None:
    candidates = pool({"s": np.arange(300).tolist()}, "a" * 100 + "b" * 150 + "c" * 50, tokens=7)
    shares = {"kind": "quota", "by": ["source"], "shares": {"a": 0.5, "b": 0.3, "c": 0.2}, "of_tokens": 1_000}
    cuts = {cut.group: cut for cut in chosen(candidates, shares).cuts}
    assert {name: cut.allowed_tokens for name, cut in cuts.items()} == {"a": 500, "b": 300, "c": 200}
    assert all(0 <= cut.allowed_tokens - cut.kept_tokens < 7 for cut in cuts.values() if cut.allowed_tokens is not None)
    short = {cut.group: cut.kept_tokens for cut in chosen(candidates, shares | {"of_tokens": 3_000}).cuts}
    assert short["c"] == 350
    with pytest.raises(DataError, match=r"1 of 3 groups have no share of 1,000 tokens, such as 'c'"):
        chosen(candidates, shares | {"shares": {"a": 0.5, "b": 0.3}})


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.05, 1)), min_size=1, max_size=6).filter(
        lambda groups: sum(share for size, share in groups if size) >= 1
    )
)
def test_no_group_has_more_than_its_share_of_what_the_quotas_let_through(groups: list[tuple[int, float]]) -> None:
    sizes = {str(i): size for i, (size, _) in enumerate(groups)}
    shares = {str(i): share for i, (_, share) in enumerate(groups)}
    limits = capped(sizes, shares)
    left = {name: size if (limit := limits[name]) is None else min(size, limit) for name, size in sizes.items()}
    total = sum(left.values())
    assert all(left[name] <= shares[name] * (total + len(groups)) + 1 for name in sizes)
    # And as much as can be: whoever is cut has its share.
    assert all(left[name] >= shares[name] * total - 2 for name in sizes if left[name] < sizes[name])


def test_shares_that_nothing_can_keep_are_refused() -> None:
    with pytest.raises(DataError, match=r"the shares of the 2 groups that have documents add to 0.6"):
        chosen(pool({"s": [1, 2]}, "ab"), {"kind": "quota", "by": ["source"], "at_most_share": 0.3})


def test_selections_together_look_at_the_same_documents() -> None:
    candidates = pool({"s": [1, 2, 3, 4], "t": [4, 3, 1, np.nan]})
    best = {"kind": "quantiles", "score": "s", "low": 0.5}
    worst = {"kind": "threshold", "score": "t", "at_least": 3}
    assert kept(candidates, {"kind": "all_of", "of": [best, worst]}) == []
    assert kept(candidates, worst, best) == [1]
    choice = chosen(candidates, {"kind": "any_of", "of": [{"kind": "threshold", "score": "s", "at_least": 4}, worst]})
    assert choice.kept_N.tolist() == [True, True, False, True]
    assert choice.reason_N[2] == "not_selected_by_s_or_t"
    assert choice.detail_N[2] == "s 3, t 1; kept: (s at least 4) or (t at least 3)"
    assert [(cut.name, cut.kept_documents) for cut in choice.cuts] == [("s", 1), ("t", 2), ("s_or_t", 3)]
    nested = {"kind": "any_of", "of": [{"kind": "all_of", "of": [best, worst]}, best]}
    assert kept(candidates, nested) == [2, 3]


def test_a_probability_keeps_its_share_and_1_and_0_always_and_never() -> None:
    scores = np.repeat([0.0, 0.2, 0.7, 1.0], 1_000)
    found = np.bincount(np.array(kept(pool({"s": scores.tolist()}), {"kind": "bernoulli", "score": "s"})) // 1_000)
    assert found[-1] == 1_000 and len(found) == 4 and found[0] == 0
    assert abs(found[1] - 200) < 3 * np.sqrt(160) and abs(found[2] - 700) < 3 * np.sqrt(210)


def test_what_is_no_probability_is_counted_and_refused_where_most_are_none() -> None:
    draw = {"kind": "bernoulli", "score": "s", "by": ["source"]}
    cuts = chosen(pool({"s": [-3, 0.5, 1, 2, np.nan, 0]}, "aabbbb"), draw).cuts
    assert [cut.outside for cut in cuts] == [1, 1]
    assert selection_warnings(cuts)[-1].startswith("profile p: s is taken as a probability, and 2 of 6 documents")
    assert not any("probability" in one for one in selection_warnings(chosen(pool({"s": [0, 1]}), draw).cuts))
    with pytest.raises(DataError, match=r"bernoulli by s: 2 of 3 scores are no probabilities; they are from -40 to 7"):
        chosen(pool({"s": [-40, 7, np.nan, 1]}, "abab"), draw)


def test_weights_drop_nothing_and_multiply() -> None:
    candidates = pool({"s": [4, 1, np.nan, 2, 3]}, tokens=10)
    steps = {"kind": "weighted", "score": "s", "steps": [[0, 0.5], [0.5, 1], [0.75, 3]]}
    choice = chosen(candidates, steps)
    assert choice.kept_N.all() and choice.weight_N.tolist() == [3, 0.5, 0.5, 0.5, 1]
    assert choice.cuts[0].weighted_tokens == 55
    assert chosen(candidates, steps, steps).weight_N.tolist() == [9, 0.25, 0.25, 0.25, 1]


def test_z_scores_add_what_the_formula_says_and_ignore_scale_and_order() -> None:
    rng = np.random.default_rng(0)
    scores = {"a": rng.normal(5, 3, 50), "b": rng.exponential(size=50)}
    tokens = rng.integers(1, 9, 50)
    config = ZScores(name="c", weights={"a": 2, "b": -1})
    method = combinations.method(config)
    found = method.combine(config, scores, tokens)
    z = {name: (values - values.mean()) / values.std() for name, values in scores.items()}
    assert np.allclose(found, 2 * z["a"] - z["b"], rtol=0, atol=1e-12)
    assert np.allclose(method.combine(config, {"a": scores["a"] * 1e3 + 7, "b": scores["b"]}, tokens), found, atol=1e-9)
    order = rng.permutation(50)
    shuffled = {name: values[order] for name, values in scores.items()}
    assert method.combine(config, shuffled, tokens[order]).tobytes() == found[order].tobytes()
    missing = method.combine(config, {"a": np.where(scores["a"] > 5, np.nan, scores["a"]), "b": scores["b"]}, tokens)
    assert np.isnan(missing).tolist() == (scores["a"] > 5).tolist()


@pytest.mark.parametrize("kind", [ZScores, MeanRanks])
def test_the_order_of_weights_changes_no_bit(kind: type[ZScores] | type[MeanRanks]) -> None:
    rng = np.random.default_rng(1)
    weights = {"a": 0.1, "b": 0.7, "c": 0.3, "d": -0.9}
    scores, tokens = {name: rng.normal(size=200) for name in weights}, np.ones(200, np.int64)
    found = set()
    for names in (list(weights), list(weights)[::-1]):
        config = kind(name="x", weights={name: weights[name] for name in names})
        found.add(combinations.method(config).combine(config, scores, tokens).tobytes())
    assert len(found) == 1


def test_infinite_scores_have_ranks_and_no_z() -> None:
    scores = {"a": np.array([1.0, -np.inf, np.inf])}
    ranked = MeanRanks(name="c", weights={"a": 1})
    found = combinations.method(ranked).combine(ranked, scores, np.ones(3, np.int64))
    assert found.tolist() == pytest.approx([0.5, 1 / 6, 5 / 6])
    config = ZScores(name="c", weights={"a": 1})
    with pytest.raises(DataError, match="2 of 3 scores are infinite and cannot be standardised"):
        combinations.method(config).combine(config, scores, np.ones(3, np.int64))


def test_mean_ranks_follow_from_the_order_alone_by_documents_or_tokens() -> None:
    scores = {"a": np.array([10.0, 1000, 20, 20]), "b": np.array([1.0, 2, 3, 4])}
    tokens = np.array([1, 1, 6, 2])
    config = MeanRanks(name="c", weights={"a": 3, "b": -1})
    found = combinations.method(config).combine(config, scores, tokens)
    ranks = np.array([[0.125, 0.875, 0.5, 0.5], [0.125, 0.375, 0.625, 0.875]])
    assert np.allclose(found, (3 * ranks[0] - ranks[1]) / 4)
    by_tokens = config.model_copy(update={"by": "tokens", "weights": {"a": 1.0}})
    method = combinations.method(by_tokens)
    assert method.combine(by_tokens, scores, tokens).tolist() == pytest.approx([0.05, 0.95, 0.5, 0.5])
    grown = method.combine(by_tokens, {"a": np.exp(scores["a"] / 100)}, tokens)
    assert grown.tolist() == method.combine(by_tokens, scores, tokens).tolist()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "quota", "by": ["source"]}, "needs tokens .* or shares .* not both"),
        ({"kind": "quota", "by": ["source"], "at_most_tokens": 1, "shares": {"a": 0.1}}, "not both"),
        ({"kind": "quota", "by": ["source"], "at_most_tokens": 1, "of_tokens": 9}, "no share is given"),
        ({"kind": "quota", "by": [], "at_most_tokens": 1}, "at least 1 item"),
        ({"kind": "quota", "by": ["a", "a"], "at_most_tokens": 1}, "by names a column twice: a, a"),
        ({"kind": "any_of", "of": [{"kind": "bernoulli", "score": "s"}]}, "at least 2 items"),
        ({"kind": "weighted", "score": "s", "steps": [[0.5, 1]]}, "must begin with 0 and ascend"),
        ({"kind": "weighted", "score": "s", "steps": [[0, 0]]}, "greater than 0"),
    ],
)
def test_selections_that_cannot_be_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SELECTION.validate_python(values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"combined": [{"kind": "z_scores", "name": "c", "weights": {"b": 1}}]}, "combined.c: there is no score 'b'"),
        (
            {"combined": [{"kind": "z_scores", "name": "c", "weights": {"tokens": 1}}]},
            "names no tokenizer to count them",
        ),
        ({"combined": [{"kind": "z_scores", "name": "a", "weights": {"a": 1}}]}, "come from two scorers, such as a"),
        (
            {"combined": [{"kind": "z_scores", "name": "c", "weights": {"a": 0}}]},
            "the largest of the weights of c is 0: it must be above 0",
        ),
        (
            {"combined": [{"kind": "mean_ranks", "name": "c", "weights": {"a": 1, "a_mean": -1e300}}]},
            r"the largest of the weights of c is 1e\+300",
        ),
        ({"by": ["topic"]}, r"profiles.p.select: there is no score 'topic'. Scorers give: a, a_mean"),
    ],
)
def test_scores_of_scores_that_are_not_there_are_refused(changes: dict[str, object], said: str) -> None:
    select = [{"kind": "quantiles", "score": "a", "low": 0.5, "by": changes.pop("by", [])}]
    values = {"scorers": [{"kind": "dsir", "name": "a", "target": ["t"]}], "profiles": {"p": {"select": select}}}
    with pytest.raises(ValueError, match=said):
        CurateParams.model_validate(values | changes)
