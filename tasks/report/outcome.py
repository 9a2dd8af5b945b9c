"""The evaluation: bits per byte on the test split, the comparisons, and what became of the forecast."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tasks.core.errors import DataError
from tasks.evaluation.published import Comparison, Decision, MeasuredModels
from tasks.mixture.published import BASELINES, MIXTURES, BaselineName, MixtureName
from tasks.mixture.runs import IN_WORDS

# The row below the domains: the objective of the search, a mean over domains, weighted where the search weighted it.
OVERALL = "all domains"


@dataclass(frozen=True)
class Evaluation:
    """What was decided, and bits per byte on the test split by mixture: `overall` is the objective, a mean over seeds.

    `others` are models that the decision says nothing of, as branches: means over seeds by mixture and domain, the
    objective under the name of its row.
    """

    decision: Decision
    domains: tuple[str, ...]
    overall: Mapping[MixtureName, float]
    others: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def means(self) -> dict[MixtureName, tuple[float, ...]]:
        """Means over seeds by mixture, in the order of the domains."""
        table = self.decision.per_domain
        return {mixture: tuple(table[name][mixture] for name in self.domains) for mixture in self.overall}

    @property
    def overall_name(self) -> str:
        """What the row of the objective is called."""
        return _overall_name(self.decision.per_task)

    @property
    def unit(self) -> str:
        """The unit of gains, in words."""
        return IN_WORDS[self.decision.unit]

    @property
    def comparisons(self) -> dict[BaselineName, Comparison]:
        """The comparisons by baseline, in the order of `BASELINES`."""
        return {name: self.decision.comparisons[name] for name in BASELINES if name in self.decision.comparisons}

    @property
    def paired(self) -> bool:
        """Whether the two runs of each seed were trained alike, in every comparison."""
        return all(comparison.test == "paired" for comparison in self.comparisons.values())

    @property
    def has_intervals(self) -> bool:
        """Whether any comparison could tell a difference from noise."""
        return any(comparison.ends is not None for comparison in self.comparisons.values())


def read_evaluation(evaluate: Path, domains: Sequence[str]) -> Evaluation:
    """Return what evaluation measured and decided.

    Raises:
        DataError: a file is not as evaluate writes it, or the domains are not the token pool's.
    """
    decision = Decision.read(evaluate)
    if sorted(decision.per_domain) != sorted(domains):
        raise DataError(
            f"{evaluate / Decision.FILE}: its domains are {', '.join(decision.per_domain)}, the pool has "
            f"{', '.join(domains)}."
        )
    measured = MeasuredModels.read(evaluate)
    return Evaluation(decision, tuple(domains), _overall(evaluate, decision, measured), _others(measured))


def _overall(evaluate: Path, decision: Decision, measured: MeasuredModels) -> dict[MixtureName, float]:
    """Return the objective of each mixture that was compared."""
    overall = measured.overall
    compared = {mixture for row in decision.per_domain.values() for mixture in row}
    if missing := [name for name in MIXTURES if name in compared and name not in overall]:
        raise DataError(
            f"{evaluate / MeasuredModels.FILE}: it has no model of {', '.join(missing)}. Run evaluate again."
        )
    return {name: overall[name] for name in MIXTURES if name in compared}


def _overall_name(tasks: Mapping[str, object]) -> str:
    return "the objective" if tasks else OVERALL


def _others(measured: MeasuredModels) -> dict[str, dict[str, float]]:
    """Return what models of no mixture of the decision were measured to be."""
    bits: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for model in measured.models:
        if model.mixture not in MIXTURES:
            overall = _overall_name(model.task_losses)
            bits[model.mixture].append({**model.bpb, **model.task_losses, overall: model.mean})
    return {mixture: {name: fmean(one[name] for one in seeds) for name in seeds[0]} for mixture, seeds in bits.items()}
