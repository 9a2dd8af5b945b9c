"""The pictures of a search: drawn from its folder alone, and what they count, order and mark."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tasks.mixture.pictures.evidence import PredictedRun, SearchEvidence, expected_epochs, read_evidence, weight_caps
from tasks.mixture.pictures.evidence_plots import interactions, pareto, transfer
from tasks.mixture.pictures.gallery import best_mixtures, search_pictures
from tasks.mixture.pictures.search_plots import best_so_far, epochs, mixture, predicted, regret
from tasks.mixture.published import Recipe, RecipeStage
from tasks.mixture.published_candidates import (
    Candidates,
    Correlation,
    Interactions,
    MixtureAtTwoSizes,
    Pareto,
    ParetoPoint,
    TokenSupply,
    Transfer,
)
from tasks.mixture.published_forecast import Forecast, SizeGain
from tasks.mixture.published_mixtures import ChosenMixture
from tasks.mixture.published_predictors import PredictorScore, StackMember
from tasks.mixture.runs import RunKind
from tests.report.folders import add_evidence, stage_folders
from tests.report.names import DOMAINS, SEARCHED

FORECAST = Forecast(
    objective="mean bits per byte",
    gain_over_natural=0.1,
    lower=0.05,
    upper=0.15,
    confidence=0.9,
    predicted_searched=2.38,
    predicted_natural=2.5,
    per_domain={},
    model_parameters=1000,
    tokens=6000,
    noise_sd=0.004,
    status="one size",
    statement="So.",
)


@pytest.fixture
def own_folders(tmp_path: Path) -> dict[str, Path]:
    """A set of folders that a test may change."""
    return stage_folders(tmp_path / "data")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that looked at everything it can look at."""
    folder = stage_folders(tmp_path_factory.mktemp("searched"))["search"]
    add_evidence(folder)
    return folder


def label(svg: str) -> str:
    """What is read aloud instead of a picture."""
    found = re.search(r'aria-label=(["\'])(.*?)\1', svg)
    assert found is not None
    return unescape(found[2])


def texts(svg: str) -> list[str]:
    """What is written in a picture, in the order it was drawn."""
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def proxy(run: int, kind: RunKind, objective: float, *, seed: int = 0, size: int = 1000) -> PredictedRun:
    return PredictedRun(run, 0, kind, seed, size, 6000, 1, objective, (0.5, 0.5), (objective, objective))


@pytest.fixture
def candidates(searched: Path) -> Candidates:
    """The evidence of a search that picked its run 2."""
    decision = ChosenMixture(source="measured", run=2, reason="the best measured")
    return Candidates.read(searched).model_copy(update={"decision": decision, "confirmation": None})


RUNS = (proxy(0, "natural", 2.5), proxy(1, "uniform", 2.45), proxy(2, "proposal", 2.4))


def recipe_of(searched: Sequence[float], natural: Sequence[float], unimax: Sequence[float] | None = None) -> Recipe:
    number = len(searched)
    uniform = (1 / number,) * number
    return Recipe(
        domains=tuple(f"domain-{index:02d}" for index in range(number)),
        stages=(RecipeStage(tokens=1000, weights=tuple(searched)),),
        baselines={
            "natural": tuple(natural),
            "uniform": uniform,
            "unimax": uniform if unimax is None else tuple(unimax),
        },
        max_epochs=4.0,
        objective=uniform,
    )


def test_a_search_shows_itself_from_its_folder_alone(own_folders: dict[str, Path]) -> None:
    folder = own_folders["search"]
    assert list(search_pictures(folder)) == ["mixture", "regret", "predicted", "interactions", "epochs"]
    add_evidence(folder)
    full = search_pictures(folder)
    evidence = ["interactions", "pareto", "confirmation", "transfer", "epochs"]
    assert list(full) == ["mixture", "regret", "predicted", *evidence]
    assert full == search_pictures(folder)


def test_the_members_of_a_stack_are_shown_with_their_shares(searched: Path) -> None:
    found = read_evidence(searched)
    members = tuple(
        StackMember(name=name, params={"kind": name}, share=share, hyperparameters=None)
        for name, share in (("gp", 0.7), ("law", 0.3))
    )
    tried = tuple(PredictorScore(name=name, rmse=0.01, spearman=0.8, coverage=0.9) for name in ("stack", "gp", "ridge"))
    stack = found.candidates.predictor.model_copy(update={"name": "stack", "members": members})
    changed = found.candidates.model_copy(update={"predictor": stack, "tried": tried})
    assert {score.name: share for score, share in replace(found, candidates=changed).predictors} == {
        "stack": None,
        "gp": 0.7,
        "ridge": None,
    }


def test_a_picture_on_its_own_brings_its_colours_for_both_modes_and_its_size(own_folders: dict[str, Path]) -> None:
    add_evidence(own_folders["search"])
    for name, svg in search_pictures(own_folders["search"]).items():
        root = ElementTree.fromstring(svg)
        assert float(root.attrib["width"]) > 300, name
        for variable in set(re.findall(r"var\((--[a-z0-9-]+)\)", svg)):
            assert svg.count(f"{variable}: ") == 2, name
        assert "prefers-color-scheme: dark" in svg
        assert "font-family" in svg


def test_the_best_mixtures_are_the_recipe_natural_and_the_best_measured_in_order(own_folders: dict[str, Path]) -> None:
    rows = best_mixtures(own_folders["search"])
    assert rows[0]["mixture"] == "recipe: predicted best"
    assert [rows[0][f"{name} %"] for name in DOMAINS] == [f"{100 * weight:.1f}" for weight in SEARCHED]
    assert rows[1]["kind"] == "natural"
    measured = [float(row["measured"]) for row in rows[2:]]
    assert measured == sorted(measured)
    assert len(measured) == 10
    assert "repeat" not in {row["kind"] for row in rows}


def test_regret_is_above_the_best_that_can_be_compared_and_not_above_a_lucky_seed_or_another_size(
    candidates: Candidates,
) -> None:
    others = (
        proxy(3, "repeat", 2.0, seed=1),
        proxy(4, "confirm", 2.1, seed=2),
        proxy(5, "transfer", 1.5, size=8000),
    )
    told = label(regret(SearchEvidence((*RUNS, *others), candidates), FORECAST))
    assert "Regret of 5 proxy runs" in told
    assert "best measured has 2.4000, first reached by run 2" in told
    assert "natural lies 0.1000 above it; uniform lies 0.0500 above it" in told
    assert best_so_far([0.3, 0.2, 0.1, 0.15], [True, True, False, True]) == [0.3, 0.2, 0.2, 0.15]
    assert "the forecast for the recipe lies −0.0200 from it" in told


def test_a_run_far_above_the_others_does_not_flatten_the_picture(candidates: Candidates) -> None:
    svg = regret(SearchEvidence((*RUNS, proxy(3, "design", 9.9)), candidates), FORECAST)
    assert "; 1 above the edge of the picture, up to 7.5000;" in label(svg)
    assert texts(svg).count("↑") == 1
    assert "above the edge" not in label(regret(SearchEvidence(RUNS, candidates), FORECAST))


def test_confirmed_candidates_stand_beside_the_predictions_with_their_z(searched: Path) -> None:
    svg = predicted(read_evidence(searched), Forecast.read(searched))
    assert "predicted best: z −0.6" in texts(svg)
    assert "with fresh seeds predicted best: z −0.6" in label(svg)
    assert "run 3" not in label(svg)


def test_what_more_than_one_epoch_allows_is_the_cap_and_who_stands_at_it_is_told(searched: Path) -> None:
    recipe = Recipe.read(searched)
    caps = weight_caps(recipe, Candidates.read(searched).supply.target)
    # 4 epochs of 675 tokens are 0.45 of a run of 6000 tokens.
    assert caps == pytest.approx((1.0, 0.45, 1.0))
    assert f"; at the cap: {DOMAINS[1]}." in label(mixture(recipe, caps))
    assert "cap" in texts(mixture(recipe, caps))
    assert "cap" not in texts(mixture(recipe, (1.0, 1.0, 1.0)))


def test_more_domains_than_bars_have_room_for_are_ordered_by_their_weight() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(30))
    written = texts(mixture(recipe_of(weights.tolist(), weights[::-1].tolist()), [1.0] * 30))
    expected = [f"domain-{index:02d}" for index in np.argsort(-weights)]
    assert [text for text in written if text.startswith("domain-")] == expected


def test_unimax_is_drawn_where_it_differs_from_uniform() -> None:
    assert recipe_of((0.5, 0.5), (0.9, 0.1)).mixtures == ("searched", "natural", "uniform")
    other = recipe_of((0.5, 0.5), (0.9, 0.1), (0.7, 0.3))
    assert other.mixtures == ("searched", "natural", "uniform", "unimax")
    assert "unimax" in texts(mixture(other, (1.0, 1.0)))


def test_proxies_whose_text_is_as_scarce_as_the_target_s_have_its_epochs(candidates: Candidates) -> None:
    supply = TokenSupply(target=(500, 100), proxy=(3000, 600))
    recipe = recipe_of((0.5, 0.5), (0.9, 0.1))
    expected = expected_epochs(recipe, supply.target)
    assert expected["searched"] == pytest.approx((1.0, 5.0))
    found = SearchEvidence(RUNS, candidates.model_copy(update={"supply": supply})).proxy_epochs
    assert [low for low, _ in found] == [high for _, high in found] == pytest.approx(list(expected["searched"]))
    assert "proxies reach 5.00" in label(epochs(recipe, expected, found))


def test_a_domain_without_text_of_its_own_is_gone_through_no_times(candidates: Candidates) -> None:
    supply = TokenSupply(target=(500, 0), proxy=(500, 0))
    only_first = replace(RUNS[0], weights=(1.0, 0.0))
    found = SearchEvidence((only_first,), candidates.model_copy(update={"supply": supply}))
    assert found.proxy_epochs == [(12.0, 12.0), (0.0, 0.0)]


def made(sets: tuple[str, ...], domains: tuple[str, ...], values: tuple[tuple[float, ...], ...]) -> Interactions:
    return Interactions(sets=sets, domains=domains, values=values, unit="nats per token", step=0.1)


def test_what_acts_alike_stands_together_in_the_map_of_interactions() -> None:
    groups = [0, 1, 0, 1, 0, 1]
    values = tuple(tuple(0.05 if a == b else -0.01 for b in groups) for a in groups)
    names = tuple(f"{'even' if group == 0 else 'odd'}-{index}" for index, group in enumerate(groups))
    sets = tuple(f"set-{name}" for name in names)
    written = texts(interactions(made(sets, names, values)))
    for prefix in ("set-", ""):
        order = [text.split("-")[-2] for text in written if re.fullmatch(rf"{prefix}(even|odd)-\d", text)]
        assert sorted(order[:3]) in (["even"] * 3, ["odd"] * 3)
        assert len(set(order[:3])) == len(set(order[3:])) == 1


def test_where_the_held_out_sets_are_the_domains_both_have_one_order() -> None:
    values = tuple(tuple(row) for row in np.random.default_rng(1).normal(size=(7, 7)).tolist())
    names = tuple("abcdefg")
    orders = []
    for sets in (names, tuple("ABCDEFG")):
        written = texts(interactions(made(sets, names, values)))
        orders.append([text.lower() for text in written if text in {*names, *sets}])
    assert orders[0][:7] == orders[0][7:]
    assert orders[1][:7] != orders[1][7:]


def test_the_map_of_interactions_says_the_strongest_help_and_harm(searched: Path) -> None:
    told = label(interactions(Candidates.read(searched).interactions))
    assert f"{DOMAINS[0]} falls most by {DOMAINS[0]} (+0.0500)" in told
    assert f"the strongest harm is {DOMAINS[2]} to {DOMAINS[2]} (−0.0120)" in told


def test_of_very_many_domains_the_map_shows_the_strongest() -> None:
    values = np.random.default_rng(0).normal(size=(3, 60)) * 0.001
    values[:, 7] = 1.0
    names = tuple(f"d{index:02d}" for index in range(60))
    rows = tuple(tuple(row) for row in values.tolist())
    written = texts(interactions(made(("a", "b", "c"), names, rows)))
    shown = [text for text in written if text in names]
    assert len(shown) == 40
    assert "d07" in shown


@pytest.mark.parametrize("number", [2, 3, 6])
def test_every_objective_of_the_front_is_named_with_what_was_chosen(number: int) -> None:
    names = tuple(f"set {index}" for index in range(number))
    points = tuple(ParetoPoint(run=run, kind="design", values=(2.0,) * number, front=run == 0) for run in range(5))
    svg = pareto(Pareto(objectives=names, points=points, chosen=(1.9,) * number, natural=(2.1,) * number))
    assert "1 of 5 measured mixtures are on the Pareto front" in label(svg)
    for name in names:
        assert f"{name} 1.9000 (natural 2.1000)" in label(svg)
        assert any(text.startswith(name) for text in texts(svg))


def test_of_the_best_quarter_it_is_told_how_many_stay_among_the_best() -> None:
    first, second = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), (1.0, 5.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0)
    top = (True, True, True, *[False] * 5)
    rows = zip(range(8), first, second, top, strict=True)
    overall = Correlation(rho=0.81, lower=0.3, upper=0.95, mixtures=8, ceiling=None)
    svg = transfer(
        Transfer(
            verdict="cannot tell",
            overall=overall,
            top=Correlation(rho=0.5, lower=-0.2, upper=0.9, mixtures=3, ceiling=None),
            gains=(
                SizeGain(model_parameters=1000, tokens=6000, gain=0.1, sd=None),
                SizeGain(model_parameters=8000, tokens=48000, gain=0.1, sd=None),
            ),
            mixtures=tuple(
                MixtureAtTwoSizes(run=run, weights=(0.5, 0.5), small=small, large=large, top=best)
                for run, small, large, best in rows
            ),
            drift_per_efold=0.2,
            statement="Refused.",
        ),
        overall,
    )
    assert "of the 3 that belong to the best quarter, 2 are among the best 3 at the second size" in label(svg)
    assert "rank correlation 0.81 (0.30 to 0.95); among the best quarter 0.50" in label(svg)
    assert "Spearman 0.81 (0.30 to 0.95)" in texts(svg)
