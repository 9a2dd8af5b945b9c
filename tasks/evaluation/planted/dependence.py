"""Whether an experiment shows the same alone as among others: two sets of runs, in which the hash treats the same items.

With runs that go on from one checkpoint this is continual pretraining dependence testing (arXiv 2509.23383).
"""

from collections.abc import Sequence

import numpy as np

from tasks.core.errors import ConfigError
from tasks.core.words import percent
from tasks.evaluation.families import holm
from tasks.evaluation.planted.effects import Estimate, Floats, Integers, effects
from tasks.evaluation.planted.published import Changed, Dependence, PlantedEffects, PlantedMixture


def dependence(together: PlantedEffects, alone: Sequence[PlantedEffects]) -> Dependence:
    """Return what the others change about the effect of each experiment that was also planted alone.

    Raises:
        ConfigError: runs alone have no mixture, seed or experiment in common with those of all, or treat other items.
    """
    found = [one for other in alone for one in _of_runs(together, other)]
    adjusted = holm(np.array([estimate.p for _, _, estimate in found])).tolist()
    confidence, power = together.confidence, together.power
    changes = []
    for (mixture, name, estimate), p in zip(found, adjusted, strict=True):
        lower, upper = estimate.interval(confidence)
        changes.append(
            Changed(
                mixture=mixture,
                experiment=name,
                change=estimate.value,
                lower=lower,
                upper=upper,
                adjusted_p=p,
                detectable=estimate.detectable(confidence, power),
            )
        )
    return Dependence(
        confidence=confidence,
        power=power,
        experiments=tuple(changes),
        statement=_statement(changes, confidence),
    )


def _of_runs(together: PlantedEffects, alone: PlantedEffects) -> list[tuple[str, str, Estimate]]:
    all_of = {mixture.mixture: mixture for mixture in together.mixtures}
    found = [
        (own.mixture, one.experiment, _change(all_of[own.mixture], own, one.experiment))
        for own in alone.mixtures
        if own.mixture in all_of
        for one in own.experiments
    ]
    if not found:
        raise ConfigError(
            f"the runs alone are of {', '.join(own.mixture for own in alone.mixtures)}, those of all experiments of "
            f"{', '.join(all_of)}. Train both on one mixture."
        )
    return found


def _change(together: PlantedMixture, alone: PlantedMixture, name: str) -> Estimate:
    seeds = [seed for seed in together.seeds if seed in alone.seeds]
    (bits_SI, exposures_SI), (alone_SI, exposures_alone_SI) = (_of(one, name, seeds) for one in (together, alone))
    if not seeds or bits_SI.shape != alone_SI.shape or (exposures_SI != exposures_alone_SI).any() or not bits_SI.size:
        raise ConfigError(
            f"{name}: the runs alone (seeds {', '.join(map(str, alone.seeds))}) and those of all experiments (seeds "
            f"{', '.join(map(str, together.seeds))}) do not treat the same items. Give both the same file, exposures, share "
            "and seeds."
        )
    return effects(alone_SI - bits_SI, exposures_SI[None])[0]


def _of(mixture: PlantedMixture, name: str, seeds: Sequence[int]) -> tuple[Floats, Integers]:
    """Return bits per byte and exposures of an experiment's items in some seeds, [S, I] each."""
    items = [item for item in mixture.items if name in item.exposures]
    places = [mixture.seeds.index(seed) for seed in seeds]
    bits_SI = np.array([[item.bits_per_byte[place] for item in items] for place in places])
    return bits_SI, np.array([[item.exposures[name][place] for item in items] for place in places], dtype=np.int64)


def _statement(changes: Sequence[Changed], confidence: float) -> str:
    largest = max(changes, key=lambda one: abs(one.change))
    told = (
        f"the largest change of an effect by the others is {largest.change:+.4f} bits per byte, of {largest.experiment} "
        f"({percent(confidence)} {largest.lower:+.4f} to {largest.upper:+.4f})"
    )
    if loud := [one.experiment for one in changes if one.adjusted_p <= 1 - confidence]:
        return f"{told}: the others change {', '.join(loud)}"
    return f"{told}: no dependence shown; {max(one.detectable for one in changes):.4f} would have been seen"
