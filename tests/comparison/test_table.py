"""The table of a comparison, by arithmetic that can be done by hand."""

import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tasks.comparison.page import method_gains
from tasks.comparison.published import ComparedModel, ComparisonTable, MethodRow, read_trained, trained_csv
from tasks.comparison.table import differences, interval, markdown, rows
from tasks.core.errors import DataError, EvidenceError
from tasks.pictures.canvas import standalone


def trained(method: str, search: int | None, seed: int, objective: float, proxies: int) -> ComparedModel:
    return ComparedModel(method=method, search=search, seed=seed, objective=objective, proxies=proxies)


NATURAL = [trained("natural", None, seed, value, 0) for seed, value in enumerate((2.0, 2.2, 2.4))]
UNIFORM = [trained("uniform", None, seed, value, 0) for seed, value in enumerate((2.1, 2.3, 2.5))]
# Gains over natural: search 0 has .1 with every seed, search 1 has .2, search 2 has .3.
OURS = [
    trained("default", search, each.seed, each.objective - 0.1 * (search + 1), 48)
    for search in range(3)
    for each in NATURAL
]


def test_a_methods_gain_is_the_mean_of_paired_gains_over_searches_and_seeds() -> None:
    first, second, third = rows([*NATURAL, *UNIFORM, *OURS], 0.95)
    assert (first.method, second.method, third.method) == ("default", "natural", "uniform")
    assert first.gain == pytest.approx(0.2) and first.searches == pytest.approx((0.1, 0.2, 0.3))
    assert second.gain == 0.0 and (second.lower, second.upper) == (None, None)
    assert third.gain == pytest.approx(-0.1)
    assert first.objective == pytest.approx(2.0) and first.proxies == 48


def test_the_interval_of_a_method_is_over_its_searches() -> None:
    found = rows([*NATURAL, *OURS], 0.95)[0]
    # t(2, .975) = 4.3027; sd of (.1, .2, .3) = .1.
    half = 4.302653 * 0.1 / np.sqrt(3)
    assert (found.lower, found.upper) == pytest.approx((0.2 - half, 0.2 + half))
    assert interval(np.array([0.1]), 0.95) == (None, None)


def test_the_interval_of_one_search_is_none_and_only_a_baselines_is_over_training_seeds() -> None:
    once = [each for each in OURS if each.search == 0]
    # One gain per training seed: .1, .2 and .3, each way.
    once = [trained(each.method, 0, each.seed, each.objective - 0.1 * each.seed, 48) for each in once]
    uneven = [trained("uneven", None, each.seed, each.objective + 0.1 * (each.seed + 1), 0) for each in NATURAL]
    found = rows([*NATURAL, *once, *uneven], 0.95)
    ours, baseline = found[0], found[2]
    assert ours.gain == pytest.approx(0.2) and (ours.lower, ours.upper) == (None, None)
    assert "| default | 2.0000 | +0.2000 |  |  | 48 |" in markdown(found)
    half = 4.302653 * 0.1 / np.sqrt(3)
    assert (baseline.lower, baseline.upper) == pytest.approx((-0.2 - half, -0.2 + half))


def test_two_methods_are_compared_search_by_search_and_a_baseline_with_every_search() -> None:
    worse = [trained("regmix", each.search, each.seed, each.objective + 0.05, 48) for each in OURS]
    everything = [*NATURAL, *OURS, *worse]
    assert differences(everything, "default", "regmix") == pytest.approx([0.05, 0.05, 0.05])
    assert differences(everything, "default", "natural") == pytest.approx([0.1, 0.2, 0.3])
    assert differences([*NATURAL, *UNIFORM], "uniform", "natural") == pytest.approx([-0.1])


def test_without_natural_or_without_its_seeds_there_is_no_table() -> None:
    with pytest.raises(EvidenceError, match="natural was not trained"):
        rows(OURS, 0.95)
    with pytest.raises(EvidenceError, match="default: 1 training seed"):
        rows([*NATURAL[:2], *OURS], 0.95)


def test_the_table_is_read_by_people() -> None:
    text = markdown(rows([*NATURAL, *OURS], 0.95))
    assert "| default | 2.0000 | +0.2000 | -0.0484 to +0.4484 | +0.1000, +0.2000, +0.3000 | 48 |" in text
    assert "| natural | 2.2000 | +0.0000 |  |  | 0 |" in text


def test_every_model_reads_back_as_the_same_bits_and_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trained.csv"
    path.write_text(trained_csv([*NATURAL, *OURS]), encoding="utf-8")
    assert list(read_trained(path)) == [*NATURAL, *OURS]
    path.write_text(path.read_text().replace("2,default,0,1,", "1,default,0,1,"), encoding="utf-8")
    with pytest.raises(DataError, match="line 6: format 1, this version of Mixwright reads 2"):
        read_trained(path)
    path.write_text(trained_csv(NATURAL).replace("2.2", "many"), encoding="utf-8")
    with pytest.raises(DataError, match="line 3: not a model"):
        read_trained(path)


def row(method: str, objective: float, gain: float, ends: tuple[float, float] | None, *searches: float) -> MethodRow:
    lower, upper = (None, None) if ends is None else ends
    return MethodRow(
        method=method, objective=objective, gain=gain, lower=lower, upper=upper, searches=searches, proxies=1
    )


def test_methods_are_shown_with_their_single_searches_and_natural_is_the_line_itself() -> None:
    svg = method_gains(
        ComparisonTable(
            table=(
                row("default", 2.4, 0.1, (0.05, 0.15), 0.08, 0.12),
                row("mixing_laws", 2.45, 0.05, None, 0.05),
                row("natural", 2.5, 0.0, (0.0, 0.0), 0.0),
            ),
            versus={},
            unit="loss",
        )
    )
    label = re.search(r'aria-label=(["\'])(.*?)\1', svg)
    assert label is not None
    assert label[2].startswith("Gain over natural, in the objective: ")
    assert label[2].endswith("default +0.1000 (+0.0500 to +0.1500); mixing laws +0.0500.")
    told = [unescape(text) for text in re.findall(r"<title>([^<]*)</title>", svg)]
    assert "default, search 2: +0.1200" in told and not any("mixing laws, search" in one for one in told)
    ElementTree.fromstring(standalone(svg))
