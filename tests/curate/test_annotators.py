"""Annotators: language, URL lists, personal data, token counts."""

import gzip
import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.curate.annotators import tokens
from tasks.curate.annotators.language import (
    UNDETERMINED,
    LanguageId,
    _path,
    languages,
    normalised,
    user_files,
)
from tasks.curate.annotators.pii import COLUMNS, KINDS, Span, count_pii, find_pii
from tasks.curate.annotators.tokens import TokenCounts, token_counts
from tasks.curate.annotators.url import UrlLists, host, url_matches
from tasks.curate.fasttext_model import inspect
from tasks.curate.profiles import built_in
from tasks.curate.statistics.texts import texts_of
from tasks.tokenize.tokenizer import train
from tests.curate.fasttext_files import plain_model

SENTENCES = {
    "en": "The committee will meet again on Thursday to discuss the budget for the coming year.",
    "de": "Der Ausschuss trifft sich am Donnerstag wieder, um über den Haushalt zu beraten.",
    "fr": "Le comité se réunira de nouveau jeudi pour discuter du budget de l'année prochaine.",
    "ko": "위원회는 내년 예산을 논의하기 위해 목요일에 다시 모일 것이다.",
    "ru": "Комитет снова соберётся в четверг, чтобы обсудить бюджет на следующий год.",
    "ja": "委員会は来年度の予算について話し合うため、木曜日に再び会合を開く。",
}


# ---- Language ----------------------------------------------------------------------------------------------------------


def test_the_built_in_identifier_knows_languages_without_a_download() -> None:
    columns = languages(texts_of(list(SENTENCES.values())), LanguageId())
    assert columns["language"].tolist() == list(SENTENCES)
    assert columns["language_score"].dtype == np.float64
    assert ((columns["language_score"] > 0.8) & (columns["language_score"] <= 1)).all()


def test_a_blank_text_is_in_no_language() -> None:
    columns = languages(texts_of(["", " \n\t "]), LanguageId())
    assert columns["language"].tolist() == [UNDETERMINED] * 2
    assert columns["language_score"].tolist() == [0, 0]


def test_line_feeds_and_null_bytes_are_no_error() -> None:
    text = SENTENCES["de"].replace(" ", "\n") + "\0\r\x0b\u2028"
    assert languages(texts_of([text]), LanguageId())["language"].tolist() == ["de"]


@pytest.mark.parametrize("language", ["en", "de", "fr", "ru"])
@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\u2028", "\u202f", "\u3000", "\x85", "\u200b"])
def test_a_language_is_known_whatever_its_blanks_are_and_in_capitals(language: str, blank: str) -> None:
    sentence = SENTENCES[language]
    forms = [sentence.upper(), sentence.replace(" ", blank), sentence.upper().replace(" ", blank)]
    assert languages(texts_of(forms), LanguageId())["language"].tolist() == [language] * 3


def test_a_text_that_is_normalised_already_is_asked_as_it_is() -> None:
    texts = texts_of([*SENTENCES.values(), "NASA and ESA met in Paris.", "ABC-123", "สวัสดี\u200dครับ"])
    read = [languages(texts, LanguageId(), text)["language_score"].tolist() for text in ("normalised", "as_it_is")]
    assert read[0][:-2] == read[1][:-2] and normalised("NASA and ESA") == "NASA and ESA"
    assert normalised("to\u00adday\ufeff") == "today" and normalised("ก\u200bข\u2028ค") == "ก ข ค"


def test_profiles_that_promise_the_decisions_of_another_tool_ask_as_it_does() -> None:
    assert [built_in(name).language_text for name in ("fineweb", "refinedweb")] == ["as_it_is"] * 2
    texts = texts_of([SENTENCES["en"].replace(" ", "\u00a0")])
    assert languages(texts, LanguageId(), "as_it_is")["language"].tolist() != ["en"]


def test_only_the_leading_characters_count_if_so_configured() -> None:
    texts = texts_of([SENTENCES["de"] + " " + SENTENCES["en"] * 5])
    assert languages(texts, LanguageId())["language"].tolist() == ["en"]
    assert languages(texts, LanguageId(max_chars=len(SENTENCES["de"])))["language"].tolist() == ["de"]


def test_scores_do_not_depend_on_which_texts_are_asked_together() -> None:
    every = languages(texts_of(list(SENTENCES.values())), LanguageId())["language_score"].tolist()
    alone = [languages(texts_of([text]), LanguageId())["language_score"][0] for text in SENTENCES.values()]
    assert every == alone


def test_a_model_path_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r"language\.model_path: models/none\.bin is no file"):
        languages(texts_of(["a"]), LanguageId(model_path="models/none.bin"))
    with pytest.raises(ConfigError, match=r"models/none\.bin"):
        user_files(LanguageId(model_path="models/none.bin"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"<!doctype html>" + b" " * 5000,
        lambda whole: whole[:100],
        lambda whole: whole[:400_000],
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: whole[:8] + bytes(range(256)) * 20,
    ],
    ids=["empty", "page", "header", "half", "one byte less", "one byte more", "magic only"],
)
def test_a_file_that_is_no_whole_model_is_refused_at_once(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "model.ftz"
    path.write_bytes(damage(_path(None).read_bytes()))
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"no whole fastText classifier.*Download it again"):
        languages(texts_of(["a"]), LanguageId(model_path=str(path)))
    assert time.process_time() - start < 5


def test_the_users_model_gives_its_own_labels(tmp_path: Path) -> None:
    path = tmp_path / "own.bin"
    path.write_bytes(plain_model(words=("yes", "no"), labels=("__label__aff_Latn", "__label__neg_Latn")))
    found = inspect(path)
    assert (found.num_words, found.labels) == (2, ("__label__aff_Latn", "__label__neg_Latn"))
    columns = languages(texts_of(["yes yes", "no no no"]), LanguageId(model_path=str(path)))
    assert columns["language"].tolist() == ["aff_Latn", "neg_Latn"]
    assert user_files(LanguageId(model_path=str(path))) == {"model_path": path}


def test_a_model_that_was_replaced_under_its_name_is_loaded_again(tmp_path: Path) -> None:
    path, labels = tmp_path / "own.bin", ("__label__a", "__label__b")
    found = []
    for names in (labels, ("__label__other", "__label__b")):
        path.write_bytes(plain_model(words=("yes", "no"), labels=names))
        found += languages(texts_of(["yes"]), LanguageId(model_path=str(path)))["language"].tolist()
    assert found == ["a", "other"]


def test_the_identifier_agrees_with_the_known_languages_of_real_text(shared_data: Path) -> None:
    def read(shard: str) -> list[str]:
        with gzip.open(shared_data / "corpus" / f"{shard}-000.jsonl.gz", "rt") as stream:
            return [json.loads(line)["text"] for line in stream][:100]

    for shard, language in (("multi_gesetze", "de"), ("multi_kowiki", "ko"), ("news_bbc", "en")):
        found = languages(texts_of(read(shard)), LanguageId())["language"]
        assert (found == language).mean() >= 0.95, shard


# ---- URL lists ---------------------------------------------------------------------------------------------------------


def lists(folder: Path, **entries: str) -> UrlLists:
    for name, text in entries.items():
        (folder / name).write_text(text, encoding="utf-8")
    return UrlLists(**{name: str(folder / name) for name in entries})


def one(url: str | None, config: UrlLists) -> dict[str, int]:
    return {name: int(column[0]) for name, column in url_matches([url], config).items()}


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("https://bad.com/page", 1),
        ("http://WWW.Bad.Com:8080", 1),
        ("https://deep.sub.bad.com./x?y#z", 1),
        ("//user:word@bad.com/x", 1),
        ("bad.com/without/scheme", 1),
        ("https://notbad.com", 0),
        ("https://bad.com.evil.org", 0),
        ("https://good.com/bad.com", 0),
        ("https://good.com?next=//bad.com", 0),
        ("https://only.sub.org/", 1),
        ("https://sub.org/", 0),
        ("https://[::1]:80/x", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_a_listed_domain_blocks_itself_and_what_is_below_it(tmp_path: Path, url: str | None, blocked: int) -> None:
    config = lists(tmp_path, blocked_domains="# a comment\n\n bad.com \nhttps://only.sub.org/\n")
    assert one(url, config)["url_blocked_domain"] == blocked


def test_words_of_a_url_are_whole_and_counted_once(tmp_path: Path) -> None:
    config = lists(tmp_path, hard_words="Casino\nporn", soft_words="free\nsexy\nwin")
    assert one("https://a.com/CASINO-casino/free_win", config) == {
        "url_blocked_domain": 0,
        "url_banned_substring": 0,
        "url_hard_words": 1,
        "url_soft_words": 2,
    }
    assert one("https://casinos.com/freewin", config)["url_hard_words"] == 0
    assert one("https://casinos.com/freewin", config)["url_soft_words"] == 0


def test_substrings_are_found_across_punctuation(tmp_path: Path) -> None:
    config = lists(tmp_path, banned_substrings="hot-girls\nxxx\nxxx")
    assert one("https://a.com/HotGirls", config)["url_banned_substring"] == 1
    assert one("https://hot.girls/x_xx", config)["url_banned_substring"] == 2
    assert one("https://a.com/hotels", config)["url_banned_substring"] == 0


def test_without_lists_nothing_is_counted() -> None:
    columns = url_matches(["https://a.com", None], UrlLists())
    assert {name: column.tolist() for name, column in columns.items()} == {name: [0, 0] for name in columns}
    assert all(len(column) == 0 for column in url_matches([], UrlLists()).values())


def test_a_list_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"url\.hard_words: no/list\.txt is no file"):
        url_matches(["https://a.com"], UrlLists(hard_words="no/list.txt"))
    with pytest.raises(ConfigError, match=r"url\.soft_words: the entry '--' has neither"):
        url_matches(["https://a.com"], lists(tmp_path, soft_words="free\n--\n"))
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(ConfigError, match=r"url\.blocked_domains: .* is not UTF-8"):
        url_matches([None], UrlLists(blocked_domains=str(tmp_path / "latin")))


def test_a_changed_list_changes_the_result(tmp_path: Path) -> None:
    config = lists(tmp_path, blocked_domains="bad.com\n")
    found = one("https://worse.com", config)["url_blocked_domain"]
    lists(tmp_path, blocked_domains="bad.com\nworse.com\n")
    assert (found, one("https://worse.com", config)["url_blocked_domain"]) == (0, 1)


@given(st.text(max_size=80))
def test_no_url_is_an_error(url: str) -> None:
    assert host(url) == host(url).lower()
    assert len(url_matches([url], UrlLists())["url_hard_words"]) == 1


# ---- Personal data -----------------------------------------------------------------------------------------------------

# Put together here, so that nobody who scans this repository for secrets finds one.
AWS, STRIPE, SLACK = (
    "AKIA" + "QWERTYUIOPASDFGH",
    "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc",
    "xoxb-" + "1234567890-abcdefABCD",
)
GITHUB, OPENAI = "ghp_" + "a1B2" * 9, "sk-" + "proj-abcdEFGH1234_-567890"
PEM = "-----BEGIN RSA {0}-----\nMIIEowIBAAKCAQEA7\nq8Zk\n-----END RSA {0}-----".format("PRIVATE KEY")
JWT = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"))


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("email", "Write to <jane.doe+list@mail.uni-kiel.de>, please.", ["jane.doe+list@mail.uni-kiel.de"]),
        ("email", "a.b@c.org;d@e.co.uk", ["a.b@c.org", "d@e.co.uk"]),
        ("email", "'quoted@host.net' and mailto:me@host.net.", ["quoted@host.net", "me@host.net"]),
        ("email", "=== bob [n=bob@203-97-119.cable.net.nz] has joined", ["n=bob@203-97-119.cable.net.nz"]),
        ("ip", "from 64.217.225.26.", ["64.217.225.26"]),
        ("ip", "http://66.150.214.126:8080/a, (192.30.253.113)", ["66.150.214.126", "192.30.253.113"]),
        (
            "ip",
            "at 2606:4700:4700::1111 or 2a00:1450:4001:800:0:0:0:200e! 8.8.8.100 2606:4700::64.217.225.26",
            ["2606:4700:4700::1111", "2a00:1450:4001:800:0:0:0:200e", "8.8.8.100", "2606:4700::64.217.225.26"],
        ),
        ("phone", "+49 (0) 89-98103987 or +41.31.322.55.11", ["+49 (0) 89-98103987", "+41.31.322.55.11"]),
        ("phone", "call 1-800-411-1222 or (809) 683-8374.", ["1-800-411-1222", "(809) 683-8374"]),
        ("phone", "Tel.: 02382 59743, Fax: (0341) 696290", ["02382 59743", "(0341) 696290"]),
        ("phone", "+15413331234", ["+15413331234"]),
        ("key", f"id {AWS} end {GITHUB}", [AWS, GITHUB]),
        ("key", f"k={STRIPE}, {OPENAI}; {SLACK}", [STRIPE, OPENAI, SLACK]),
        ("key", f"Bearer {JWT}\n{PEM}\n", [JWT, PEM]),
    ],
)
def test_personal_data_is_found_whole(kind: str, text: str, found: list[str]) -> None:
    spans = [span for span in find_pii(text) if span.kind == kind]
    assert [text[span.start : span.end] for span in spans] == found


@pytest.mark.parametrize(
    "text",
    [
        "@dataclass\nx = a@b; @ 5 o'clock, foo@bar, git@github.com:me/it.git",
        "email@example.com firstname.lastname@example.org root@localhost.localhost a@b.test",
        "https://lore.kernel.org/git/7vbptlsuyv.fsf@gitster.siamese.dyndns.org/",
        "127.0.0.1 10.1.2.3 192.168.178.20 192.0.2.1 255.255.255.0 0.0.0.0 224.0.0.251 999.1.1.200",
        "see 7.1.7.2 and 1.6.0.1, version 2.0.0.116, v4.120.3.77, 1.2.3.4.5, Zeile 1.100.200.300",
        "std::vector a::b 12:30:45 fe80::1 2001:db8::1 ::1 aa:bb:cc:dd:ee:ff RFC 2822:: add::face 2024:10:11",
        "+1-202-555-0100, (212) 555-0199, 2004-12-25 10:00, 1987-1995, 3.14159265358979",
        "x = 123-456-7890123; ISBN 978-3-16-148410-0; 10/12/2004-11/12/2004; 1,234,567.89; a+49b",
        "Phone 122 11 4 1 3 6 4 90 17 9 8 2 9 14 83; tel 5; tel 12 3 4 5 6 7 8",
        "AKIAIOSFODNN7EXAMPLE task-management-system-for-everybody sk-learn xoxb-your-bot-token-here hf_hub",
        "-----BEGIN PUBLIC KEY-----\nMIIEowIBAAKCAQEA7q8ZkMIIEowIBAAKCAQEA7q8Zk\n-----END PUBLIC KEY-----",
        "",
    ],
)
def test_what_only_looks_like_personal_data_is_not(text: str) -> None:
    assert find_pii(text) == []


def test_counts_are_per_text_and_kind() -> None:
    columns = count_pii(texts_of(["a@b.de c@d.de 64.217.225.26", "", f"{JWT} +41 44 360 52 62"]))
    assert {name: column.tolist() for name, column in columns.items()} == {
        "pii_emails": [2, 0, 0],
        "pii_ips": [1, 0, 0],
        "pii_phones": [0, 0, 1],
        "pii_keys": [0, 0, 1],
    }
    assert set(columns) == set(COLUMNS.values())


def test_what_is_of_two_kinds_is_taken_once() -> None:
    assert find_pii("+49 30 1234567@host.de") == [Span(7, 22, "email")]
    assert [span.kind for span in find_pii("+49 30 1234567@host.de", frozenset({"phone"}))] == ["phone"]


def test_only_the_kinds_asked_for_are_looked_for() -> None:
    assert [span.kind for span in find_pii("a@b.de +41 44 360 52 62", frozenset({"phone"}))] == ["phone"]


PIECES = [
    "@",
    "a",
    "b.de",
    "+",
    "49",
    "(0)",
    " ",
    "-",
    ".",
    "1",
    "64.217.225.26",
    ":",
    "2606:4700::",
    "tel",
    "AKIA",
    "é",
    "\n",
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join))
def test_spans_are_in_order_apart_and_within_the_text(text: str) -> None:
    spans = find_pii(text)
    assert all(0 <= span.start < span.end <= len(text) and span.kind in KINDS for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    # Each kind for itself finds at least what it has where all are looked for.
    alone = {span for kind in KINDS for span in find_pii(text, frozenset({kind}))}
    assert set(spans) <= alone


@pytest.mark.parametrize(
    "text", ["1 " * 50_000, "a@" * 50_000, ":" * 100_000, "-----BEGIN " * 10_000, "eyJa." * 20_000]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    find_pii(text)
    assert time.process_time() - start < 2


# ---- Token counts ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(train(list(SENTENCES.values()), 300), encoding="utf-8")
    return path


def test_tokens_are_those_of_the_users_tokenizer(tokenizer: Path) -> None:
    from tokenizers import Tokenizer

    texts = ["", "The committee", *SENTENCES.values(), "<|document_end|>"]
    plain = Tokenizer.from_file(str(tokenizer))
    plain.encode_special_tokens = True
    expected = [len(plain.encode(text, add_special_tokens=False).ids) for text in texts]
    counts = token_counts(texts_of(texts), TokenCounts(tokenizer_path=str(tokenizer)))["tokens"]
    assert counts.dtype == np.int64
    assert counts.tolist() == expected
    assert expected[0] == 0 and expected[-1] > 1


def test_a_batch_does_not_change_a_count(tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, config = texts_of(["", *SENTENCES.values(), "", "x" * 300]), TokenCounts(tokenizer_path=str(tokenizer))
    whole = token_counts(texts, config)["tokens"].tolist()
    monkeypatch.setattr("tasks.curate.annotators.tokens._BATCH_BYTES", 100)
    assert token_counts(texts, config)["tokens"].tolist() == whole


def test_a_tokenizer_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    missing = TokenCounts(tokenizer_path="no/tokenizer.json")
    with pytest.raises(ConfigError, match=r"tokens\.tokenizer_path: no/tokenizer\.json is no file"):
        token_counts(texts_of(["a"]), missing)
    with pytest.raises(ConfigError, match=r"no/tokenizer\.json"):
        tokens.user_files(missing)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=re.escape("is not a tokenizer.json")):
        token_counts(texts_of(["a"]), TokenCounts(tokenizer_path=str(tmp_path / "tokenizer.json")))
