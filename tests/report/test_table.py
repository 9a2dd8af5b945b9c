"""The closing table."""

from pathlib import Path

from tasks.report.load import Story
from tasks.report.table import closing_sentences, closing_table, closing_tables
from tests.report.folders import DOMAINS


def test_the_documents_of_the_table_are_all_records_that_came_in(story: Story) -> None:
    documents, _ = closing_tables(story)
    counted = {row[0]: int(row[1]) for row in documents.rows}
    left_out = counted.pop("kept, but of a cluster left out")
    assert sum(counted.values()) == story.curation.records.documents == 9
    assert counted["dropped: too few words"] == 3
    assert left_out == 1


def test_each_domain_has_its_weights_and_bits_per_byte(story: Story) -> None:
    _, domains = closing_tables(story)
    assert [row[0] for row in domains.rows] == [*DOMAINS, "all domains"]
    assert domains.rows[0][2:5] == ("30.0", "60.0", "33.3")
    assert domains.rows[0][5:] == tuple(f"{story.evaluation.means[name][0]:.4f}" for name in story.evaluation.means)
    assert {len(row) for row in (domains.header, *domains.rows)} == {8}


def test_the_sentences_are_the_decision_and_the_forecast_beside_its_outcome(story: Story) -> None:
    first, *_, last = closing_sentences(story)
    assert first.startswith("Claim: the searched mixture beats natural")
    assert last.startswith("Forecast +0.0210")


def test_the_text_of_a_run_holds_all_of_it(folders: dict[str, Path]) -> None:
    text = closing_table(folders["ingest"].parent)
    for told in (
        "Documents",
        "3 domains",
        "searched %",
        "natural bpb",
        "Claim:",
        "Forecast",
        "  def-self-return: 함수의",
    ):
        assert told in text
    assert max(len(line) for line in text.split("\n\n")[1].splitlines()) <= 120
