"""What a unit of curate follows from: its own code and that of the chosen kinds, what it reads, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core.code import code_of, computed_imports
from tasks.curate import steps
from tasks.curate.config import CurateParams
from tasks.curate.dedup import stage as dedup
from tasks.curate.dedup.repeats import steps as repeats
from tasks.curate.dedup.signing.signatures import shape_of
from tasks.curate.dedup.signing.unit import SignArgs
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.unit import AnnotateArgs
from tasks.curate.steps import Curation
from tasks.curate.units import StandArgs
from tasks.runtime.files import file_handle
from tasks.runtime.step import Step
from tests.curate.folders import workshop

STEPS = [step for module in (steps, dedup, repeats) for step in vars(module).values() if isinstance(step, Step)]
# The modules that some steps must not reach: a change in them redoes nothing of these steps.
OUT_OF_REACH = {
    "curate.gather": ("tasks.curate.statistics", "tasks.curate.native", "tasks.curate.published"),
    "curate.annotate": ("tasks.curate.rules", "tasks.curate.profiles", "tasks.curate.config", "tasks.curate.dedup"),
    "curate.rewrite": ("tasks.curate.rules", "tasks.curate.profiles", "tasks.curate.config", "tasks.curate.annotators"),
    "curate.refine": ("tasks.curate.rules", "tasks.curate.profiles", "tasks.curate.config", "tasks.curate.native"),
    "curate.decontaminate": ("tasks.curate.rules", "tasks.curate.config", "tasks.curate.annotators"),
    "curate.sign": ("tasks.curate.rules", "tasks.curate.dedup.groups", "tasks.curate.dedup.config"),
    "curate.stand": ("tasks.curate.config", "tasks.curate.dedup", "tasks.curate.rewriting.c4"),
    "curate.decide": ("tasks.curate.config", "tasks.curate.dedup", "tasks.curate.annotators.language"),
}


def curation(folder: Path, **params: Any) -> Curation:
    return Curation.of(workshop(folder), CurateParams.model_validate(params), ("docs", "web"))


def text_of(folder: Path) -> TextSource:
    path = folder / "shard.parquet"
    path.write_bytes(b"any bytes")
    return TextSource(file_handle(path))


def annotating(folder: Path, **params: Any) -> str:
    made = curation(folder, **params)
    args = AnnotateArgs(text_of(folder), made.annotators, steps.selection_of(made.params, made.sources))
    return steps.ANNOTATE.identity(args, "cpu").key


def standing(folder: Path, **params: Any) -> str:
    table = text_of(folder).documents
    return steps.STAND.identity(StandArgs(steps.Evidence(table), None, curation(folder, **params).judges), "cpu").key


def signing(folder: Path, **params: Any) -> str:
    found = CurateParams.model_validate(params)
    assert found.duplicates is not None
    return dedup.SIGN.identity(SignArgs(text_of(folder), shape_of(found.duplicates.near, found.seed)), "cpu").key


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_reaches_no_driver_no_union_of_kinds_and_nothing_by_a_computed_name(step: Step) -> None:
    roots = (step.work.__module__,)
    reached = code_of(roots).modules
    foreign = [name for name in reached if name.endswith((".kinds", ".stage", ".steps")) or ".runtime" in name]
    assert (foreign, computed_imports(roots)) == ([], [])


@pytest.mark.parametrize("step", [step for step in STEPS if step.name in OUT_OF_REACH], ids=lambda step: step.name)
def test_a_step_does_not_reach_what_decides_nothing_of_its_result(step: Step) -> None:
    reached = code_of((step.work.__module__,)).modules
    assert [name for name in reached if name.startswith(OUT_OF_REACH[step.name])] == []


def test_only_the_chosen_annotators_are_code_of_the_statistics(tmp_path: Path) -> None:
    made = curation(tmp_path, annotate=["gopher"])
    args = AnnotateArgs(text_of(tmp_path), made.annotators, steps.selection_of(made.params, made.sources))
    reached = steps.ANNOTATE.identity(args, "cpu").code.modules
    assert "tasks.curate.statistics.gopher" in reached and "tasks/curate/native/gopher.cpp" in reached
    assert not {"tasks.curate.annotators.language", "tasks.curate.annotators.pii"} & {*reached}


@pytest.mark.parametrize(
    ("identity", "change", "differs"),
    [
        (annotating, {"profiles": {"prose": {"rules": {"min_words": 3}}}}, False),
        (annotating, {"annotate": ["pii"]}, True),
        (annotating, {"profiles": {"prose": {"words": "script"}}}, True),
        (annotating, {"seed": 3, "duplicates": {"scope": "within_source"}}, False),
        (standing, {"profiles": {"prose": {"rules": {"min_words": 3}}}}, True),
        (standing, {"profiles": {"prose": {"description": "mine"}}}, False),
        (standing, {"seed": 3, "annotate": ["pii"]}, False),
        (signing, {"duplicates": {"near": {"kind": "fast", "min_jaccard": 0.9}}}, False),
        (signing, {"duplicates": {"lines": {}}}, False),
        (signing, {"profiles": {"prose": {"rules": {"min_words": 3}}}}, False),
        (signing, {"duplicates": {"near": {"kind": "fast", "bands": 13}}}, True),
        (signing, {"seed": 3}, True),
        (signing, {"duplicates": {"near": {"kind": "datatrove"}}}, True),
    ],
)
def test_a_changed_param_redoes_what_reads_it_and_nothing_else(
    tmp_path: Path, identity: Callable[..., str], change: dict[str, Any], differs: bool
) -> None:
    assert (identity(tmp_path, **change) != identity(tmp_path)) is differs


def test_a_list_of_the_user_is_its_content_wherever_it_lies(tmp_path: Path) -> None:
    keys = []
    for number, content in enumerate(("bad.com\n", "bad.com\n", "worse.com\n")):
        path = tmp_path / f"{number}.txt"
        path.write_text(content)
        lists = {"url": {"blocked_domains": str(path)}}
        keys.append(annotating(tmp_path, annotate=["url"], annotators=lists))
    assert keys[0] == keys[1] != keys[2]
