"""What scoring cost, by scorer: seconds of CPU for a gigabyte of text. Costs are of executions, and in no published file."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.curate import steps
from tasks.curate.gather import neighbours
from tasks.curate.scorers.kinds import Scorer
from tasks.curate.scoring import chosen_scorers, scored
from tasks.curate.statistics.shards import TextSource
from tasks.ingest.published.documents import DOCUMENTS
from tasks.ingest.published.sources import Sources
from tasks.runtime.context import Workshop
from tasks.runtime.costs import Book, attempts_at, total
from tasks.runtime.stages import stage_input


@dataclass(frozen=True)
class ScoringCost:
    """What a scorer cost when it was run, learning included; None where nobody measured it here."""

    scorer: str
    cpu_s: float | None
    cpu_s_per_gb: float | None


def scoring_costs(workshop: Workshop, scorers: Iterable[Scorer], base: Path) -> list[ScoringCost]:
    """Return the cost of every scorer over the documents of `base`; what was scored before is not scored again."""
    ingested = stage_input(workshop, {"ingest": base}, "ingest")
    size = sum(count.bytes for count in ingested.read(Sources).sources.values())
    texts = [one.texts for one in steps.gathered(workshop, list(neighbours(ingested.tree(f"{DOCUMENTS}/"))))]
    return [_cost(workshop, one, texts, size) for one in scorers]


def _cost(workshop: Workshop, scorer: Scorer, texts: list[TextSource], size: int) -> ScoringCost:
    # A book of its own, so that the units of this scorer are told from those of others.
    own = replace(workshop, book=Book())
    scored(own, chosen_scorers([scorer]), texts)
    attempts = [attempts_at(own.store, step, key) for step, keys in own.book.used.items() for key in keys]
    if not attempts or not all(attempts):
        return ScoringCost(scorer.name, None, None)
    seconds = total(one for found in attempts for one in found).cpu_s
    return ScoringCost(scorer.name, seconds, seconds / (size / 1e9))
