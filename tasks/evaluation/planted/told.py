"""From the probes of a mixture's runs to what is published of their experiments.

Axes: E experiments, S seeds, I items in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.words import percent
from tasks.evaluation.families import holm
from tasks.evaluation.planted.effects import (
    NOT_AN_ITEM,
    Estimate,
    Floats,
    Integers,
    effects,
    interactions,
    level_effects,
)
from tasks.evaluation.planted.params import PlantedParams
from tasks.evaluation.planted.probes import probes_of
from tasks.evaluation.planted.published import (
    ExperimentEffect,
    Interaction,
    InteractionTest,
    LevelEffect,
    OverSeeds,
    PlantedMixture,
    ProbedItem,
)
from tasks.training.planted.published import PlantedPlan


@dataclass(frozen=True)
class Probed:
    """A run: its seed, what was planted into it, and bits per byte of each item's probe, in the order of the ids."""

    seed: int
    plan: PlantedPlan
    bits_I: Floats


def told_mixture(mixture: str, runs: Sequence[Probed], confidence: float, params: PlantedParams) -> PlantedMixture:
    """Return what the experiments show in the runs of one mixture, one of each seed.

    Raises:
        EvidenceError: a group has too few units, or two treatments always went together.
    """
    names = [part.name for part in runs[0].plan.experiments]
    bits_SI = np.stack([run.bits_I for run in runs])
    exposures_ESI = np.stack([exposures_of(run.plan) for run in runs], axis=1)
    # More is better.
    found = effects(-bits_SI, exposures_ESI)
    adjusted = holm(np.array([one.p for one in found])).tolist()
    experiments = [
        _experiment(names, number, bits_SI, exposures_ESI, estimate, p, confidence, params.power)
        for number, (estimate, p) in enumerate(zip(found, adjusted, strict=True))
    ]
    ids = list(probes_of(runs[0].plan))
    items = [
        ProbedItem(
            id=name,
            bits_per_byte=tuple(bits_SI[:, place].tolist()),
            exposures={
                names[number]: tuple(own_SI[:, place].tolist())
                for number, own_SI in enumerate(exposures_ESI)
                if own_SI[0, place] != NOT_AN_ITEM
            },
        )
        for place, name in enumerate(ids)
    ]
    return PlantedMixture(
        mixture=mixture,
        seeds=tuple(run.seed for run in runs),
        experiments=tuple(experiments),
        interactions=_interactions(names, bits_SI, exposures_ESI, confidence, params.power),
        items=tuple(items),
    )


def exposures_of(plan: PlantedPlan) -> Integers:
    """Return how often each experiment planted each item of the plan, -1 = it is none of the experiment's, [E, I]."""
    places = {name: place for place, name in enumerate(probes_of(plan))}
    found_EI = np.full((len(plan.experiments), len(places)), NOT_AN_ITEM, dtype=np.int64)
    for number, part in enumerate(plan.experiments):
        for item in part.items:
            found_EI[number, places[item.id]] = item.exposures
    return found_EI


def _experiment(
    names: Sequence[str],
    number: int,
    bits_SI: Floats,
    exposures_ESI: Integers,
    estimate: Estimate,
    p: float,
    confidence: float,
    power: float,
) -> ExperimentEffect:
    own_SI = exposures_ESI[number]
    levels = []
    for exposures, level in level_effects(-bits_SI, exposures_ESI, number).items():
        lower, upper = level.interval(confidence)
        chosen = own_SI == exposures
        levels.append(
            LevelEffect(
                exposures=exposures,
                units=int(chosen.sum()),
                bits_per_byte=float(bits_SI[chosen].mean()),
                gain=level.value,
                lower=lower,
                upper=upper,
            )
        )
    lower, upper = estimate.interval(confidence)
    detectable, found = estimate.detectable(confidence, power), p <= 1 - confidence
    times = "time" if own_SI.max() == 1 else "times"
    told = (
        f"{names[number]}, planted {own_SI.max()} {times}: a gain of {estimate.value:+.4f} bits per byte "
        f"({percent(confidence)} {lower:+.4f} to {upper:+.4f} over items)"
    )
    return ExperimentEffect(
        experiment=names[number],
        control_units=int((own_SI == 0).sum()),
        control_bits_per_byte=float(bits_SI[own_SI == 0].mean()),
        levels=tuple(levels),
        gain=estimate.value,
        lower=lower,
        upper=upper,
        adjusted_p=p,
        detectable=detectable,
        found=found,
        over_seeds=_over_seeds(-bits_SI, exposures_ESI, number, confidence),
        statement=told if found else f"{told}: no effect shown; {detectable:.4f} would have been found",
    )


def _over_seeds(outcomes_SI: Floats, exposures_ESI: Integers, number: int, confidence: float) -> OverSeeds | None:
    if (seeds := len(outcomes_SI)) == 1:
        return None
    one = [effects(outcomes_SI[[seed]], exposures_ESI[:, [seed]])[number].value for seed in range(seeds)]
    mean = Estimate(float(np.mean(one)), float(np.std(one, ddof=1) / seeds**0.5), seeds - 1)
    lower, upper = mean.interval(confidence)
    return OverSeeds(gains=tuple(one), mean=mean.value, lower=lower, upper=upper)


def _interactions(
    names: Sequence[str], bits_SI: Floats, exposures_ESI: Integers, confidence: float, power: float
) -> InteractionTest | None:
    if (found := interactions(-bits_SI, exposures_ESI)) is None:
        return None
    pairs = []
    for (one, other), estimate in zip(found.pairs, found.estimates, strict=True):
        lower, upper = estimate.interval(confidence)
        pairs.append(
            Interaction(
                experiments=(names[one], names[other]),
                change=estimate.value,
                lower=lower,
                upper=upper,
                detectable=estimate.detectable(confidence, power),
            )
        )
    least = max(pair.detectable for pair in pairs)
    count = "1 pair of experiments" if len(pairs) == 1 else f"{len(pairs)} pairs of experiments"
    quiet = None if found.p is None else found.p > 1 - confidence
    if found.p is None:
        statement = f"{count}: the items have no spread, so there is no test of interactions"
    elif quiet:
        statement = (
            f"no interaction shown between {count} (p {found.p:.3f}); a change of {least:.4f} bits per byte would have been "
            "seen"
        )
    else:
        statement = (
            f"{count}: they change each other's effects (p {found.p:.4f}); read each effect as that beside the others"
        )
    return InteractionTest(pairs=tuple(pairs), p=found.p, quiet=quiet, statement=statement)
