"""What other programs write into a CSV file: read where it is clear, refused with its cause where it is not."""

from pathlib import Path

import pytest

from tasks.core.errors import DataError
from tasks.mixture.tables.table import paired, read_table, weights_of


def file(folder: Path, text: str, name: str = "A.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a;b;c\n0.2;0.3;0.5\n", r"one column called a;b;c: is it separated by ';'\?"),
        (";a;b\n0;0,5;0,5\n", r"one column called ;a;b: is it separated by ';'\?"),
        ("a\tb\tc\n0.2\t0.3\t0.5\n", r"one column called a b c: is it separated by a tab\?"),
        ("a|b\n0.5|0.5\n", r"separated by '\|'\?"),
        ("a b c\n0.2 0.3 0.5\n", r"separated by spaces\?"),
        (
            "a,b\n2.393 nats,1\n",
            r"1 cells are no finite numbers \(a number with a unit\).*line 2, column a: '2.393 nats'",
        ),
        ("a,b\n30%,70%\n", r"2 cells .*\(a number with a unit\).* Write the number alone"),
        ("a,b\n,1\n1,2\n3, \n", r"2 cells .*\(empty\); first: .*line 2, column a: ''\. Fill it"),
        ('a,b\n"0,5",1\n', r"\(a comma in a number\).* Write a point"),
        ("a,b\nnan,1\n", r"\(a run that diverged\?\).* Measure that run again"),
        ("a,b\nok,1\n", r"\(words\).* Leave that column out"),
        ("a,b\nok,1\n,inf\n", r"3 cells .*\(1 words, 1 empty, 1 a run that diverged\?\)"),
        ("Index,a,b\n0,0.5,0.5\n", r"a column is called Index; rows are named by `index`, in small letters"),
        ("a,NAME\n0.5,x\n", r"a column is called NAME; rows are named by `name`"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_with_its_cause(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_table(file(tmp_path, text))


def test_one_column_whose_name_has_spaces_is_one_column(tmp_path: Path) -> None:
    assert read_table(file(tmp_path, "my loss\n2.5\n2.4\n")).columns == ("my loss",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_file_with_a_byte_order_mark_reads_as_the_same_without(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "A.csv"
    path.write_bytes("index,a,ä\n0,0.25,0.75\n".encode(encoding))
    table = read_table(path)
    assert table.columns == ("a", "ä") and table.values_RC.tolist() == [[0.25, 0.75]]


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    path.write_bytes("a,ä\n0.5,0.5\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"no CSV text in UTF-8: .* Save it as CSV in UTF-8"):
        read_table(path)


def test_weights_in_percent_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"the 2 mixtures sum to 100, so these are percent; .* Divide all weights by 100"
    ):
        weights_of(read_table(file(tmp_path, "a,b\n20,80\n50,50\n")))
    with pytest.raises(DataError, match=r"1 of 2 mixtures do not sum to 1"):
        weights_of(read_table(file(tmp_path, "a,b\n20,80\n0.5,0.5\n")))


@pytest.mark.parametrize("other", ["0.0", "0000", "+0"])
def test_an_index_that_the_two_tables_write_differently_is_named(tmp_path: Path, other: str) -> None:
    mixtures = read_table(file(tmp_path, "index,a,b\n0,0.5,0.5\n1,0.4,0.6\n"))
    losses = read_table(file(tmp_path, f"index,loss\n{other},2.5\n1,2.4\n", "B.csv"))
    with pytest.raises(DataError, match=r"write index in two ways: '0' in one, .* in the other \(1 of 2 rows\)"):
        paired(mixtures, losses)
