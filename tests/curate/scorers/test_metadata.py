"""What a document's source or metadata says is a score: a tier of a licence, the year of a page."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.cluster.buckets import Buckets
from tasks.cluster.config import ClusterParams
from tasks.cluster.published.domains import Domains
from tasks.cluster.sources import SourceDomains
from tasks.cluster.stage import run as cluster
from tasks.core.errors import ConfigError
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers import metadata
from tasks.curate.scorers.metadata import Metadata, as_number
from tasks.curate.scorers.method import documents_of
from tasks.curate.stage import run
from tests.cluster.workshop import serial_workshop
from tests.curate.folders import document, ingest_folder, rows, workshop

LICENCES = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "proprietary", None)
TIER = {
    "kind": "metadata",
    "name": "tier",
    "field": "rights.licence",
    "values": {"CC0-*": 0, "CC-BY-SA-*": 1, "CC-BY-*": 1, "proprietary": 3},
    "otherwise": 2,
}
YEAR = {"kind": "metadata", "name": "year", "field": "date"}


def curated(folder: Path, *select: dict[str, Any], number: int = 50) -> Path:
    documents = []
    for i in range(number):
        fields: dict[str, Any] = {"rights": {"licence": LICENCES[i % 5]}, "date": f"{2010 + i % 10}-07-02"}
        text = f"The harbour of town {i} was closed in the year {i * i} for lack of {i * 7} boats."
        one = document(f"d{i:02d}", text, ("news", "web")[i % 2])
        # One document says nothing.
        documents.append(one | {"metadata": json.dumps(fields) if i else None})
    ingest_folder(folder / "ingest", [documents[:20], documents[20:]])
    profiles = {"p": {"rules": {}, "select": list(select)}}
    values = {"scorers": [TIER, YEAR], "profile": "p", "profiles": profiles, "duplicates": None}
    run(
        CurateParams.model_validate(values),
        inputs={"ingest": folder / "ingest"},
        output=folder / "curate",
        workshop=workshop(folder),
    )
    return folder / "curate"


@pytest.mark.parametrize("text", ["2019-07", "2019-07-02", "2019-07-02T10:00:00Z", "2019-07-02 10:00", "2019-07-02."])
def test_a_date_may_have_a_time_behind_it(text: str) -> None:
    assert as_number(text) == 2019.5


@pytest.mark.parametrize(
    "text", ["2019-13-40", "2019-00-00", "2019-07-021", "1234-56-78901", "0800-12-345678", "2019-07-02x"]
)
def test_what_only_begins_as_a_date_has_no_number(text: str) -> None:
    assert np.isnan(as_number(text))


def test_a_field_has_the_number_of_its_value_and_a_date_its_year(tmp_path: Path) -> None:
    output = curated(tmp_path, {"kind": "threshold", "score": "tier", "at_most": 1})
    tiers = [row["tier"] for row in rows(output, "scores/tier")]
    assert tiers[:6] == [2, 1, 1, 3, 2, 0]
    years = [row["year"] for row in rows(output, "scores/year")]
    assert np.isnan(years[0]) and years[1:4] == [2011.5, 2012.5, 2013.5]
    assert Scored.read(output).scorers["year"].without == 1
    assert {row["tier"] for row in rows(output, "kept")} == {0, 1}


def test_tiers_part_domains_and_are_never_joined(tmp_path: Path) -> None:
    curate = curated(tmp_path, number=200)
    workshop_, _ = serial_workshop(tmp_path)

    def domains(least: int) -> set[str]:
        buckets = Buckets(score="tier", edges=(0.5, 1.5), names=("open", "attribution", "risky"), min_documents=least)
        params = ClusterParams(domains=SourceDomains(kind="source"), buckets=buckets)
        cluster(params, inputs={"curate": curate}, output=tmp_path / "cluster", workshop=workshop_)
        return {*Domains.read(tmp_path / "cluster").names}

    tiers = ("open", "attribution", "risky")
    assert domains(10) == {f"{source}-{tier}" for source in ("news", "web") for tier in tiers}
    with pytest.raises(
        ConfigError, match=r"2 of 6 domains between given edges have fewer than 30 documents: news-open"
    ):
        domains(30)


def test_the_order_of_values_does_not_matter_as_it_is_no_part_of_what_params_are() -> None:
    values = {"CC-*": 1.0, "CC-BY-*": 2.0, "CC-BY-4.0": 3.0}
    records = [json.dumps({"licence": one}) for one in ("CC-0", "CC-BY-3.0", "CC-BY-4.0")]
    nobody = [""] * len(records)
    documents = documents_of(pa.table({"id": nobody, "source": nobody, "metadata": records, "text": nobody}))
    for ordered in permutations(values.items()):
        config = Metadata(name="tier", field="licence", values=dict(ordered))
        assert metadata.METHOD.score(config, documents, None)[""].tolist() == [1.0, 2.0, 3.0]


def test_a_source_has_the_number_of_its_name() -> None:
    with pytest.raises(ValueError, match="a source is no number: give `values`"):
        CurateParams.model_validate({"scorers": [{"kind": "metadata", "name": "tier"}]})
    with pytest.raises(ValueError, match="otherwise belongs to values"):
        CurateParams.model_validate({"scorers": [YEAR | {"otherwise": 1}]})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"edges": (2.0, 1.0)}, "edges must ascend"),
        ({"edges": (1.0,), "names": ("a", "b", "c")}, "names has 3 different names for 2 buckets"),
        ({"names": ("a", "a", "b")}, "names has 2 different names for 3 buckets"),
    ],
)
def test_buckets_that_do_not_fit_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Buckets(score="tier", **values)
