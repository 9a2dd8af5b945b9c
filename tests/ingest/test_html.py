"""HTML files and the extraction of their main text: charsets, what a page says of itself, and pages that do harm."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import code as code_module
from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.ingest.config import IngestParams
from tasks.ingest.extraction.agreement import agreed
from tasks.ingest.extraction.charset import decoded
from tasks.ingest.extraction.child import ExtractionError, Extractor, extractor
from tasks.ingest.extraction.kinds import Extraction, Resiliparse, Trafilatura, extract
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.ingest.stage import run
from tests.ingest.crawl import PROSE, page
from tests.ingest.workshop import documents, ingest, rows, workshop, write_records

FAST = IngestParams(extraction=Resiliparse())
GERMAN = "Größe, Übermut und Äpfel: straßenweise schöne Grüße aus Köln."
POLISH = "Zażółć gęślą jaźń, a potem jeszcze raz: łąka, źródło, ćma, ósemka i piękna wieś."
RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний."
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"


@pytest.fixture
def running() -> Iterator[Extractor]:
    with extractor(Resiliparse(timeout_s=20)) as made:
        yield made


def test_every_html_file_of_a_folder_is_a_document_called_by_its_path(tmp_path: Path) -> None:
    for name in ("site/a.html", "site/deep/b.HTM", "site/c.html.gz"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        data = page(name)
        if name.endswith(".gz"):
            import gzip

            data = gzip.compress(data)
        (tmp_path / "in" / name).write_bytes(data)
    manifest = ingest([tmp_path / "in"], tmp_path, FAST)
    found = rows(tmp_path / "ingest")
    assert [row["id"] for row in found] == ["site/a.html", "site/c.html.gz", "site/deep/b.HTM"]
    assert {row["source"] for row in found} == {"site"}
    assert all(PROSE in row["text"] and row["lang"] == "en" for row in found)
    assert json.loads(found[0]["metadata"]) == {"encoding": "utf-8", "title": "About site/a.html"}
    assert manifest.account is not None and manifest.account.kept.documents == 3


@pytest.mark.parametrize("extraction", [Trafilatura(), Trafilatura(focus="balanced"), Resiliparse()])
def test_every_method_keeps_the_article_and_leaves_out_the_navigation(extraction: Extraction) -> None:
    found = extract(page("x").decode(), extraction)
    assert found.text.count(PROSE) == 6
    assert "Section 3" not in found.text and "Imprint" not in found.text
    assert (found.title, found.lang) == ("About x", "en")


def test_an_unknown_method_or_option_is_refused() -> None:
    for values in ({"kind": "guess"}, {"kind": "resiliparse", "focus": "recall"}):
        with pytest.raises(ConfigError, match="extraction"):
            validate(IngestParams, {"extraction": values}, "params.yaml")


@pytest.mark.parametrize(
    ("text", "encoding", "declared", "meta", "found"),
    [
        (GERMAN, "utf-8", None, None, "utf-8"),
        (GERMAN, "utf-8", "iso-8859-1", "iso-8859-1", "utf-8"),  # servers say latin1 by default
        (GERMAN, "utf-8-sig", "iso-8859-1", None, "utf-8"),
        (GERMAN, "utf-16", None, "utf-8", "utf-16-le"),
        (GERMAN, "cp1252", "ISO-8859-1", None, "cp1252"),
        (GERMAN, "cp1252", None, "windows-1252", "cp1252"),
        (GERMAN, "cp1252", "no-such-charset", "latin1", "cp1252"),
        (POLISH, "iso8859-2", "iso-8859-2", "utf-8", "iso8859-2"),
        (RUSSIAN, "cp1251", None, "windows-1251", "cp1251"),
        (RUSSIAN, "koi8-r", None, None, "koi8-r"),  # only the detector knows
        (JAPANESE, "shift_jis", None, "shift_jis", "shift_jis"),
        (JAPANESE, "euc_jp", None, None, "euc_jp"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp", None, "iso2022_jp"),
        ("plain", "ascii", None, None, "utf-8"),
    ],
)
def test_bytes_are_read_as_what_they_are(
    text: str, encoding: str, declared: str | None, meta: str | None, found: str
) -> None:
    head = f'<html><head><meta charset="{meta}"></head>' if meta else "<html>"
    html = f"{head}<body>{text * 5}</body></html>"
    result = decoded(html.encode(encoding), declared)
    assert result is not None
    assert (result.text.encode().decode().replace("\ufeff", ""), result.replaced) == (html, 0)
    assert result.encoding.replace("-", "").replace("_", "") == found.replace("-", "").replace("_", "")


def test_a_page_of_mixed_encodings_is_read_and_the_stray_characters_are_counted() -> None:
    data = (GERMAN * 20).encode() + "ü".encode("cp1252") + (GERMAN * 5).encode()
    result = decoded(data, None)
    assert result is not None
    assert (result.encoding, result.replaced) == ("utf-8", 1)
    assert result.text.count("\ufffd") == 1


def test_bytes_that_no_encoding_explains_are_quarantined_and_counted_by_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.html").write_bytes(page(str(number)))
    noise = bytes(range(128, 256)) * 40 + b"\xff\xfe\x81\x8d" * 100
    (tmp_path / "in" / "x.html").write_bytes(b"<html><meta charset=utf-8>" + noise)
    params = IngestParams(extraction=Resiliparse(), max_quarantined_fraction=0.5)
    manifest = ingest([tmp_path / "in"], tmp_path, params)
    assert manifest.account is not None
    assert [row["reason"] for row in rows(tmp_path / "ingest", "quarantined")] == ["undecodable"]


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "latin1", "gbk", "utf-16", "\x00?"]))
def test_no_bytes_and_no_label_make_decoding_raise(data: bytes, declared: str | None) -> None:
    found = decoded(data, declared)
    assert found is None or isinstance(found.text, str)


def test_a_page_beyond_the_limit_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "big.html").write_bytes(page("big", 100))
    (tmp_path / "in" / "small.html").write_bytes(page("small", 3))
    limits = IngestParams(extraction=Resiliparse(max_page_bytes=5000), max_quarantined_fraction=0.5)
    manifest = ingest([tmp_path / "in"], tmp_path, limits)
    assert manifest.account is not None
    assert {name: count.documents for name, count in manifest.account.quarantined.items()} == {"page_too_long": 1}


def test_an_extractor_that_dies_costs_one_page(running: Extractor) -> None:
    assert running.extract(page("a").decode()).text
    assert running._child is not None
    os.kill(running._child.pid, 9)
    with pytest.raises(ExtractionError, match="ended with code -9"):
        running.extract(page("b").decode())
    assert running.extract(page("c").decode()).text


def test_a_page_that_takes_too_long_costs_one_page_and_the_time() -> None:
    with extractor(Resiliparse()) as made:
        assert made.extract(page("a").decode()).text
        # Starting the child takes a second or more of a busy machine.
        made._extraction = Resiliparse(timeout_s=1.5)
        # resiliparse takes minutes for this.
        with pytest.raises(ExtractionError, match=r"took longer than 1\.5 s"):
            made.extract("<div>" * 100_000 + PROSE)
        made._extraction = Resiliparse()
        assert made.extract(page("b").decode()).text


def test_a_page_that_makes_the_extractor_raise_is_told_by_the_name_of_the_error(running: Extractor) -> None:
    with pytest.raises(ExtractionError, match="the extractor raised"):
        running.extract("half a pair: \ud83d" + page("a").decode())
    assert running.extract(page("b").decode()).text


@pytest.mark.parametrize("extraction", [Trafilatura(), Resiliparse()])
def test_deep_nesting_does_no_harm(extraction: Extraction) -> None:
    with extractor(extraction) as made:
        assert isinstance(made.extract("<div>" * 2_000 + PROSE).text, str)
        assert PROSE in made.extract(page("a").decode()).text


LINES = st.lists(st.text("abcd \u00e9", max_size=12), max_size=6).map("\n".join)


def test_the_extractor_may_not_take_more_memory_than_two_gibibytes(running: Extractor) -> None:
    assert running.extract(page("a").decode()).text and running._child is not None
    limits = Path(f"/proc/{running._child.pid}/limits")
    if not limits.exists():
        pytest.skip("this system does not tell the limits of a process")
    (line,) = [line for line in limits.read_text().splitlines() if line.startswith("Max address space")]
    assert line.split()[3] == str(2 << 30)


def test_another_version_of_the_extractor_reads_pages_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pages", "records"):
        (tmp_path / name).mkdir()
    (tmp_path / "pages" / "a.html").write_bytes(page("a"))
    write_records(tmp_path / "records" / "b.jsonl", documents(3))
    calls: dict[str, list[int]] = {"pages": [], "records": []}
    for version in ("1", "1", "2"):
        monkeypatch.setattr(
            code_module, "library_version", lambda name, own=version: own if name == "resiliparse" else "0"
        )
        for kind, counts in calls.items():
            write_listing(list_inputs([str(tmp_path / kind)]), tmp_path / kind / ".raw")
            shop = workshop(tmp_path / f"{kind}-home")
            inputs, output = {"raw": tmp_path / kind / ".raw"}, tmp_path / f"{kind}-out"
            run(FAST, inputs=inputs, output=output, workshop=shop)
            counts.append(len(shop.executor.done))  # type: ignore[attr-defined]
    assert calls == {"pages": [1, 0, 1], "records": [1, 0, 0]}


@given(LINES, LINES, LINES)
def test_agreement_gives_lines_of_one_reading_in_order(generous: str, strict: str, other: str) -> None:
    result = agreed(generous, strict, other, lambda: "").split("\n")

    def within(reading: str) -> bool:
        left = iter(reading.split("\n"))
        return all(line in left for line in result)

    assert result == [""] or within(generous) or within(other)


ARTICLE, LINKS = f"{PROSE}\n{PROSE[::-1]}", "Home News Sports\nMore stories you may like"


def test_agreement_drops_what_no_other_reading_has_unless_that_is_nearly_everything() -> None:
    assert agreed(f"{ARTICLE}\n{LINKS}", ARTICLE, f"{ARTICLE}\n{LINKS}", lambda: "") == ARTICLE
    other = f"{ARTICLE[::2]}\n{ARTICLE[1::2]}"
    assert agreed(f"{ARTICLE}\n{LINKS}", "nothing of it", other, lambda: "") == f"{ARTICLE}\n{LINKS}"


def test_what_the_strict_reading_lost_amid_the_article_stays_when_the_other_extractor_has_it_and_it_is_no_link() -> (
    None
):
    first, last = PROSE.split(", and ")
    inner, link, alone = "a line of the middle", "more of this in our shop", "only the generous reading has this"
    generous = "\n".join((first, inner, link, alone, last, inner))
    found = agreed(generous, f"{first}\n{last}", f"{first}\n{inner}\n{link}\n{last}\n{inner}", lambda: link)
    assert found == "\n".join((first, inner, last))


def test_a_paragraph_stays_outside_of_what_is_confirmed_and_a_short_line_does_not() -> None:
    paragraph, line = " ".join(f"word{n}" for n in range(30)), "a line of a menu"
    readings = f"{paragraph}\n{line}\n{ARTICLE}\n{line}"
    assert agreed(readings, ARTICLE, readings, lambda: "") == f"{paragraph}\n{line}\n{ARTICLE}"
    assert agreed(f"{line}\n{ARTICLE}", ARTICLE, f"{line}\n{ARTICLE}", lambda: "") == ARTICLE
    assert agreed(readings, ARTICLE, readings, lambda: paragraph) == ARTICLE


def test_the_other_extractors_lines_are_taken_where_it_has_more_prose_of_its_own_than_was_agreed_on() -> None:
    question = "How is a wet knot opened without a knife, when it has carried a boat through a storm?"
    other = f"Menu\n{question}\n12 votes\nFor the patient among us there is this:\n{ARTICLE}\nAbout us"
    found = agreed(question, question, other, lambda: "")
    assert found == f"{question}\nFor the patient among us there is this:\n{ARTICLE}"
    assert agreed(question, question, other, lambda: ARTICLE) == question
    assert agreed(f"{ARTICLE}\n{question}", f"{ARTICLE}\n{question}", f"{PROSE.upper()}\n{question}", lambda: "") == (
        f"{ARTICLE}\n{question}"
    )


def test_short_entries_that_only_the_other_extractor_has_are_taken_on_a_technical_page_alone() -> None:
    other = f"{PROSE}\nint\nhours of oil left\nvoid\nlights the lantern at once\n{PROSE[::-1]}"
    assert agreed(ARTICLE, ARTICLE, other, lambda: "", technical=True) == other
    assert agreed(ARTICLE, ARTICLE, other, lambda: "") == ARTICLE


def test_agreement_on_a_page_of_single_words_takes_linear_time() -> None:
    generous = "\n".join(f"a{number}" for number in range(100_000))
    started = time.process_time()
    assert agreed(generous, generous.replace("a", "b"), "", lambda: "") == generous
    # Looked up in the text as a string, each of them would be sought through all of it: 20 s.
    assert time.process_time() - started < 4


def test_an_extractor_that_is_not_installed_is_no_fault_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trafilatura.py").write_text("raise ImportError('lxml_html_clean is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = "cannot be imported here: lxml_html_clean is missing"
    with extractor(IngestParams().extraction) as broken, pytest.raises(ConfigError, match=said):
        broken.extract("<p>text</p>")
