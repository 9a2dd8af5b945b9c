"""Every stage looks at what it reads, before it reads it: a damaged file is named with the stage that makes it again."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from infra.storage import FolderStore
from tasks.cluster.config import ClusterParams
from tasks.comparison.config import ComparisonParams
from tasks.core.digest import digest_file
from tasks.core.errors import DamagedError
from tasks.core.manifest import FileRecord, Manifest
from tasks.curate.config import CurateParams
from tasks.evaluation.config import EvaluateParams
from tasks.ingest.published.sources import Sources
from tasks.mixture.config import SearchParams
from tasks.mixture.published import Recipe, RecipeStage
from tasks.report.config import ReportParams
from tasks.runtime.context import Workshop
from tasks.tokenize.config import TokenizeParams
from tasks.training.params import TrainParams
from tests.in_process import InProcess

# What each stage publishes here: nothing is looked into before it was verified, so any bytes do; those that a driver needs
# to know what it has to read are contracts.
PUBLISHED = {
    "ingest": ("documents/00000.parquet", "quarantined/00000.parquet", "sources.json"),
    "curate": ("dropped/00000.parquet", "funnel.json", "kept/00000.parquet"),
    "cluster": ("assignments/00000.parquet", "clusters.json", "domains.json"),
    "tokenize": (
        *("token_bytes.bin", "tokenizer.json", "tokens.json"),
        *("tokens/search/00-a.bin", "tokens/test/00-a.bin", "tokens/train/00-a.bin"),
    ),
    "search": ("candidates.json", "forecast.json", "recipe.json", "runs.csv"),
    "train": ("models/a-seed0/losses.csv", "models/a-seed0/model.safetensors", "runs.json"),
    "evaluate": ("decision.json", "results.json"),
}
_POOL = ("token_bytes.bin", "tokens.json")
_RECIPE = Recipe(domains=("a",), stages=(RecipeStage(tokens=1, weights=(1.0,)),), max_epochs=1.0)
CONTRACTS = {Sources.FILE: Sources(sources={}).text(), Recipe.FILE: _RECIPE.text()}
READS: dict[str, tuple[Any, dict[str, tuple[str, ...]]]] = {
    "tasks.curate": (CurateParams(), {"ingest": ("documents/00000.parquet", "sources.json")}),
    "tasks.cluster": (ClusterParams(), {"curate": ("kept/00000.parquet",)}),
    "tasks.tokenize": (
        TokenizeParams(),
        {"curate": ("kept/00000.parquet",), "cluster": ("assignments/00000.parquet", "domains.json")},
    ),
    "tasks.mixture": (SearchParams(), {"tokenize": (*_POOL, "tokens/train/00-a.bin", "tokens/search/00-a.bin")}),
    "tasks.training": (
        TrainParams(),
        {"tokenize": (*_POOL, "tokens/train/00-a.bin", "tokenizer.json"), "search": ("recipe.json",)},
    ),
    "tasks.evaluation": (
        EvaluateParams(),
        {
            "tokenize": (*_POOL, "tokens/test/00-a.bin"),
            "search": ("recipe.json", "forecast.json"),
            "train": ("models/a-seed0/model.safetensors", "runs.json"),
        },
    ),
    "tasks.report": (
        ReportParams(),
        {
            "ingest": PUBLISHED["ingest"][:2],
            "curate": ("dropped/00000.parquet", "funnel.json"),
            "cluster": ("clusters.json", "domains.json"),
            "tokenize": ("tokens.json",),
            "search": PUBLISHED["search"],
            "train": ("models/a-seed0/losses.csv", "runs.json"),
            "evaluate": PUBLISHED["evaluate"],
        },
    ),
    "tasks.comparison": (
        ComparisonParams(),
        {"tokenize": (*_POOL, "tokens/train/00-a.bin", "tokens/test/00-a.bin")},
    ),
}
CASES = [
    (package, stage, path) for package, (_, reads) in READS.items() for stage, paths in reads.items() for path in paths
]


def publish_all(root: Path) -> dict[str, Path]:
    """Publish a folder for every stage, each made from those before it."""
    made: dict[str, Manifest] = {}
    for stage, paths in PUBLISHED.items():
        records = []
        for path in sorted(paths):
            place = root / stage / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(CONTRACTS.get(path, f"{stage} {path}").encode())
            records.append(FileRecord(path, digest_file(place), place.stat().st_size))
        inputs = {name: manifest.output for name, manifest in made.items()}
        made[stage] = Manifest(stage, inputs, {}, "c", tuple(records))
        made[stage].write(root / stage)
    return {stage: root / stage for stage in PUBLISHED}


@pytest.mark.parametrize(("package", "stage", "path"), CASES)
def test_one_flipped_bit_in_what_a_stage_reads_is_named_before_it_is_read(
    tmp_path: Path, package: str, stage: str, path: str
) -> None:
    params, reads = READS[package]
    folders = publish_all(tmp_path)
    damaged = bytearray((folders[stage] / path).read_bytes())
    damaged[-1] ^= 1
    (folders[stage] / path).write_bytes(damaged)
    run, workshop = importlib.import_module(f"{package}.stage").run, Workshop(InProcess(), FolderStore(tmp_path / "s"))
    with pytest.raises(DamagedError, match=rf"not what {stage} published; first: {path}\. Run {stage} again"):
        run(params, inputs={name: folders[name] for name in reads}, output=tmp_path / "out", workshop=workshop)
    assert not (tmp_path / "out").exists()
