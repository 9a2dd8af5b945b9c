"""Domains in an order by how alike they are: planted likeness is found, and what is written is a recipe."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli.mixture import mixture
from tasks.cluster.published.assignments import ASSIGNMENTS, write_assignments
from tasks.cluster.published.domains import Domains, DomainSummary
from tasks.core.errors import DataError
from tasks.mixture.domain_order import cosines, in_order
from tasks.mixture.published import read_recipe

LETTERS = "bdfghklmn"
# Each domain shares half of its words with the next one.
WORDS = {"far": range(60, 80), "a": range(20), "b": range(10, 30), "c": range(20, 40)}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Return what curate and cluster published of forty documents of four domains."""
    draw = np.random.default_rng(0)
    rows = [
        (name, " ".join(LETTERS[word // 9] + LETTERS[word % 9] * 3 for word in draw.choice(list(WORDS[name]), 30)))
        for name in WORDS
        for _ in range(10)
    ]
    ids = [f"d{number}" for number in range(len(rows))]
    curated, clustered = tmp_path / "curate", tmp_path / "cluster"
    (curated / "kept").mkdir(parents=True)
    (clustered / ASSIGNMENTS).mkdir(parents=True)
    pq.write_table(pa.table({"id": ids, "text": [text for _, text in rows]}), curated / "kept/00000.parquet")
    domains = [list(WORDS).index(name) for name, _ in rows]
    split = ["test" if number % 10 == 9 else "train" for number in range(len(rows))]
    columns = {"id": ids, "kmeans_cluster": pa.nulls(len(rows), pa.int32()), "domain": domains, "split": split}
    write_assignments(pa.table(columns), clustered / ASSIGNMENTS / "00000.parquet")
    told = (_summary(index, name) for index, name in enumerate(WORDS))
    (clustered / Domains.FILE).write_text(Domains(domains=tuple(told)).text(), encoding="utf-8")
    return {"curate": curated, "cluster": clustered}


def _summary(index: int, name: str) -> DomainSummary:
    return DomainSummary(
        index=index, name=name, label=name, documents=10, bytes=100, means={}, sources={}, splits={}, terms=(), examples=(),
        kmeans_clusters=(),
    )  # fmt: skip


def written(folders: dict[str, Path], output: Path, *words: str) -> list[str]:
    given = ["--curate", str(folders["curate"]), "--cluster", str(folders["cluster"]), "--output", str(output)]
    result = CliRunner().invoke(mixture, ["order", "--tokens", "640", *given, *words])
    assert result.exit_code == 0, result.output
    recipe = read_recipe(output)
    return [recipe.domains[stage.weights.index(1.0)] for stage in recipe.stages]


def test_planted_likeness_gives_the_order(folders: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    assert written(folders, file, "--first", "a", "--replay", "0.25") == ["a", "b", "c", "far"]
    stages = json.loads(file.read_text())["stages"]
    assert [stage["replay"] and stage["replay"]["share"] for stage in stages] == [None, 0.25, 0.25, 0.25]
    assert written(
        folders, file, "--first", "a", "--order", "diverse", "--domain", "a", "--domain", "b", "--domain", "c"
    ) == [
        "a",
        "c",
        "b",
    ]
    drawn = written(folders, file, "--order", "random", "--seed", "3")
    assert sorted(drawn) == sorted(WORDS) and drawn == written(folders, file, "--order", "random", "--seed", "3")


def test_what_cannot_be_put_in_order_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    given = ["--curate", str(folders["curate"]), "--cluster", str(folders["cluster"]), "--output", str(tmp_path / "r")]
    result = CliRunner().invoke(mixture, ["order", "--tokens", "640", *given, "--first", "nobody"])
    assert result.exit_code == 2 and "has no domain nobody; it has far, a, b, c" in result.output
    with pytest.raises(DataError, match="b: the embedder knows nothing of its documents"):
        cosines(np.array([[1.0, 0.0], [0.0, 0.0]]), ("a", "b"))
    near = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.1], [0.5, 0.1, 1.0]])
    assert in_order(near, "similar", 0, 0) == [0, 1, 2]
