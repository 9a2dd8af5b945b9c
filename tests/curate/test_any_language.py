"""The profile `any_language`: ordinary text stays in every script, and garbage goes for the reason it is garbage."""

import gzip
import json
from itertools import cycle
from pathlib import Path

import pytest

from tasks.curate.profiles import built_in
from tasks.curate.rules.decide import Verdict, decide, verdicts
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.texts import texts_of
from tests.curate.paragraphs import PARAGRAPHS

_SIGNS = "山川水火木金土日月年人天地风雨雷电花草树鸟虫鱼石路桥门窗书笔纸墨红黄蓝白黑东西南北春夏秋冬"
GARBAGE = {
    "哈" * 300: "too_many_characters_in_top_2_gram",
    "ดี" * 200: "too_many_characters_in_top_2_gram",
    "点击这里下载" * 60: "too_many_characters_in_top_2_gram",
    "分享到微信\n" * 40: "too_many_duplicate_lines",
    "★☆※◆◇○●△▲□■" * 30: "too_few_words",
    "".join(sign + symbol for sign, symbol in zip(_SIGNS, cycle("★☆※◆◇○●△"), strict=False)): "too_few_alphabetic_words",
    "今天天气很好，我们去公园散步。": "too_few_words",
    PARAGRAPHS["zh"] + PARAGRAPHS["zh"][:150]: "too_many_characters_in_duplicate_5_grams",
}


def judged(texts: list[str]) -> list[Verdict | None]:
    profile = built_in("any_language")
    statistics, names = gopher_statistics(texts_of(texts), profile.words), ["p"] * len(texts)
    return verdicts(statistics, decide(statistics, names, {"p": profile}).failed_rule_N, names, {"p": profile})


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_an_ordinary_paragraph_is_kept(language: str) -> None:
    assert judged([PARAGRAPHS[language]]) == [None]


def test_garbage_is_dropped_for_what_it_is() -> None:
    assert [found.reason if found else "" for found in judged(list(GARBAGE))] == list(GARBAGE.values())


def test_a_declaration_in_scripts_without_blanks_is_kept_whole(shared_data: Path) -> None:
    with gzip.open(next((shared_data / "corpus").glob("multi_udhr*.jsonl.gz")), "rt", encoding="utf-8") as lines:
        texts = {row["lang"]: row["text"] for row in map(json.loads, lines)}
    languages = ("cmn_hans", "cmn_hant", "jpn", "tha", "khm", "lao", "mya", "bod", "iii", "kor")
    # One line: no line break helps to find a word.
    chosen = [" ".join(texts[language].split()) for language in languages if language in texts]
    assert len(chosen) > 8 and judged(chosen) == [None] * len(chosen)
