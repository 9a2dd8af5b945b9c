"""The pictures of a search: drawn from its folder alone, and what they count, order and mark."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tasks.report.canvas import standalone
from tasks.report.evidence_plots import interactions, pareto, transfer
from tasks.report.gallery import best_mixtures, expected_epochs, proxy_epochs, search_pictures
from tasks.report.load import Story
from tasks.report.run_plots import epochs
from tasks.report.search_plots import best_so_far, methods, mixture, predicted, regret
from tasks.report.search_types import Forecast, Interactions, Pareto, Point, Proxy, Search, Supply, Transfer
from tasks.report.types import Phase, Recipe
from tests.report.folders import DOMAINS, SEARCHED, add_evidence

FORECAST = Forecast("mean bits per byte", 0.1, 0.05, 0.15, 0.9, 2.38, 2.5, 1000, 6000, 0.004, "untransferred", "So.")


def label(svg: str) -> str:
    """What is read aloud instead of a picture."""
    found = re.search(r'aria-label=(["\'])(.*?)\1', svg)
    assert found is not None
    return unescape(found[2])


def texts(svg: str) -> list[str]:
    """What is written in a picture, in the order it was drawn."""
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def proxy(run: int, kind: str, objective: float, *, seed: int = 0, size: int = 1000) -> Proxy:
    return Proxy(str(run), 0, kind, seed, size, 6000, objective, (0.5, 0.5), None, None)


def search_of(*proxies: Proxy) -> Search:
    return Search(proxies, (), "run 2", "the best measured")


RUNS = (proxy(0, "natural", 2.5), proxy(1, "uniform", 2.45), proxy(2, "proposal", 2.4))


def recipe_of(searched: Sequence[float], natural: Sequence[float], unimax: Sequence[float] | None = None) -> Recipe:
    number = len(searched)
    uniform = (1 / number,) * number
    return Recipe(
        domains=tuple(f"domain-{index:02d}" for index in range(number)),
        phases=(Phase(1000, tuple(searched)),),
        natural=tuple(natural),
        uniform=uniform,
        unimax=uniform if unimax is None else tuple(unimax),
        max_epochs=4.0,
        uniform_capped=(),
    )


def test_a_search_shows_itself_from_its_folder_alone(own_folders: dict[str, Path]) -> None:
    folder = own_folders["search"]
    assert list(search_pictures(folder)) == ["mixture", "regret", "predicted"]
    add_evidence(folder)
    full = search_pictures(folder)
    evidence = ["interactions", "pareto", "confirmation", "transfer", "epochs"]
    assert list(full) == ["mixture", "regret", "predicted", *evidence]
    assert full == search_pictures(folder)


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


def test_regret_is_above_the_best_that_can_be_compared_and_not_above_a_lucky_seed_or_another_size() -> None:
    others = (
        proxy(3, "repeat", 2.0, seed=1),
        proxy(4, "confirm", 2.1, seed=2),
        proxy(5, "transfer", 1.5, size=8000),
    )
    told = label(regret(search_of(*RUNS, *others), FORECAST))
    assert "Regret of 5 proxy runs" in told
    assert "best measured has 2.4000, first reached by run 2" in told
    assert "natural lies 0.1000 above it; uniform lies 0.0500 above it" in told
    assert best_so_far([0.3, 0.2, 0.1, 0.15], [True, True, False, True]) == [0.3, 0.2, 0.2, 0.15]
    assert "the forecast for the recipe lies −0.0200 from it" in told


def test_a_run_far_above_the_others_does_not_flatten_the_picture() -> None:
    svg = regret(search_of(*RUNS, proxy(3, "design", 9.9)), FORECAST)
    assert "; 1 above the edge of the picture, up to 7.5000;" in label(svg)
    assert texts(svg).count("↑") == 1
    assert "above the edge" not in label(regret(search_of(*RUNS), FORECAST))


def test_confirmed_candidates_stand_beside_the_predictions_with_their_z(searching: Story) -> None:
    svg = predicted(searching.search, searching.forecast)
    assert "predicted best: z −0.6" in texts(svg)
    assert "with fresh seeds predicted best: z −0.6" in label(svg)
    assert "run 3" not in label(svg)


def test_what_more_than_one_epoch_allows_is_the_cap_and_who_stands_at_it_is_told(searching: Story) -> None:
    assert searching.search.supply is not None
    caps = searching.recipe.caps(searching.search.supply)
    # 4 epochs of 675 tokens are 0.45 of a run of 6000 tokens.
    assert caps == pytest.approx((1.0, 0.45, 1.0))
    assert f"; at the cap: {DOMAINS[1]}." in label(mixture(searching.recipe, caps))
    assert "cap" in texts(mixture(searching.recipe, caps))
    assert "cap" not in texts(mixture(searching.recipe, None))


def test_more_domains_than_bars_have_room_for_are_ordered_by_their_weight() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(30))
    written = texts(mixture(recipe_of(weights.tolist(), weights[::-1].tolist()), None))
    expected = [f"domain-{index:02d}" for index in np.argsort(-weights)]
    assert [text for text in written if text.startswith("domain-")] == expected


def test_unimax_is_drawn_where_it_differs_from_uniform() -> None:
    assert recipe_of((0.5, 0.5), (0.9, 0.1)).mixtures == ("searched", "natural", "uniform")
    other = recipe_of((0.5, 0.5), (0.9, 0.1), (0.7, 0.3))
    assert other.mixtures == ("searched", "natural", "uniform", "unimax")
    assert "unimax" in texts(mixture(other, None))


def test_proxies_whose_text_is_as_scarce_as_the_target_s_have_its_epochs() -> None:
    supply = Supply(target=(500.0, 100.0), proxy=(3000.0, 600.0))
    recipe = recipe_of((0.5, 0.5), (0.9, 0.1))
    search = replace(search_of(*RUNS), supply=supply)
    expected = expected_epochs(recipe, supply)
    assert expected is not None
    assert expected["searched"] == pytest.approx((1.0, 5.0))
    found = proxy_epochs(search)
    assert found is not None
    assert [low for low, _ in found] == [high for _, high in found] == pytest.approx(list(expected["searched"]))
    assert "proxies reach 5.00" in label(epochs(recipe, expected, found))
    assert proxy_epochs(search_of(*RUNS)) is None


def test_a_domain_without_text_of_its_own_is_gone_through_no_times() -> None:
    supply = Supply(target=(500.0, 0.0), proxy=(500.0, 0.0))
    searched = replace(search_of(replace(RUNS[0], weights=(1.0, 0.0))), supply=supply)
    assert proxy_epochs(searched) == [(12.0, 12.0), (0.0, 0.0)]


def test_what_acts_alike_stands_together_in_the_map_of_interactions() -> None:
    groups = [0, 1, 0, 1, 0, 1]
    values = tuple(tuple(0.05 if a == b else -0.01 for b in groups) for a in groups)
    names = tuple(f"{'even' if group == 0 else 'odd'}-{index}" for index, group in enumerate(groups))
    sets = tuple(f"set-{name}" for name in names)
    written = texts(interactions(Interactions(sets, names, values, "bits per byte per +0.1 of weight")))
    for prefix in ("set-", ""):
        order = [text.split("-")[-2] for text in written if re.fullmatch(rf"{prefix}(even|odd)-\d", text)]
        assert sorted(order[:3]) in (["even"] * 3, ["odd"] * 3)
        assert len(set(order[:3])) == len(set(order[3:])) == 1


def test_where_the_held_out_sets_are_the_domains_both_have_one_order() -> None:
    values = tuple(tuple(row) for row in np.random.default_rng(1).normal(size=(7, 7)).tolist())
    names = tuple("abcdefg")
    orders = []
    for sets in (names, tuple("ABCDEFG")):
        written = texts(interactions(Interactions(sets, names, values, "nats")))
        orders.append([text.lower() for text in written if text in {*names, *sets}])
    assert orders[0][:7] == orders[0][7:]
    assert orders[1][:7] != orders[1][7:]


def test_the_map_of_interactions_says_the_strongest_help_and_harm(searching: Story) -> None:
    assert searching.search.interactions is not None
    told = label(interactions(searching.search.interactions))
    assert f"{DOMAINS[0]} falls most by {DOMAINS[0]} (+0.0500)" in told
    assert f"the strongest harm is {DOMAINS[2]} to {DOMAINS[2]} (−0.0120)" in told


def test_of_very_many_domains_the_map_shows_the_strongest() -> None:
    values = np.random.default_rng(0).normal(size=(3, 60)) * 0.001
    values[:, 7] = 1.0
    names = tuple(f"d{index:02d}" for index in range(60))
    rows = tuple(tuple(row) for row in values.tolist())
    written = texts(interactions(Interactions(("a", "b", "c"), names, rows, "nats")))
    shown = [text for text in written if text in names]
    assert len(shown) == 40
    assert "d07" in shown


@pytest.mark.parametrize("number", [2, 3, 6])
def test_every_objective_of_the_front_is_named_with_what_was_chosen(number: int) -> None:
    names = tuple(f"set {index}" for index in range(number))
    points = tuple(Point(run, "design", (2.0,) * number, run == 0) for run in range(5))
    svg = pareto(Pareto(names, points, (1.9,) * number, (2.1,) * number))
    assert "1 of 5 measured mixtures are on the Pareto front" in label(svg)
    for name in names:
        assert f"{name} 1.9000 (natural 2.1000)" in label(svg)
        assert any(text.startswith(name) for text in texts(svg))


def test_of_the_best_quarter_it_is_told_how_many_stay_among_the_best() -> None:
    sizes = ((1000, 6000), (8000, 48000))
    first, second = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), (1.0, 5.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0)
    top = (True, True, True, *[False] * 5)
    svg = transfer(Transfer(sizes, tuple(range(8)), first, second, top, 0.81, 0.3, 0.95, 0.5, "Refused."))
    assert "of the 3 that belong to the best quarter, 2 are among the best 3 at the second size" in label(svg)
    assert "rank correlation 0.81 (0.30 to 0.95); among the best quarter 0.50" in label(svg)
    assert "Spearman 0.81 (0.30 to 0.95)" in texts(svg)


@dataclass(frozen=True)
class Row:
    """A row of a comparison."""

    method: str
    objective: float
    gain: float
    lower: float
    upper: float
    searches: tuple[float, ...]


def test_methods_stand_in_the_order_of_their_gain_and_one_without_an_interval_has_none() -> None:
    rows = [
        Row("natural", 2.5, 0.0, 0.0, 0.0, (0.0,)),
        Row("default", 2.4, 0.1, 0.05, 0.15, (0.08, 0.12)),
        Row("mixing_laws", 2.45, 0.05, float("nan"), float("nan"), (0.05,)),
    ]
    svg = methods(rows)
    assert label(svg).endswith("default +0.1000 (+0.0500 to +0.1500); mixing_laws +0.0500; natural +0.0000.")
    written = [text for text in texts(svg) if text in {"default", "mixing laws", "natural"}]
    assert written[:3] == ["default", "mixing laws", "natural"]
    assert "2.4500" in texts(svg)
    ElementTree.fromstring(standalone(svg))
