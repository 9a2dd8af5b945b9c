"""How much a domain's text gains by a model of that domain, beside how much more of the domain that model was trained on.

Specificity of a domain is BPB(general) - BPB(domain): bits per byte on its held-out text of the model of a general mixture,
less those of the model that saw most of the domain, at equal size and tokens.
"""

from collections.abc import Mapping, Sequence
from math import log2
from statistics import fmean

import numpy as np

from tasks.core.errors import ConfigError
from tasks.core.ranks import rank_correlation
from tasks.evaluation.compare import MIN_SEEDS, paired_interval, unpaired_interval
from tasks.evaluation.config import SpecificityParams
from tasks.evaluation.published import Interval, MeasuredModel
from tasks.evaluation.published_like import DomainSpecificity, Specificity
from tasks.training.published import TrainedRun

# Of fewer domains no correlation is told: of 4 in a random order one in 24 is +1 (a guess).
_FEWEST = 5


def specificity(
    params: SpecificityParams, runs: Sequence[TrainedRun], models: Sequence[MeasuredModel], confidence: float
) -> Specificity:
    """Return the specificity of every domain; `models` are those of the runs, in their order.

    Raises:
        ConfigError: the general mixture was not trained, or nothing else was.
    """
    names = sorted({run.mixture for run in runs} - {params.general})
    if not names or not any(run.mixture == params.general for run in runs):
        raise ConfigError(
            f"evaluate.specificity.general: it is {params.general}, the runs are of "
            f"{', '.join(sorted({run.mixture for run in runs}))}. Name one of them, beside which there is another."
        )
    by_mixture = {name: [model for model in models if model.mixture == name] for name in (params.general, *names)}
    domains = {}
    for domain in models[0].bpb:
        tokens = {
            name: fmean(run.consumed[domain].tokens for run in runs if run.mixture == name) for name in by_mixture
        }
        most = max(names, key=lambda name: tokens[name])
        domains[domain] = _of_domain(domain, params.general, most, by_mixture, tokens, confidence)
    return Specificity(
        general=params.general, confidence=confidence, domains=domains, spearman=_spearman(list(domains.values()))
    )


def _of_domain(
    domain: str,
    general: str,
    most: str,
    by_mixture: Mapping[str, Sequence[MeasuredModel]],
    tokens: Mapping[str, float],
    confidence: float,
) -> DomainSpecificity:
    means = {name: fmean(model.bpb[domain] for model in by_mixture[name]) for name in (general, most)}
    doublings = log2(tokens[most] / tokens[general]) if min(tokens[most], tokens[general]) > 0 else None
    found = _interval(by_mixture[general], by_mixture[most], domain, confidence)
    return DomainSpecificity(
        mixture=most,
        general_tokens=tokens[general],
        domain_tokens=tokens[most],
        general_bpb=means[general],
        domain_bpb=means[most],
        specificity=found,
        doublings=doublings,
        gain_per_doubling=found.gain / doublings if doublings is not None and doublings > 0 else None,
    )


def _interval(
    general: Sequence[MeasuredModel], own: Sequence[MeasuredModel], domain: str, confidence: float
) -> Interval:
    """Return the mean difference, over pairs of a seed where each was trained on one kind of machine; of few no interval."""
    machines = [{(model.seed, model.device, model.instruction_set) for model in each} for each in (general, own)]
    values = [
        np.array([model.bpb[domain] for model in sorted(each, key=lambda model: model.seed)]) for each in (general, own)
    ]
    if min(map(len, values)) < MIN_SEEDS:
        return Interval(gain=float(values[0].mean() - values[1].mean()))
    if machines[0] == machines[1]:
        return paired_interval(values[0] - values[1], confidence)
    return unpaired_interval(values[1], values[0], confidence)


def _spearman(domains: Sequence[DomainSpecificity]) -> float | None:
    """Return the rank correlation of specificity with doublings of the domain's tokens; None where there is none."""
    pairs = [(one.specificity.gain, one.doublings) for one in domains if one.doublings is not None]
    return None if len(pairs) < _FEWEST else rank_correlation(*zip(*pairs, strict=True))
