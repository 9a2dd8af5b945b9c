"""The closing table."""

from pathlib import Path

import pytest

from flows.closing import account_of, closing_sentences, closing_table, document_rows, domain_rows
from tasks.cluster.published.domains import Domains
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.mixture.published import MIXTURES, Recipe
from tasks.mixture.published_forecast import Forecast
from tests.report.folders import stage_folders
from tests.report.names import DOMAINS


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return stage_folders(tmp_path_factory.mktemp("stages"))


def test_the_documents_of_the_table_are_all_records_that_came_in(folders: dict[str, Path]) -> None:
    accounts = [account_of(folders[name]) for name in ("ingest", "curate", "cluster")]
    _, rows = document_rows(*accounts)
    counted = {row[0]: int(row[1]) for row in rows}
    left_out = counted.pop("kept, but of a cluster left out")
    assert sum(counted.values()) == accounts[0].taken.documents == 9
    assert counted["dropped: too few words"] == 3
    assert left_out == 1


def test_each_domain_has_its_weights_and_bits_per_byte(folders: dict[str, Path]) -> None:
    recipe, decision = Recipe.read(folders["search"]), Decision.read(folders["evaluate"])
    measured = MeasuredModels.read(folders["evaluate"])
    head, rows = domain_rows(Domains.read(folders["cluster"]), recipe, decision, measured)
    assert [row[0] for row in rows] == [*DOMAINS, "all domains"]
    assert rows[0][2:5] == ("30.0", "60.0", "33.3")
    found = decision.per_domain[DOMAINS[0]]
    assert rows[0][5:] == tuple(f"{found[name]:.4f}" for name in MIXTURES if name in found)
    assert {len(row) for row in (head, *rows)} == {8}


def test_the_sentences_are_the_decision_and_the_forecast_beside_its_outcome(folders: dict[str, Path]) -> None:
    first, *_, forecast, last = closing_sentences(Decision.read(folders["evaluate"]), Forecast.read(folders["search"]))
    assert first.startswith("Claim: the searched mixture beats natural")
    assert forecast.startswith("Forecast +0.0210") and last == "Inside were 2 of 3."


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
