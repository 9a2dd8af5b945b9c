"""Effects of planted texts by least squares: a hash has assigned them, so that treated and control differ by chance alone.

A unit is an item in one seed. Compared are units of one seed whose items are of the same experiments; with several seeds,
which assign anew, also each item with itself. The variance is that of MacKinnon and White (1985, HC2), which for two
groups is Neyman's and Welch's: a treatment may change the spread too. Student's t has one degree of freedom less than the
smallest group that is compared: fewer than Welch's, so that few units do not look like many.

Axes: R outcomes, E experiments, K columns, S seeds, I items, N units = S x I.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import f as fisher
from scipy.stats import t as student

from tasks.core.errors import EvidenceError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NOT_AN_ITEM = -1
# Of fewer units in a cell nothing is said of its spread.
FEWEST = 2
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Fit:
    """What each column adds to an outcome, [R, K], the covariance of that, [R, K, K], and the degrees of freedom left."""

    values: Floats
    covariance: Floats
    freedom: int


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, and the degrees of freedom of its t."""

    value: float
    error: float
    freedom: int

    @property
    def p(self) -> float:
        """The two-sided p-value of 0; without any spread it is 0, or 1 where the number is 0."""
        if not self.error > 0:
            return float(self.value == 0)
        return float(2 * student.sf(abs(self.value) / self.error, self.freedom))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval of Student's t.

        Raises:
            EvidenceError: no degree of freedom is left.
        """
        if self.freedom < 1:
            raise EvidenceError(
                "as many treatments and groups are fitted as there are planted items, so that nothing is left to tell the "
                "spread by. Give more items or seeds."
            )
        reach = float(student.ppf(0.5 + confidence / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    def detectable(self, confidence: float, power: float) -> float:
        """Return the smallest true number that is found with this power, where the spread stays what it is."""
        return float(student.ppf(0.5 + confidence / 2, self.freedom) + student.ppf(power, self.freedom)) * self.error


def fitted(outcomes_RSI: Floats, columns_KSI: Floats, groups_I: Integers) -> Fit:
    """Return the least-squares fit of outcomes by columns, within seeds, groups of items and, of several seeds, items.

    Raises:
        EvidenceError: a column cannot be told from the others, or from no treatment.
    """
    number, seeds, items = len(columns_KSI), *outcomes_RSI.shape[1:]
    y_RN = _within(outcomes_RSI, groups_I).reshape(len(outcomes_RSI), seeds * items)
    x_KN = _within(columns_KSI, groups_I).reshape(number, seeds * items)
    squares_KK = x_KN @ x_KN.T
    if np.linalg.matrix_rank(squares_KK, hermitian=True) < number:
        raise EvidenceError(
            f"{number} treatments of {seeds} x {items} items cannot be told apart: some of them always went together. Give "
            "more items or seeds."
        )
    inverse_KK = np.linalg.inv(squares_KK)
    sizes_I = np.bincount(groups_I)[groups_I]
    own_I = 1 / sizes_I + (0 if seeds == 1 else 1 / seeds - 1 / (seeds * sizes_I))
    leverage_N = np.tile(own_I, seeds) + (x_KN * (inverse_KK @ x_KN)).sum(axis=0)
    rounding_R1 = _ROUNDING * np.abs(outcomes_RSI).max(axis=(1, 2))[:, None]
    values_RK = _without(y_RN @ x_KN.T @ inverse_KK, rounding_R1)
    left_N = 1 - leverage_N
    # A unit that is fitted wholly leaves nothing, and says nothing of the spread.
    scale_N = np.where(left_N > _ROUNDING, 1 / np.where(left_N > _ROUNDING, left_N, 1.0), 0.0)
    squares_RN = _without(y_RN - values_RK @ x_KN, rounding_R1) ** 2 * scale_N
    whole_KN = inverse_KK @ x_KN
    products_QN = (whole_KN[:, None] * whole_KN[None]).reshape(number * number, -1)
    covariance_RKK = (squares_RN @ products_QN.T).reshape(-1, number, number)
    groups = np.unique(groups_I).size
    used = groups * seeds + (0 if seeds == 1 else items - groups)
    return Fit(values_RK, covariance_RKK, seeds * items - used - number)


def _without(values: Floats, rounding: Floats) -> Floats:
    """Return values with 0 for those that are no more than rounding: of outcomes that are all the same, say."""
    return np.where(np.abs(values) <= rounding, 0.0, values)


def doses(exposures_ESI: Integers) -> Floats:
    """Return how much each item had of each experiment: log2(1 + exposures), of the most of them; 0 where it is no item.

    >>> doses(np.array([[[0, 1, 3, -1]]])).tolist()
    [[[0.0, 0.5, 1.0, 0.0]]]
    """
    logs_ESI = np.log2(1 + np.maximum(exposures_ESI, 0))
    most_E: Floats = logs_ESI.max(axis=(1, 2), keepdims=True)
    return np.asarray(logs_ESI / most_E)


def groups_of(exposures_ESI: Integers) -> Integers:
    """Return a number for each item that is the same for items of the same experiments, [I]."""
    there_IE = (exposures_ESI[:, 0] != NOT_AN_ITEM).T
    return np.unique(there_IE, axis=0, return_inverse=True)[1].reshape(-1)


def effects(outcomes_SI: Floats, exposures_ESI: Integers) -> list[Estimate]:
    """Return what each experiment's most exposures add to the outcome, where the effect grows with log2(1 + exposures).

    Raises:
        EvidenceError: an outcome is no finite number, a group has too few units, or treatments always went together.
    """
    _require(outcomes_SI, exposures_ESI)
    fit = fitted(outcomes_SI[None], doses(exposures_ESI), groups_of(exposures_ESI))
    return [_estimate(fit, own, _least(own_SI)) for own, own_SI in enumerate(exposures_ESI)]


def level_effects(outcomes_SI: Floats, exposures_ESI: Integers, experiment: int) -> dict[int, Estimate]:
    """Return what each number of exposures of an experiment adds to the outcome, against none of it."""
    own_SI = exposures_ESI[experiment]
    levels = np.unique(own_SI[own_SI > 0]).tolist()
    others_KSI = np.delete(doses(exposures_ESI), experiment, axis=0)
    columns_KSI = np.concatenate([np.stack([own_SI == level for level in levels]).astype(np.float64), others_KSI])
    fit = fitted(outcomes_SI[None], columns_KSI, groups_of(exposures_ESI))
    sizes = {level: int(min((own_SI == level).sum(), (own_SI == 0).sum())) for level in levels}
    return {level: _estimate(fit, number, sizes[level]) for number, level in enumerate(levels)}


@dataclass(frozen=True)
class Interactions:
    """What the most exposures of one experiment change about the effect of another's, by their places; and the joint test.

    `p` is the F test of no interaction at all; None where the items have no spread to tell it by.
    """

    pairs: tuple[tuple[int, int], ...]
    estimates: tuple[Estimate, ...]
    p: float | None


def crossed(exposures_ESI: Integers) -> list[tuple[int, int]]:
    """Return the pairs of experiments that have items of both, treated by neither, one and both."""
    pairs = combinations(range(len(exposures_ESI)), 2)
    return [pair for pair in pairs if _least_cell(exposures_ESI, *pair) >= FEWEST]


def interactions(outcomes_SI: Floats, exposures_ESI: Integers) -> Interactions | None:
    """Return how the experiments change each other's effects; None where no two have items in common, or too few.

    Raises:
        EvidenceError: see `effects`.
    """
    _require(outcomes_SI, exposures_ESI)
    if not (pairs := crossed(exposures_ESI)):
        return None
    values, covariance, freedoms = interaction_terms(outcomes_SI[None], exposures_ESI, pairs)
    if min(freedoms) < 1:
        return None
    varied = np.linalg.matrix_rank(covariance[0], hermitian=True) == len(pairs)
    p = float(joint_p(values, covariance, min(freedoms))[0]) if varied else None
    errors = np.sqrt(np.diagonal(covariance[0])).tolist()
    found = zip(values[0].tolist(), errors, freedoms, strict=True)
    return Interactions(tuple(pairs), tuple(Estimate(*one) for one in found), p)


def interaction_terms(
    outcomes_RSI: Floats, exposures_ESI: Integers, pairs: Sequence[tuple[int, int]]
) -> tuple[Floats, Floats, list[int]]:
    """Return the terms of pairs of experiments, [R, P], their covariance, [R, P, P], and degrees of freedom, [P]."""
    doses_ESI = doses(exposures_ESI)
    products_PSI = np.stack([doses_ESI[one] * doses_ESI[other] for one, other in pairs])
    fit = fitted(outcomes_RSI, np.concatenate([doses_ESI, products_PSI]), groups_of(exposures_ESI))
    own = slice(len(doses_ESI), None)
    freedoms = [min(fit.freedom, _least_cell(exposures_ESI, *pair) - 1) for pair in pairs]
    return fit.values[:, own], fit.covariance[:, own, own], freedoms


def joint_p(values_RP: Floats, covariance_RPP: Floats, freedom: int) -> Floats:
    """Return the p-value that all of some numbers are 0, by Fisher's F, [R]."""
    number = values_RP.shape[1]
    solved_RP = np.linalg.solve(covariance_RPP, values_RP[:, :, None])[:, :, 0]
    return np.asarray(fisher.sf((values_RP * solved_RP).sum(axis=1) / number, number, freedom))


def _within(values_XSI: Floats, groups_I: Integers) -> Floats:
    """Return values without the mean of each seed and group, and, of several seeds, that of each item."""
    found_XSI = np.array(values_XSI, dtype=np.float64)
    for group in np.unique(groups_I):
        some = groups_I == group
        own = found_XSI[..., some]
        own -= own.mean(axis=-1, keepdims=True)
        if own.shape[-2] > 1:
            own -= own.mean(axis=-2, keepdims=True)
        found_XSI[..., some] = own
    return found_XSI


def _estimate(fit: Fit, column: int, least: int) -> Estimate:
    error = float(np.sqrt(fit.covariance[0, column, column]))
    return Estimate(float(fit.values[0, column]), error, min(fit.freedom, least - 1))


def _least(own_SI: Integers) -> int:
    return int(min((own_SI > 0).sum(), (own_SI == 0).sum()))


def _least_cell(exposures_ESI: Integers, one: int, other: int) -> int:
    """Return the units of the smallest of four cells: treated or not by each of two experiments, of the items of both."""
    both_SI = (exposures_ESI[one] != NOT_AN_ITEM) & (exposures_ESI[other] != NOT_AN_ITEM)
    cells = 2 * (exposures_ESI[one][both_SI] > 0) + (exposures_ESI[other][both_SI] > 0)
    return int(np.bincount(cells, minlength=4).min())


def _require(outcomes_SI: Floats, exposures_ESI: Integers) -> None:
    if lost := int((~np.isfinite(outcomes_SI)).sum()):
        raise EvidenceError(f"{lost} of {outcomes_SI.size} outcomes are no finite numbers. Measure those again.")
    for number, own_SI in enumerate(exposures_ESI):
        if (least := _least(own_SI)) < FEWEST:
            raise EvidenceError(
                f"experiment {number}: its smallest group has {least} units, and {FEWEST} are needed. Give more items."
            )
