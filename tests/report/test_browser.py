"""The page as a person opens it: from a file, in a browser, on a screen and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.pages.templating import PAGE
from tasks.report.config import ReportParams
from tasks.report.load import PageContent
from tasks.report.page import render
from tests.arms.test_stage import compare, params
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.in_process import InProcess
from tests.report.browser import Tab, browser, opened

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="this machine has no Chromium to open the page in"),
]

# What stands beyond the right edge, unless it lies in a box that scrolls by itself.
CUT = """[...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, pre"))
    .map((one) => one.outerHTML.slice(0, 120))"""
BOX = "(one) => { const b = one.getBoundingClientRect(); return { x: b.x + b.width / 2, y: b.y + b.height / 2 }; }"
OPENED = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
# The table of results, which has a total.
TABLE = "[...document.querySelectorAll('#training table.sortable')].find(t => t.innerText.includes('all domains'))"
FIRST_COLUMN = f"[...{TABLE}.tBodies[0].rows].map(r => r.cells[0].innerText)"
CLICK = f"{TABLE}.querySelectorAll('th')[{{}}].querySelector('button').click()"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def written(searching: PageContent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(searching, ReportParams()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pages(written: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("arms")
    compare(root, params(), pool_with_tokenizer(root / "tokenize"), InProcess())
    return {"report": written, "arms": root / "arms" / PAGE}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "arms"])
def test_nothing_is_cut_nothing_fails_and_nothing_is_fetched(
    tab: Tab, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    written = pages[name]
    tab.open(written, width, scheme)
    for _ in ("as it opens", "with all that can be unfolded"):
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.value(CUT) == []
        tab.value(OPENED)
    assert tab.said("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
    asked = [event["params"]["request"]["url"] for event in tab.said("Network.requestWillBeSent")]
    assert asked == [written.as_uri()]
    dark = tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 29)"
    assert dark == (scheme == "dark")


def test_no_table_of_the_report_scrolls_sideways_on_a_screen(tab: Tab, written: Path) -> None:
    tab.open(written, 1280)
    tab.value(OPENED)
    wide = "(one) => one.querySelector('table') && one.scrollWidth > one.clientWidth + 1"
    assert (
        tab.value(f"[...document.querySelectorAll('.scroll')].filter({wide}).map(one => one.innerText.slice(0, 80))")
        == []
    )


def test_a_click_on_a_head_sorts_the_rows_and_leaves_the_total_last(tab: Tab, written: Path) -> None:
    tab.open(written, 1280)
    before = tab.value(FIRST_COLUMN)
    tab.value(CLICK.format(0))
    by_name = tab.value(FIRST_COLUMN)
    assert by_name[:-1] == sorted(before[:-1], key=str.lower) and by_name[-1] == before[-1] == "all domains"
    tab.value(CLICK.format(0))
    assert tab.value(FIRST_COLUMN)[:-1] == by_name[-2::-1]


def test_a_mark_under_the_pointer_tells_its_value(tab: Tab, written: Path) -> None:
    tab.open(written, 1280)
    assert tab.value("document.querySelector('.tip').hidden") is True
    place = tab.value(f"(({BOX})(document.querySelector('.verdict g.mark')))")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
    assert tab.value("document.querySelector('.tip').textContent").startswith("over natural")


def test_the_page_prints_on_white_without_being_cut(tab: Tab, written: Path) -> None:
    tab.open(written, 700, "dark")
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(253, 252, 250)"
    assert tab.value(CUT) == []
    assert len(tab.call("Page.printToPDF")["data"]) > 10_000
