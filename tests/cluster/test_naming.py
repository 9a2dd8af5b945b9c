"""Domains that are named by a language model: asked once, its answers give the same names, and words where it has none."""

from pathlib import Path
from typing import Any

import pytest

from tasks.cluster.config import ClusterParams
from tasks.cluster.published.domains import Domains
from tasks.cluster.stage import run
from tasks.core.errors import DataError
from tests.cluster.curated import three_kinds, write_curated
from tests.cluster.workshop import serial_workshop
from tests.infra.endpoint_server import Body, Reply, endpoint_server


def model(body: Body, before: int) -> Reply:
    """Knows code and law, and calls them alike; the third group it cannot name."""
    asked = str(body["messages"][-1]["content"])
    name = asked.partition("of the group ")[2].partition(" have in common")[0]
    return Reply("" if name.startswith("prose") else '"Texts for experts."\nThey are hard to read.')


def named(folder: Path, **names: Any) -> dict[str, str]:
    """Cluster, and return the labels of domains by their names."""
    if not (folder / "curate").exists():
        write_curated(folder / "curate", [three_kinds(90)])
    domains = {
        "kind": "clusters",
        "embedder": {"kind": "tfidf", "dimensions": 8, "min_term_documents": 2},
        "kmeans": {"num_clusters_initial": 6},
        "prune": None,
        "merge": {"kind": "ward", "num_domains": 3, "min_documents": 5},
    }
    split = {"search_fraction": 0.1, "test_fraction": 0.1}
    params = ClusterParams.model_validate({"domains": domains | names, "split": split})
    run(params, inputs={"curate": folder / "curate"}, output=folder / "out", workshop=serial_workshop(folder)[0])
    return {one.name: one.label for one in Domains.read(folder / "out").domains}


def test_an_endpoint_names_domains_once_and_its_answers_name_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    by_words = named(tmp_path)
    with endpoint_server(model) as server:
        found = named(tmp_path, endpoint={"base_url": server.url, "model": "m"})
        assert len(server.asked) == 3 and "Its words: " in str(server.asked[0])
    (prose,) = [name for name in by_words if name.startswith("prose")]
    assert {*found} == {"texts-for-experts", "texts-for-experts-2", prose}
    assert [*found.values()].count("Texts for experts") == 2 and found[prose] == by_words[prose]
    answers = (tmp_path / "out" / "answers.jsonl").read_text()
    (tmp_path / "kept.jsonl").write_text(answers)
    assert named(tmp_path, answers=str(tmp_path / "kept.jsonl")) == found
    (tmp_path / "kept.jsonl").write_text(answers.replace('"domain"', '"group"'))
    with pytest.raises(DataError, match="names none of the domains"):
        named(tmp_path, answers=str(tmp_path / "kept.jsonl"))
