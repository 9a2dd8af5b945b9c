"""Tables as plain text."""

from tasks.core.text_table import text_table


def test_names_stand_left_numbers_right_and_no_line_ends_in_blanks() -> None:
    lines = text_table(("name", "n", ""), [("a", "1", ""), ("bbbbbb", "100", "")])
    assert lines == ["name      n", "a         1", "bbbbbb  100"]


def test_wide_characters_count_as_what_they_fill() -> None:
    assert text_table(("", "n"), [("함수", "1"), ("four", "2")]) == ["      n", "함수  1", "four  2"]


def test_no_cell_is_read_as_markup_or_broken() -> None:
    long = "[red]" + "word " * 200 + "[/red]"
    assert text_table(("text", "n"), [(long, ":smile:")], left=2)[1] == f"{long}  :smile:"
