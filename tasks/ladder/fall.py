"""What a ladder says of how losses fall from one size to another: in place of the law that short runs have everywhere."""

from pathlib import Path

from scipy.stats import norm

from tasks.core.errors import EvidenceError
from tasks.ladder.forecast import MEAN, At, forecast, read_runs
from tasks.laws.over_training import OverTraining
from tasks.mixture.third_size import Fall
from tasks.mixture.transfer import Size

_CONFIDENCE = 0.8
# A law that falls by less, relative to the loss, is flat: its runs tell no fall.
_LEAST = 1e-3


def ladder_fall(path: Path, first: Size, second: Size, target: Size) -> Fall:
    """Return how losses fall from the second size to the target, as the law of a ladder's runs has it for their mean.

    Its doubt is that of the ladder's own forecast for the target.

    Raises:
        DataError: the table cannot be read.
        EvidenceError: its runs cannot identify the law, or the law does not fall from the first size to the second.
    """
    sizes = (first, second, target)
    at = [At(float(size.model_parameters), float(size.tokens)) for size in sizes]
    told = forecast(read_runs(path), OverTraining(), at, _CONFIDENCE)
    one, other, last = (each for each in told.forecasts if each.set == MEAN)
    step = one.prediction - other.prediction
    if not step > _LEAST * one.prediction:
        raise EvidenceError(
            f"{path}: its law has {one.prediction:.4f} at {first} and {other.prediction:.4f} at {second}, so it says "
            "nothing of how losses fall. Run a ladder around these sizes."
        )
    sd = (last.upper - last.lower) / 2 / float(norm.ppf(0.5 + _CONFIDENCE / 2))
    return Fall((other.prediction - last.prediction) / step, sd / step)
