"""Mixture reuse (olmix, arXiv 2602.12237): when domains change, only they and what is coupled with them is searched anew.

The other domains keep their relative shares and become one virtual domain. What that loses is bounded by how strongly a
changed domain is coupled with a frozen one, so that coupling is read off a fitted predictor, not guessed: two domains
are coupled when they move the same held-out sets (each can stand in for the other), or when their joint effect is far
from the sum of their effects.

Axes: M mixtures, D domains of the problem, B domains of the reduced problem, S held-out sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.mixture.problem import Constraint, Problem, SearchedDomain
from tasks.mixture.published_candidates import Coupling
from tasks.mixture.runs import RunTable
from tasks.mixture.strategies.evidence import Predicts

Array = npt.NDArray[np.float64]

FROZEN = "frozen"
# From here on domains count as coupled. On laws fitted to RegMix's training rows (17 domains, one of them taken as new)
# freezing all others lost .006 nats of the .04 to gain, freezing from .5 on .005, from .25 on .004 with 4 dimensions.
THRESHOLD = 0.25
# A domain's share is raised by so much to see what it does: sqrt(w) is too steep at 0 for a derivative there.
STEP = 0.1
_EXACT = 1e-9


class Outputs(Protocol):
    """What interactions are read off: the loss of every held-out set, shape [M, S]."""

    def outputs(self, weights_MD: Array, /) -> Array:
        """Return the predicted losses."""
        ...


@dataclass(frozen=True)
class Basis:
    """The domains of a reduced problem, each a fixed mixture of the problem's: rows of `mixtures_BD` sum to 1."""

    domains: tuple[str, ...]
    mixtures_BD: Array

    def expand(self, weights_MB: Array) -> Array:
        """Return the weights of all domains, shape [M, D]."""
        return np.asarray(weights_MB @ self.mixtures_BD)

    def reduce(self, weights_MD: Array) -> Array:
        """Return the weights in this basis, shape [M, B]; exact for mixtures that `holds`."""
        return np.asarray(weights_MD @ (self.mixtures_BD > 0).T.astype(np.float64))

    def holds(self, weights_MD: Array) -> npt.NDArray[np.bool_]:
        """Return for each mixture whether it keeps the frozen relative shares, shape [M]."""
        return np.asarray(np.abs(self.expand(self.reduce(weights_MD)) - weights_MD).max(axis=1) <= _EXACT)

    def runs(self, runs: RunTable) -> RunTable:
        """Return the runs that keep the frozen shares, with their weights in this basis."""
        weights_RD = runs.weights_RD()
        pairs = zip(runs.rows, self.reduce(weights_RD).tolist(), self.holds(weights_RD), strict=True)
        rows = tuple(replace(row, weights=tuple(weights)) for row, weights, held in pairs if held)
        return replace(runs, domains=self.domains, rows=rows)


@dataclass(frozen=True)
class Restricted:
    """A predictor of all domains, asked in the weights of a basis: strategies work on a reduced problem unchanged."""

    whole: Predicts
    basis: Basis

    @property
    def name(self) -> str:
        """The name of the whole predictor."""
        return self.whole.name

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture."""
        return self.whole.noise_sd

    def outputs(self, weights_MB: Array) -> Array:
        """Return the predicted loss of every held-out set, shape [M, S]."""
        return self.whole.outputs(self.basis.expand(weights_MB))

    def mean(self, weights_MB: Array) -> Array:
        """Return the predicted objective, shape [M]."""
        return self.whole.mean(self.basis.expand(weights_MB))

    def sd(self, weights_MB: Array) -> Array:
        """Return the standard deviation of the objective without noise, shape [M]."""
        return self.whole.sd(self.basis.expand(weights_MB))

    def gain(self, weights_MB: Array, reference_B: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of objective(reference) - objective(mixture), shapes [M]."""
        return self.whole.gain(self.basis.expand(weights_MB), self.basis.expand(reference_B[None])[0])

    def kriging_believer(self, weights_PB: Array) -> "Restricted":
        """Return the predictor as if these mixtures had been measured and had given just what it predicts."""
        return replace(self, whole=self.whole.kriging_believer(self.basis.expand(weights_PB)))


@dataclass(frozen=True)
class Reuse:
    """A smaller problem in the place of the whole one, how its weights become those of all domains, and why it is so."""

    problem: Problem
    basis: Basis
    couplings: tuple[Coupling, ...]


def interactions(predictor: Outputs, problem: Problem, step: float = STEP) -> Array:
    """Return how much a domain's share helps each held-out set: loss saved per unit of share, shape [S, D].

    The share grows by `step` from the natural mixture, and all others shrink in proportion. Domains that are not
    trained on have zeros.
    """
    natural_D = problem.natural
    saved_DS = predictor.outputs(natural_D[None]) - predictor.outputs(_raised(natural_D, step))
    trainable_D = np.array([domain.trainable for domain in problem.domains])
    return np.asarray(np.where(trainable_D[:, None], saved_DS / step, 0.0).T)


def couplings(
    predictor: Outputs, problem: Problem, changed: Sequence[str], threshold: float, step: float = STEP
) -> tuple[Coupling, ...]:
    """Return, for every domain that did not change, the changed one it is coupled with most, and whether that counts.

    It counts from `threshold` on, of the similarity or of the joint effect.

    Raises:
        ConfigError: a changed domain does not exist, or is not trained on.
    """
    places = _places(problem, changed)
    help_SD = interactions(predictor, problem, step)
    share_S = np.sqrt(problem.objective_S)[:, None]
    similar_DD = _cosines(share_S * help_SD)
    joint_DC = _joint(predictor, problem, help_SD, places, step)
    found = []
    for place, domain in enumerate(problem.domains):
        if domain.name in changed or not domain.trainable:
            continue
        scores_C = np.maximum(similar_DD[place, places], joint_DC[place])
        which = int(np.argmax(scores_C))
        similarity, joint = float(similar_DD[place, places[which]]), float(joint_DC[place, which])
        counts = bool(scores_C[which] >= threshold)
        found.append(
            Coupling(
                domain=domain.name,
                changed=problem.names[places[which]],
                similarity=similarity,
                joint=joint,
                coupled=counts,
            )
        )
    return tuple(found)


def reuse(
    predictor: Outputs, problem: Problem, shares_D: Array, changed: Sequence[str], found: Sequence[Coupling]
) -> Reuse:
    """Return the problem over the changed and coupled domains, and one more that holds the rest.

    The rest keeps the relative `shares_D` (those of the mixture found before); its cap is the smallest cap of a member
    over that member's share, so that no member is repeated too often. A rest without weight stays without. The reduced
    problem has a natural mixture of its own: constraints are moved by what the predictor says it loses to the whole one's.

    Raises:
        ConfigError: a changed domain does not exist, or what is left has too little text for the run.
    """
    places = _places(problem, changed)
    free = {*places, *(problem.names.index(coupling.domain) for coupling in found if coupling.coupled)}
    frozen_D = np.where([place in free or not d.trainable for place, d in enumerate(problem.domains)], 0.0, shares_D)
    order = sorted(free)
    names, rows_BD = tuple(problem.names[place] for place in order), np.eye(len(frozen_D))[order]
    basis, domains = Basis(names, rows_BD), tuple(problem.domains[place] for place in order)
    if frozen_D.sum() > 0:
        frozen_D = frozen_D / frozen_D.sum()
        basis, domains = (
            Basis((FROZEN, *names), np.vstack([frozen_D, rows_BD])),
            (_virtual(problem, frozen_D), *domains),
        )
    try:
        reduced = replace(problem, domains=domains, sets=problem.set_names)
    except ConfigError as error:
        raise ConfigError(
            f"the {int((frozen_D > 0).sum())} domains that would keep their relative shares leave too little room: "
            f"{error} Or search all domains: leave search.changed_domains out."
        ) from error
    return Reuse(replace(reduced, constraints=_moved(predictor, problem, reduced, basis)), basis, tuple(found))


def _raised(weights_D: Array, step: float) -> Array:
    """Return one mixture per domain in which it has `step` more and all others less in proportion, shape [D, D]."""
    return (1 - step) * weights_D + step * np.eye(len(weights_D))


def _joint(predictor: Outputs, problem: Problem, help_SD: Array, places: Sequence[int], step: float) -> Array:
    """Return what two domains do together beyond the sum of each, over the geometric mean of what each does, [D, C].

    Effects are absolute, per held-out set, and count by its share of the objective.
    """
    natural_D, share_S = problem.natural, problem.objective_S
    base_S = predictor.outputs(natural_D[None])[0]
    directions_DD = np.eye(len(natural_D)) - natural_D
    single_DS = step * help_SD.T
    joint_DC = np.zeros((len(natural_D), len(places)))
    for column, place in enumerate(places):
        both_DD = natural_D + step * (directions_DD + directions_DD[place])
        both_DS = base_S - predictor.outputs(both_DD)
        beyond_D = np.abs(both_DS - single_DS - single_DS[place]) @ share_S
        alone_D = np.abs(single_DS) @ share_S
        scale_D = np.sqrt(alone_D * alone_D[place])
        joint_DC[:, column] = np.where(scale_D > 0, beyond_D / np.where(scale_D > 0, scale_D, 1.0), 0.0)
    return joint_DC


def _cosines(profile_SD: Array) -> Array:
    """Return the cosine of every pair of columns, shape [D, D]; 0 where a domain does nothing."""
    norm_D = np.linalg.norm(profile_SD, axis=0)
    unit_SD = np.where(norm_D > 0, profile_SD / np.where(norm_D > 0, norm_D, 1.0), 0.0)
    return np.asarray(unit_SD.T @ unit_SD)


def _virtual(problem: Problem, frozen_D: Array) -> SearchedDomain:
    """Return the frozen domains as one, as large as its scarcest member lets it be.

    A run of `samples` repeats member j at most `max_epochs` times while weight x share_j x samples stays below
    max_epochs x rows_j.
    """
    members = [(domain, share) for domain, share in zip(problem.domains, frozen_D.tolist(), strict=True) if share > 0]

    def rows(of: Sequence[int]) -> int:
        most = min(np.floor(problem.max_epochs * count) / share for count, (_, share) in zip(of, members, strict=True))
        return int(np.floor(most / problem.max_epochs + _EXACT))

    return SearchedDomain(
        FROZEN,
        tokens=sum(domain.tokens for domain, _ in members),
        bytes=sum(domain.bytes for domain, _ in members),
        rows=rows([domain.rows for domain, _ in members]),
        proxy_rows=rows([domain.proxy_rows for domain, _ in members]),
    )


def _moved(predictor: Outputs, problem: Problem, reduced: Problem, basis: Basis) -> tuple[Constraint, ...]:
    """Return the constraints as increases over the reduced problem's natural mixture: the same losses are allowed."""
    both_MD = np.vstack([problem.natural, basis.expand(reduced.natural[None])])
    whole_S, reduced_S = predictor.outputs(both_MD)
    return tuple(
        replace(one, max_increase=one.max_increase + float(whole_S[one.set] - reduced_S[one.set]))
        for one in problem.constraints
    )


def _places(problem: Problem, changed: Sequence[str]) -> list[int]:
    known = {domain.name: place for place, domain in enumerate(problem.domains) if domain.trainable}
    if strangers := [name for name in changed if name not in known]:
        raise ConfigError(
            f"search.changed_domains: {len(strangers)} of {len(changed)} are no domains to train on; first: "
            f"{strangers[0]}. There are: {', '.join(known)}."
        )
    return [known[name] for name in changed]
