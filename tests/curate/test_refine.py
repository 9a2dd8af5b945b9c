"""Refining: exact repair, redaction that leaves nothing, and an account of every byte."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ftfy import chardata
from ftfy.badness import BADNESS_RE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.errors import AccountError
from tasks.core.handles import Handle
from tasks.core.results import Here
from tasks.curate.annotators.pii import find_pii
from tasks.curate.refine.account import Passed, closed, rank
from tasks.curate.refine.config import LineRemoval, PiiRedaction, Refine, UnicodeRepair
from tasks.curate.refine.operations import Edit, apply, difference, redact
from tasks.curate.refine.unicode import _plan, repair
from tasks.curate.refine.unit import COLUMNS, REFINED, RefineArgs, Refined, merged_summaries, refine_shard, refine_texts
from tasks.curate.statistics.texts import texts_of
from tasks.ingest.published.documents import DOCUMENT
from tasks.runtime.files import file_handle
from tests import sampling
from tests.curate.folders import document

SECRET = "AKIA" + "QWERTYUIOPASDFGH"


def refine(texts: Sequence[str], config: Refine, ids: Sequence[str] | None = None) -> Refined:
    return refine_texts(texts_of(list(texts)), config, ids=ids or [f"d{i}" for i in range(len(texts))])


def fixed(text: str, config: UnicodeRepair) -> str:
    return apply(text, repair(text, config))


# ---- Unicode -----------------------------------------------------------------------------------------------------------

NASTY = sorted(
    set(BADNESS_RE.pattern)
    | set("ÃÂâ€œ”™ \n\r\t\x00\x0b\x1b[0m\x7f\x85\x96\u2028\u2029\ufeff\ufffc\ufffd\u00ad\u0301e\u0308ﬁﬀŉＡ１　ｱ가각ᄀ")
    | set("<&;#amp quot39x>…’“0123abcXYZ.,?!é中😀")
)
PIECES = [
    "&amp;",
    "&#39;",
    "&NTILDE;",
    "&bogus;",
    "&lt;b&gt;",
    "<br>",
    "\x1b[31m",
    "Ã©",
    "â€™",
    "Â ",
    "ГўВЂВ™a",
    "cafe\u0301",
]
OPTIONS = st.builds(
    UnicodeRepair,
    fix_encoding=st.booleans(),
    unescape_html=st.sampled_from(["auto", True, False]),
    remove_terminal_escapes=st.booleans(),
    remove_control_chars=st.booleans(),
    fix_latin_ligatures=st.booleans(),
    fix_character_width=st.booleans(),
    uncurl_quotes=st.booleans(),
    fix_line_breaks=st.booleans(),
    normalization=st.sampled_from([None, "NFC", "NFD", "NFKC", "NFKD"]),
)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES) | st.text(NASTY, max_size=4) | st.text(max_size=2), max_size=15), OPTIONS)
@example(["1\n", "Â  b\n"], UnicodeRepair())
@example(["a\n", "<p>", "\n&amp;"], UnicodeRepair())
@example(["&amp; <\n", "&amp;"], UnicodeRepair())
@example(["a", "Ã ", "la mode"], UnicodeRepair())
@example(["red \x1b[31m"], UnicodeRepair(remove_control_chars=False))
def test_repair_gives_what_ftfy_gives(pieces: list[str], config: UnicodeRepair) -> None:
    text = "".join(pieces)
    assert fixed(text, config) == ftfy.fix_text(text, ftfy.TextFixerConfig(**config.model_dump()))


@pytest.mark.parametrize("text", ["1" * 1_000_000 + "Â a", "Ã©" * 500_001 + "\n"], ids=["digits", "mojibake"])
def test_lines_longer_than_ftfy_takes_at_once_are_cut_where_it_cuts_them(text: str) -> None:
    assert fixed(text, UnicodeRepair()) == ftfy.fix_text(text, _plan(UnicodeRepair()).ftfy)


@sampling.every(200, whole=20)
@pytest.mark.parametrize("config", [UnicodeRepair(), UnicodeRepair(fix_character_width=True, normalization="NFKC")])
def test_repair_gives_what_ftfy_gives_on_real_text(shared_data: Path, config: UnicodeRepair, every: int) -> None:
    options = ftfy.TextFixerConfig(**config.model_dump())
    for text in corpus(shared_data, every):
        assert fixed(text, config) == ftfy.fix_text(text, options)


def test_plain_text_is_not_given_to_ftfy(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("ftfy was asked")

    monkeypatch.setattr(ftfy, "fix_and_explain", never)
    for text in ("Plain text & more; <b>html</b> &amp; so on.\n", "“Curly” – naïve, Größe, 中文、한국어\n" * 3, ""):
        assert repair(text, UnicodeRepair()) == []


def test_the_tables_of_the_installed_ftfy_are_within_what_the_quick_test_looks_at() -> None:
    import re._parser as parser

    from tasks.curate.refine.unicode import LONGEST_BADNESS

    _, longest = parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags).getwidth()
    assert longest <= LONGEST_BADNESS
    quick = _plan(UnicodeRepair()).mojibake
    assert quick is not None
    single = {c for c in set(BADNESS_RE.pattern) if c > "\x9f" and not quick.search(c + c)}
    assert single == set(), "every character that ftfy's test names is in the quick test"
    curly = set(chardata.SINGLE_QUOTE_RE.pattern + chardata.DOUBLE_QUOTE_RE.pattern) - set("[-]")
    assert all(_plan(UnicodeRepair(uncurl_quotes=True)).characters.search(c) for c in curly)


# ---- Lines -------------------------------------------------------------------------------------------------------------


def test_lines_that_match_go_with_their_line_feed() -> None:
    config = Refine(unicode=None, pii=None, lines=LineRemoval(patterns=(r"^\d+ likes$",), boilerplate=("Read more",)))
    refined = refine(["Title\n3 likes\n\n  Read more \nText 3 likes\nRead more", "Read more", ""], config)
    assert refined.texts.to_list() == ["Title\n\nText 3 likes\n", "", ""]
    assert refined.columns["refine_lines"].tolist() == [3, 1, 0]


def test_an_empty_boilerplate_line_takes_no_paragraph_away() -> None:
    config = Refine(unicode=None, pii=None, lines=LineRemoval(boilerplate=("", "  ")))
    assert refine(["a\n\nb\n"], config).texts.to_list() == ["a\n\nb\n"]


@pytest.mark.parametrize("pattern", ["(", "a*", "^\\s*$"])
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"is no regular expression|is found in an empty line"):
        LineRemoval(patterns=(pattern,))


# ---- Redaction ---------------------------------------------------------------------------------------------------------

PERSONAL = f"Mail a.b@c.org, from 64.217.225.26 or 2606:4700:4700::1111, call +41 44 360 52 62, key {SECRET}."


def test_personal_data_becomes_nobodys() -> None:
    refined = refine([PERSONAL], Refine())
    assert refined.texts.to_list() == [
        "Mail email@example.com, from 192.0.2.1 or 2001:db8::1, call +1-202-555-0100, key REDACTED_KEY."
    ]
    assert {name: int(column[0]) for name, column in refined.columns.items()} == {
        "refine_unicode_chars": 0,
        "refine_lines": 0,
        "refine_emails": 1,
        "refine_ips": 2,
        "refine_phones": 1,
        "refine_keys": 1,
    }
    assert find_pii(refined.texts.to_list()[0]) == []


def test_a_kind_that_is_off_stays() -> None:
    config = Refine(pii=PiiRedaction(email=None, ipv4=None, phone="[phone]", key=None))
    assert refine([PERSONAL], config).texts.to_list() == [
        f"Mail a.b@c.org, from 64.217.225.26 or 2001:db8::1, call [phone], key {SECRET}."
    ]


def test_a_placeholder_must_not_be_somebodys() -> None:
    with pytest.raises(ValidationError, match="is itself personal data"):
        PiiRedaction(email="someone@gmail.com")


@sampling.every(50, whole=5)
def test_nothing_is_left_to_redact_in_real_text(shared_data: Path, every: int) -> None:
    config = PiiRedaction()
    for text in corpus(shared_data, every):
        if edits := redact(text, config):
            assert find_pii(apply(text, edits)) == []


# ---- The account -------------------------------------------------------------------------------------------------------

CONFIG = Refine(lines=LineRemoval(patterns=("cookie",)), samples=3)
TEXTS = st.lists(
    st.lists(
        st.sampled_from([*PIECES, "a.b@c.org ", "cookie", "\n", "64.217.225.26 ", "ok "]) | st.text(max_size=3)
    ).map("".join),
    max_size=6,
)


@settings(max_examples=150)
@given(TEXTS)
def test_every_byte_is_accounted_for(texts: list[str]) -> None:
    refined = refine(texts, CONFIG)
    now = sum(len(text.encode()) for text in texts)
    for passed in refined.account:
        assert passed.documents == len(texts)
        assert passed.bytes_before == now
        now += passed.bytes_added - passed.bytes_removed
        assert passed.bytes_after == now
    assert now == sum(len(text.encode()) for text in refined.texts.to_list())
    assert refined.changed_N.tolist() == [a != b for a, b in zip(texts, refined.texts.to_list(), strict=True)]
    assert all(column.dtype == np.int64 and len(column) == len(texts) for column in refined.columns.values())


def test_an_account_that_does_not_close_is_an_error() -> None:
    good = Passed("unicode", 1, 1, 10, 4, 2, 8)
    assert closed([good], 10, 8) == (good,)
    for account, before, after in [
        ([good], 11, 8),
        ([good], 10, 9),
        ([Passed("unicode", 1, 1, 10, 4, 3, 8)], 10, 8),
        ([good, Passed("pii", 1, 0, 9, 0, 0, 9)], 10, 9),
    ]:
        with pytest.raises(AccountError, match="does not close"):
            closed(account, before, after)


def test_an_operation_that_loses_bytes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.curate.refine.unit.apply", lambda text, edits: apply(text, edits)[:-1])
    with pytest.raises(AccountError, match="after pii"):
        refine([PERSONAL], Refine())


def test_with_everything_off_nothing_changes() -> None:
    refined = refine(["Ã© a.b@c.org", ""], Refine(unicode=None, pii=None))
    assert (refined.texts.to_list(), refined.account, refined.samples) == (["Ã© a.b@c.org", ""], (), {})
    assert not refined.changed_N.any()


@given(st.text(NASTY, max_size=12), st.text(NASTY, max_size=12))
def test_the_difference_of_two_texts_makes_the_one_the_other(before: str, after: str) -> None:
    assert apply("xx" + before + "yy", [difference(before, after, 2, "c")]) == "xx" + after + "yy"


def test_a_difference_is_no_longer_than_it_must_be() -> None:
    assert difference("abab", "ab", 0, "c") == Edit(2, 4, "", "c", 2)


# ---- Samples -----------------------------------------------------------------------------------------------------------


def test_samples_never_show_personal_data() -> None:
    texts = [
        PERSONAL,
        f"key {SECRET} cafÃ©",
        "mail a&#64;b.de",
        f"cookie {SECRET}\n a.b@c.org",
        "x" * 70 + " a.b@c.org Ã©",
    ]
    refined = refine(texts, Refine(lines=LineRemoval(patterns=("cookie",)), samples=10))
    shown = [
        text for samples in refined.samples.values() for sample in samples for text in (sample.before, sample.after)
    ]
    assert len(shown) >= 10
    for text in shown:
        assert find_pii(text) == []
        assert SECRET not in text and "b.de" not in text and "c.org" not in text, text
    assert "[key]" in "".join(shown) and "[email]" in "".join(shown)


def test_a_repair_that_reveals_personal_data_is_not_shown() -> None:
    refined = refine(["mail a&#64;b.de now"], Refine(samples=10))
    assert refined.texts.to_list() == ["mail email@example.com now"]
    assert refined.samples["unicode"] == []


def test_samples_are_the_same_in_whatever_order_and_shards() -> None:
    ids = [f"d{i}" for i in range(30)]
    texts = [f"number {i} cafÃ© a{i}@b.de" for i in range(30)]
    config = Refine(samples=4)
    whole = refine(texts, config, ids)
    backwards = refine(texts[::-1], config, ids[::-1])
    assert whole.samples == backwards.samples
    assert [sample.id for sample in whole.samples["pii"]] == sorted(ids, key=lambda name: rank("pii", name))[:4]
    assert [sample.id for sample in whole.samples["unicode"]] != [sample.id for sample in whole.samples["pii"]]


# ---- The unit ----------------------------------------------------------------------------------------------------------


def shard(path: Path, texts: Sequence[str], first: int = 0) -> Handle:
    rows = [document(f"d{first + i}", text) for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENT), path)
    return file_handle(path)


def test_a_shard_keeps_only_texts_that_changed(tmp_path: Path) -> None:
    result = refine_shard(
        RefineArgs(shard(tmp_path / "s.parquet", ["plain", "cafÃ©", PERSONAL]), Refine()), Here(tmp_path)
    )
    table = pq.read_table(tmp_path / REFINED)
    assert table.column_names == ["id", "text", *COLUMNS]
    assert table.schema.field("text").type == pa.large_string()
    assert table["id"].to_pylist() == ["d0", "d1", "d2"]
    assert table["text"].to_pylist()[:2] == [None, "café"]
    assert [one["documents_changed"] for one in result.summary["operations"]] == [1, 1]
    assert json.loads(json.dumps(result.summary)) == result.summary


def test_an_empty_shard_is_refined_to_nothing(tmp_path: Path) -> None:
    result = refine_shard(RefineArgs(shard(tmp_path / "s.parquet", []), Refine()), Here(tmp_path))
    assert pq.read_table(tmp_path / REFINED).num_rows == 0
    assert result.summary["operations"][0]["documents"] == 0


def test_batches_and_shards_do_not_change_bytes_accounts_or_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"text {i} cafÃ© {i}@b.de" if i % 3 else f"plain {i}" for i in range(40)]
    config = Refine(samples=3)
    for name in ("one", "small", "first", "second"):
        (tmp_path / name).mkdir()
    whole = refine_shard(RefineArgs(shard(tmp_path / "a", texts), config), Here(tmp_path / "one"))
    halves = [
        refine_shard(RefineArgs(shard(tmp_path / "b", texts[:15]), config), Here(tmp_path / "first")),
        refine_shard(RefineArgs(shard(tmp_path / "c", texts[15:], 15), config), Here(tmp_path / "second")),
    ]
    assert merged_summaries([dict(half.summary) for half in halves], 3) == whole.summary
    monkeypatch.setattr("tasks.curate.refine.unit._BATCH_BYTES", 50)
    small = refine_shard(RefineArgs(file_handle(tmp_path / "a"), config), Here(tmp_path / "small"))
    assert small.summary == whole.summary
    assert (tmp_path / "small" / REFINED).read_bytes() == (tmp_path / "one" / REFINED).read_bytes()


def corpus(shared_data: Path, every: int) -> list[str]:
    found = []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as stream:
            found += [json.loads(line)["text"] for number, line in enumerate(stream) if number % every == 0]
    return found
