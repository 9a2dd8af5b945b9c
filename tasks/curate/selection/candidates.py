"""A unit: what selection looks at of the documents of a shard that pass all else."""

from dataclasses import dataclass

import numpy as np

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table
from tasks.curate.judge import Evidence, Judges, judge
from tasks.curate.selection.apply import candidates_of, scores_of, statistics_as_scores
from tasks.curate.selection.documents import write_candidates
from tasks.curate.verdicts import hits_of, verdicts_of

CANDIDATES_FILE = "candidates.parquet"


@dataclass(frozen=True)
class CandidateArgs:
    """A shard of documents, all that was found out about it, the tables of the scorers, and statistics taken as scores."""

    documents: Handle
    evidence: Evidence
    contamination: Handle | None
    duplicates: Handle | None
    judges: Judges
    scores: tuple[Handle, ...]
    statistics: tuple[str, ...] = ()


def candidates_of_shard(args: CandidateArgs, here: Here) -> UnitResult:
    """Write what selection looks at of the documents that pass all else."""
    judged = judge(args.evidence, args.judges)
    duplicates = read_table(args.duplicates.local()) if args.duplicates else None
    verdicts = verdicts_of(judged, hits_of(args.contamination), duplicates, args.judges)
    scores = scores_of(args.scores) | statistics_as_scores(judged, args.statistics)
    found = candidates_of(judged, read_table(args.documents.local(), ("lang",)), scores)
    passing = found.take(np.flatnonzero([verdict is None for verdict in verdicts]))
    write_candidates(passing, here.folder / CANDIDATES_FILE)
    return UnitResult(summary={"documents": len(passing.id_N)})
