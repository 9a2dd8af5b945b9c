"""`mixwright why DOC_ID`: one document's whole story, from a curate folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.curate.config import CurateParams
from tasks.curate.funnel import EXACT, NEAR
from tasks.curate.rules.gopher import Rule, active_rules, fails
from tasks.curate.statistics.annotate import STATISTICS


@dataclass(frozen=True)
class Check:
    """One active rule: the value it looked at, the threshold, and whether the document passed."""

    reason: str
    statistic: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Story:
    """What curation found out about a document and what became of it.

    `filter`, `reason` and `detail` are None for a kept document; `quality` is None for a dropped one. `stands_for` are
    the documents dropped as duplicates of this very one. `file` is the shard it lies in.
    """

    id: str
    source: str
    file: str
    profile: str
    filter: str | None
    reason: str | None
    detail: str | None
    quality: float | None
    statistics: dict[str, float]
    checks: tuple[Check, ...]
    stands_for: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the document was kept."""
        return self.reason is None


def why(folder: Path, document_id: str) -> Story:
    """Return the story of a document.

    Raises:
        DataError: nothing was published there by curate, or it never saw the document.
    """
    manifest = Manifest.read(folder)
    if manifest.stage != "curate":
        raise DataError(f"{folder}: published by {manifest.stage}, not by curate. Name the folder that curate wrote.")
    params = CurateParams.model_validate(manifest.params)
    for path in sorted(folder.glob("annotations/*.parquet")):
        if found := _row(path, document_id):
            return _story(folder, path.name, found, params)
    raise DataError(f"{document_id}: curate never saw a document of this id; ids are in {folder}/annotations.")


def describe(story: Story) -> str:
    """Return a story as lines of text."""
    fate = "kept" if story.kept else f"dropped by {story.filter}: {story.reason} ({story.detail})"
    lines = [f"{story.id} (source {story.source}, profile {story.profile}): {fate}; in {story.file}"]
    if story.quality is not None:
        lines.append(f"  quality {story.quality:.3f}")
    for check in story.checks:
        mark = "ok  " if check.passed else "FAIL"
        lines.append(f"  {mark} {check.statistic} {check.value:.4g} (threshold {check.threshold:g}, {check.reason})")
    lines += [f"  stands for {duplicate}" for duplicate in story.stands_for]
    return "\n".join(lines)


def _story(folder: Path, shard: str, found: dict[str, Any], params: CurateParams) -> Story:
    profile = params.profile_name(found["source"])
    kept, dropped = _row(folder / "kept" / shard, found["id"]), _row(folder / "dropped" / shard, found["id"])
    if (kept is None) == (dropped is None):
        raise DataError(
            f"{folder}: {found['id']} is not in exactly one of kept/{shard} and dropped/{shard}. Run curate again."
        )
    checks = [
        Check(rule.reason, rule.statistic, found[rule.statistic], limit, not _fails(rule, limit, found[rule.statistic]))
        for _, rule, limit in active_rules(params.profiles[profile])
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
        statistics={name: found[name] for name in ("bytes", *STATISTICS)},
        checks=tuple(checks),
        stands_for=tuple(_stands_for(folder, found["id"])),
    )


def _fails(rule: Rule, limit: float, value: float) -> bool:
    return bool(fails(rule, limit, np.array([value]))[0])


def _row(path: Path, document_id: str) -> dict[str, Any] | None:
    names = [name for name in pq.read_schema(path).names if name != "text"]
    rows = pq.read_table(path, columns=names, filters=pc.field("id") == document_id).to_pylist()
    return rows[0] if rows else None


def _stands_for(folder: Path, document_id: str) -> list[str]:
    same, near = f"same text as {document_id}", f"near duplicate of {document_id} ("
    found: list[str] = []
    for path in sorted(folder.glob("dropped/*.parquet")):
        rows = pq.read_table(path, columns=["id", "detail"], filters=pc.field("filter").isin([EXACT, NEAR])).to_pylist()
        found += [
            row["id"] for row in rows if row["detail"] == same or row["detail"].startswith((near, f"{same}, itself"))
        ]
    return sorted(found)
