"""`mixwright why DOC_ID`: one document's whole story, from a curate folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.errors import DataError
from tasks.curate.audit.folder import Curated, read_curated
from tasks.curate.published.documents import ANNOTATIONS, DROPPED, KEPT, REWRITING, SCORES, row_of
from tasks.curate.rules.rule import Rule, Threshold, fails


@dataclass(frozen=True)
class Check:
    """One active rule: the value it looked at, the threshold, and whether the document passed."""

    reason: str
    statistic: str
    value: Any
    threshold: Threshold
    passed: bool


@dataclass(frozen=True)
class Story:
    """What curation found out about a document and what became of it.

    `filter`, `reason` and `detail` are None for a kept document; `quality` and `weight` are None for a dropped one.
    `survivor` stands for it, `stands_for` are those it stands for. `scores` stand by their columns, None where there is
    none. `edited`: bytes as ingested, and as kept. `file` is its shard.
    """

    id: str
    source: str
    file: str
    profile: str
    filter: str | None
    reason: str | None
    detail: str | None
    quality: float | None
    weight: float | None
    statistics: dict[str, Any]
    scores: dict[str, float | None]
    checks: tuple[Check, ...]
    survivor: str | None
    stands_for: tuple[str, ...]
    edited: dict[str, int]

    @property
    def kept(self) -> bool:
        """Whether the document was kept."""
        return self.reason is None


def why(folder: Path, document_id: str) -> Story:
    """Return the story of a document.

    Raises:
        DataError: nothing was published there by curate, or it never saw the document.
    """
    curated = read_curated(folder)
    for path in sorted(folder.glob(f"{ANNOTATIONS}/*.parquet")):
        if found := row_of(path, document_id):
            behind = row_of(folder / REWRITING / path.name, document_id) or {}
            return _story(curated, path.name, found | behind, _scores(folder, path.name, document_id))
    raise DataError(f"{document_id}: curate never saw a document of this id; ids are in {folder}/annotations.")


def describe(story: Story) -> str:
    """Return a story as lines of text."""
    fate = "kept" if story.kept else f"dropped by {story.filter}: {story.reason} ({story.detail})"
    lines = [f"{story.id} (source {story.source}, profile {story.profile}): {fate}; in {story.file}"]
    if story.quality is not None:
        lines.append(f"  quality {story.quality:.3f}")
    if story.weight is not None and story.weight != 1:
        lines.append(f"  weight {story.weight:g}")
    if story.edited and story.edited["kept"] != story.edited["ingested"]:
        lines.append(f"  edited: {story.edited['ingested']:,} bytes ingested, {story.edited['kept']:,} bytes kept")
    for name, score in story.scores.items():
        lines.append(f"  score {name} " + ("none" if score is None else f"{score:.6g}"))
    for check in story.checks:
        mark, limit = "ok  " if check.passed else "FAIL", check.threshold
        shown = (check.value, ", ".join(limit)) if isinstance(limit, tuple) else (f"{check.value:.4g}", f"{limit:g}")
        lines.append(f"  {mark} {check.statistic} {shown[0]} (threshold {shown[1]}, {check.reason})")
    if story.survivor not in (None, story.id) and not story.kept:
        lines.append(f"  stood for by {story.survivor}")
    lines += [f"  stands for {duplicate}" for duplicate in story.stands_for]
    return "\n".join(lines)


def _story(curated: Curated, shard: str, found: dict[str, Any], scores: dict[str, float | None]) -> Story:
    folder, profile = curated.folder, curated.in_use.name_of(found["source"], found.get("language"))
    kept, dropped = row_of(folder / KEPT / shard, found["id"]), row_of(folder / DROPPED / shard, found["id"])
    if (kept is None) == (dropped is None):
        raise DataError(
            f"{folder}: {found['id']} is not in exactly one of kept/{shard} and dropped/{shard}. Run curate again."
        )
    checks = [
        Check(rule.reason, rule.statistic, found[rule.statistic], limit, not _fails(rule, limit, found[rule.statistic]))
        for _, rule, limit in curated.profiles[profile].active
    ]
    return Story(
        id=found["id"],
        source=found["source"],
        file=f"{'kept' if kept else 'dropped'}/{shard}",
        profile=profile,
        filter=dropped["filter"] if dropped else None,
        reason=dropped["reason"] if dropped else None,
        detail=dropped["detail"] if dropped else None,
        quality=kept["quality"] if kept else None,
        weight=kept["weight"] if kept else None,
        statistics={name: value for name, value in found.items() if name not in {"id", "source"}},
        scores=scores,
        checks=tuple(checks),
        survivor=kept["duplicate_cluster"] if kept else (dropped or {}).get("survivor"),
        stands_for=tuple(stands_for(folder, found["id"])),
        edited={"ingested": found["bytes"], "kept": kept["bytes"]} if kept else {},
    )


def _scores(folder: Path, shard: str, document_id: str) -> dict[str, float | None]:
    """Return every score of a document by its column; None where the scorer gave none."""
    rows = [row_of(path / shard, document_id) or {} for path in sorted((folder / SCORES).glob("*"))]
    every = {name: float(value) for row in rows for name, value in row.items() if name not in {"id", "source"}}
    return {name: None if np.isnan(value) else value for name, value in every.items()}


def _fails(rule: Rule, limit: Threshold, value: Any) -> bool:
    return bool(fails(rule, limit, np.array([value]))[0])


def stands_for(folder: Path, document_id: str) -> list[str]:
    """Return the ids of the other documents that were dropped because this one stands for them."""
    found: list[str] = []
    for path in sorted(folder.glob(f"{DROPPED}/*.parquet")):
        others = (pc.field("survivor") == document_id) & (pc.field("id") != document_id)
        rows = pq.read_table(path, columns=["id"], filters=others)
        found += rows["id"].to_pylist()
    return sorted(found)
