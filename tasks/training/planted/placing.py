"""Who is treated, how often, and where in a run: pure functions of seed, experiment and id.

Every planted text has a sample of the run for itself, so that no context holds two of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.errors import ConfigError
from tasks.core.rng import generator, seed_of
from tasks.training.planted.params import PlantedExperiment

# Of fewer items in a group there is no spread to judge by.
_FEWEST = 2


@dataclass(frozen=True)
class Lengths:
    """The lengths of a run's samples: those up to `stops[i]` (excluded), from the stop before on, have `sizes[i]` tokens."""

    stops: tuple[int, ...]
    sizes: tuple[int, ...]

    def of(self, sample: int) -> int:
        """Return the tokens that a sample trains on."""
        return self.sizes[int(np.searchsorted(self.stops, sample, "right"))]


class Free:
    """The samples of a run in which nothing is planted yet."""

    def __init__(self) -> None:
        # Of each taken sample one behind it that may be free.
        self._next: dict[int, int] = {}

    def take(self, wanted: int, first: int, stop: int) -> int | None:
        """Take the first free sample from `wanted` on, before `stop`, or else from `first` on; None = there is none."""
        for start in (wanted, first):
            if (found := self._find(start)) < stop:
                self._next[found] = found + 1
                return found
        return None

    def _find(self, sample: int) -> int:
        passed = list[int]()
        while sample in self._next:
            passed.append(sample)
            sample = self._next[sample]
        for one in passed:
            self._next[one] = sample
        return sample


def exposures_of(experiment: PlantedExperiment, ids: Sequence[str], seed: int) -> list[int]:
    """Return how often each item is planted, 0 = control: by a hash of seed, experiment and id alone.

    Raises:
        ConfigError: a group has too few items to be judged by.
    """
    found = [_level(experiment, name, seed) for name in ids]
    counts = {level: found.count(level) for level in (0, *experiment.exposures)}
    if few := [level for level, count in counts.items() if count < _FEWEST]:
        raise ConfigError(
            f"train.planted: {experiment.name}: of {len(ids)} items the hash of seed {seed} gives {counts[few[0]]} to the "
            f"group that is planted {few[0]} times, and each group needs {_FEWEST}. Give more items, fewer levels of "
            "exposures, or another share."
        )
    return found


def places_of(
    experiment: PlantedExperiment, name: str, exposures: int, seed: int, num_samples: int, free: Free
) -> list[int] | None:
    """Return the samples in which an item is planted: one in each of equal parts of the window; None = there is no room."""
    first, stop = (int(share * num_samples) for share in experiment.window)
    drawn = generator(seed, "planted", experiment.name, name, "samples").random(exposures)
    wanted = [first + int((part + share) / exposures * (stop - first)) for part, share in enumerate(drawn.tolist())]
    found = [free.take(sample, first, stop) for sample in wanted]
    return None if None in found else [sample for sample in found if sample is not None]


def offsets_of(
    experiment: PlantedExperiment, name: str, tokens: int, samples: Sequence[int], seed: int, lengths: Lengths
) -> list[int]:
    """Return from which place of each sample's row so many tokens stand: anywhere behind its first, which is no target."""
    drawn = generator(seed, "planted", experiment.name, name, "offsets").random(len(samples)).tolist()
    return [1 + int(share * (lengths.of(sample) - tokens + 1)) for share, sample in zip(drawn, samples, strict=True)]


def _level(experiment: PlantedExperiment, name: str, seed: int) -> int:
    key = ("planted", experiment.name, name)
    if not _uniform(seed, *key, "treated") < experiment.treated_share:
        return 0
    return experiment.exposures[int(_uniform(seed, *key, "exposures") * len(experiment.exposures))]


def _uniform(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that stands for a name."""
    return float((seed_of(seed, *names) >> 75) * 2.0**-53)
