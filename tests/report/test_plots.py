"""The pictures, where they have arithmetic of their own."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.pictures.canvas import Draw, drawn, inlined, marked
from tasks.pictures.marks import size
from tasks.report.treemap import Box, treemap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=1, max_size=30)


@given(SIZES, st.floats(min_value=10, max_value=1000), st.floats(min_value=10, max_value=1000))
def test_areas_of_a_treemap_are_in_proportion_to_sizes(sizes: list[float], width: float, height: float) -> None:
    boxes = treemap(sizes, Box(0, 0, width, height))
    for part, box in zip(sizes, boxes, strict=True):
        assert box.width * box.height == pytest.approx(part / sum(sizes) * width * height, rel=1e-6, abs=1e-6)


@given(SIZES)
def test_boxes_of_a_treemap_lie_in_the_frame_and_do_not_overlap(sizes: list[float]) -> None:
    boxes = treemap(sizes, Box(0, 0, 300, 200))
    slack = 1e-6
    for box in boxes:
        assert box.x >= -slack
        assert box.y >= -slack
        assert box.x + box.width <= 300 + slack
        assert box.y + box.height <= 200 + slack
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            along = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert across <= slack or along <= slack


def test_a_treemap_matches_the_example_of_its_paper() -> None:
    # Bruls, Huizing and van Wijk (2000), figure 5: 6, 6, 4, 3, 2, 2, 1 in a frame of 6 by 4.
    boxes = treemap([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    first, second, third = boxes[0], boxes[1], boxes[2]
    assert (first.width, first.height) == pytest.approx((3, 2))
    assert (second.width, second.height) == pytest.approx((3, 2))
    assert (third.width, third.height) == pytest.approx((12 / 7, 7 / 3))


def test_nothing_of_no_size_is_drawn() -> None:
    with pytest.raises(ValueError, match="positive"):
        treemap([1.0, 0.0], Box(0, 0, 1, 1))


def test_a_label_cannot_leave_its_attribute() -> None:
    svg = drawn("x", 'a "quoted" <label> & more', (100, 50), (10, 10, 10, 10), lambda axes: None)
    assert "aria-label='a \"quoted\" &lt;label&gt; &amp; more'" in svg


def test_a_mark_tells_what_it_stands_for_in_words_that_cannot_leave_their_element() -> None:
    svg = drawn("x", "label", (100, 50), (10, 10, 10, 10), lambda axes: marked(axes.barh(0, 1)[0], 'a "<b>" & c: 1'))
    assert '<g class="mark"><title>a "&lt;b&gt;" &amp; c: 1</title>' in svg and "mark: " not in svg


def test_names_are_drawn_as_they_are_and_not_as_formulas() -> None:
    svg = drawn("x", "label", (200, 100), (10, 10, 10, 10), _writing("$x_1$ <b>"))
    assert "$x_1$ &lt;b&gt;" in svg


def test_a_glyph_that_the_drawing_font_lacks_is_left_to_the_page() -> None:
    svg = drawn("x", "label", (200, 100), (10, 10, 10, 10), _writing("한국어"))
    assert "한국어" in svg


def test_unused_ids_go_and_used_ones_carry_the_name_of_the_picture() -> None:
    svg = (
        '<?xml version="1.0"?><svg viewBox="0 0 1 1"><g id="figure_1"><path id="p1"/><use xlink:href="#p1"/></g></svg>'
    )
    inline = inlined(svg, "map", "label")
    assert "figure_1" not in inline
    assert '<path id="map-p1"/><use xlink:href="#map-p1"/>' in inline


@pytest.mark.parametrize(("number", "told"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB")])
def test_sizes_are_told_for_people(number: int, told: str) -> None:
    assert size(number) == told


def _writing(text: str) -> Draw:
    def draw(axes: "Axes") -> None:
        axes.text(0, 0, text)

    return draw
