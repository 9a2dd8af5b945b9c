"""How often a stage of its own may repeat a domain: a cap for its samples alone, beside that of the whole run."""

from collections.abc import Callable, Iterator, Sequence

from tasks.training.config import ModelConfig
from tasks.training.rows import DomainRows
from tasks.training.sample_counts import phase_counts
from tasks.training.segments import Layout
from tasks.training.types import Phase


def over_caps(
    phases: Sequence[Phase],
    caps: Sequence[float | None],
    names: Sequence[str],
    model: ModelConfig,
    rows: Callable[[Layout], tuple[DomainRows, ...]],
) -> Iterator[str]:
    """Yield which stage repeats a domain's documents there more often than its cap allows; None = it has no cap."""
    for number, (phase, most) in enumerate(zip(phases, caps, strict=True)):
        if most is None:
            continue
        layout = phase.layout(model)
        counts, there = phase_counts(phase, number, names, layout.length), [each.distinct for each in rows(layout)]
        over = [domain for domain, count in enumerate(counts) if count > most * there[domain]]
        if over:
            first = over[0]
            yield (
                f"stages.{number}: {len(over)} of {len(names)} domains would be repeated more than {most:g} times within "
                f"the stage; first: {names[first]}, {counts[first]:,} samples asked of {there[first]:,} there are. Lower "
                "its weight, give the stage fewer tokens or more documents, or raise its max_epochs."
            )
