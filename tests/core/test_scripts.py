"""Words in scripts without blanks: nothing of a text is lost, and what has blanks is left as it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.scripts import letters_apart, mostly_unspaced, spaced, words
from tests.curate.nasty import nasty

written_with_blanks = st.text(st.characters(codec="iso8859-5") | st.sampled_from("한국어…’“ \n"), max_size=40)


@given(nasty | st.text(max_size=30))
@settings(max_examples=200)
def test_words_and_letters_are_the_text_without_its_blanks(text: str) -> None:
    assert "".join(words(text)) == "".join(letters_apart(text)) == "".join(text.split())
    assert [word for part in text.split() for word in spaced(part).split(" ")] == words(text)


@given(written_with_blanks)
def test_in_scripts_with_blanks_a_word_is_what_stands_between_them(text: str) -> None:
    assert words(text) == letters_apart(text) == text.split()
    assert not mostly_unspaced(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("「今天天气很好」，他说。", ["「今天", "天气", "很好」，", "他", "说。"]),
        ("東京タワーはiPhone15で撮った", ["東京タワー", "は", "iPhone15", "で", "撮", "っ", "た"]),
        ("山★川", ["山", "★", "川"]),
        ("ภาษาไทยไม่มีช่องว่าง", ["ภาษา", "ไทย", "ไม่มี", "ช่อง", "ว่าง"]),
        ("ខ្ញុំទៅផ្សារ", ["ខ្ញុំ", "ទៅ", "ផ្សារ"]),
        ("ꊿꂷꌠ", ["ꊿ", "ꂷ", "ꌠ"]),  # Yi: ICU has no dictionary of it
        ("བཀྲ་ཤིས་བདེ་ལེགས།", ["བཀྲ་", "ཤིས་", "བདེ་", "ལེགས།"]),
        ("한국어는 띄어 쓴다", ["한국어는", "띄어", "쓴다"]),
    ],
)
def test_words_are_those_a_reader_would_name(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_letters_stand_apart_and_take_their_marks_along() -> None:
    assert letters_apart("か\u3099「山」v2ดี๒") == ["か\u3099「", "山」", "v2", "ดี", "๒"]


def test_a_text_is_mostly_without_blanks_by_its_letters_not_by_its_clauses() -> None:
    assert mostly_unspaced("我们用 Python 写程序，然后一起去喝茶")
    assert not mostly_unspaced("The word 天文台 is Chinese for observatory")
    assert not mostly_unspaced("12 + 30 = 42")
