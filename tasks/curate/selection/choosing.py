"""What selections keep of all candidates: one after the other, group by group, with a reason for everyone that is not kept.

Axes: N candidates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.curate.selection import kinds
from tasks.curate.selection.documents import Candidates
from tasks.curate.selection.kinds import AllOf, AnyOf, Selection
from tasks.curate.selection.method import NOT_SELECTED, Bools, Floats

Selections = Mapping[str, Sequence[Selection]]


@dataclass(frozen=True)
class Cut:
    """What one selection of a profile keeps of a group, and how much it had before it.

    `group`: "" where all documents are together. `allowed_tokens` are its quota (None: it has none).
    `weighted_tokens`: with each document as often as it weighs (None: nothing is weighted). `outside`: documents whose
    score is no probability, where one is asked for.
    """

    profile: str
    name: str
    keeps: str
    group: str
    documents: int
    tokens: int
    kept_documents: int
    kept_tokens: int
    allowed_tokens: int | None = None
    weighted_tokens: float | None = None
    outside: int = 0


@dataclass(frozen=True)
class Choice:
    """What becomes of candidates: why each is not kept (None: it is), told in detail, what it weighs; and every cut."""

    reason_N: NDArray[Any]
    detail_N: NDArray[Any]
    weight_N: Floats
    cuts: tuple[Cut, ...]

    @property
    def kept_N(self) -> Bools:
        """Which candidates are kept."""
        return np.array([reason is None for reason in self.reason_N], np.bool_)


@dataclass(frozen=True)
class _Step:
    """What one selection keeps of the documents it is given, as it is told to each, and its weights."""

    kept_N: Bools
    told_N: NDArray[Any]
    weight_N: Floats
    cuts: tuple[Cut, ...]


def choice_of(selections: Selections, candidates: Candidates) -> Choice:
    """Return what is kept; a later selection looks at what the earlier ones of its profile left.

    Raises:
        DataError: there are too many groups, or quotas that nothing can keep.
    """
    number = len(candidates.id_N)
    reason_N, detail_N = np.full(number, None, dtype=object), np.full(number, None, dtype=object)
    weight_N, cuts = np.ones(number), list[Cut]()
    for profile, chosen in sorted(selections.items()):
        left = np.flatnonzero(candidates.profiles_N == profile)
        for selection in chosen:
            here = candidates.take(left)
            step = _step(profile, selection, here)
            cuts += step.cuts
            gone = np.flatnonzero(~step.kept_N)
            reason_N[left[gone]] = f"{NOT_SELECTED}{kinds.name_of(selection)}"
            detail_N[left[gone]] = _details(selection, here.take(gone), step.told_N[gone])
            weight_N[left] *= step.weight_N
            left = left[step.kept_N]
    return Choice(reason_N, detail_N, weight_N, tuple(cuts))


def _step(profile: str, selection: Selection, here: Candidates) -> _Step:
    if not isinstance(selection, AllOf | AnyOf):
        return _single(profile, selection, here)
    steps = [_step(profile, one, here) for one in selection.of]
    together = np.logical_and if isinstance(selection, AllOf) else np.logical_or
    kept_N: Bools = together.reduce([step.kept_N for step in steps])
    words = kinds.words_of(selection)
    everyone = np.arange(len(kept_N))
    cut = _cut(profile, selection, words, "", here, everyone, kept_N)
    told_N = np.full(len(kept_N), words, dtype=object)
    return _Step(kept_N, told_N, np.ones(len(kept_N)), (*(one for step in steps for one in step.cuts), cut))


def _single(profile: str, selection: kinds.Single, here: Candidates) -> _Step:
    number, method = len(here.id_N), kinds.method(selection)
    kept_N, weight_N = np.zeros(number, np.bool_), np.ones(number)
    told_N, cuts = np.full(number, "", dtype=object), list[Cut]()
    rows_of = here.rows_by(selection.by)
    groups = {name: here.values(selection.score, rows) for name, rows in rows_of.items()}
    words, nobody = method.words(selection), np.zeros(0, np.int64)
    for group, chosen in sorted(method.choose(selection, groups).items()):
        rows = rows_of.get(group, nobody)
        kept_N[rows] = chosen.kept_N
        told_N[rows] = told = f"{words}, of {group}" if group else words
        weights = None
        if chosen.weight_N is not None:
            weight_N[rows] = chosen.weight_N
            weights = float(chosen.weight_N @ here.tokens_N[rows])
        of_group = _cut(profile, selection, told, group, here, rows, chosen.kept_N)
        cuts.append(
            replace(of_group, allowed_tokens=chosen.allowed_tokens, weighted_tokens=weights, outside=chosen.outside)
        )
    return _Step(kept_N, told_N, weight_N, tuple(cuts))


def _cut(
    profile: str,
    selection: Selection,
    told: str,
    group: str,
    here: Candidates,
    rows: NDArray[Any],
    kept_N: Bools,
) -> Cut:
    tokens_N = here.tokens_N[rows]
    return Cut(
        profile=profile,
        name=kinds.name_of(selection),
        keeps=told,
        group=group,
        documents=len(rows),
        tokens=int(tokens_N.sum()),
        kept_documents=int(kept_N.sum()),
        kept_tokens=int(tokens_N[kept_N].sum()),
    )


def _details(selection: Selection, gone: Candidates, told_N: NDArray[Any]) -> list[str]:
    columns = {name: gone.scores[name].tolist() for name in kinds.columns_of(selection)}
    values = zip(*columns.values(), strict=True) if columns else ((),) * len(told_N)
    return [
        "; ".join(part for part in (", ".join(map(_has, columns, row)), f"kept: {told}") if part)
        for row, told in zip(values, told_N.tolist(), strict=True)
    ]


def _has(name: str, score: float) -> str:
    return f"no {name}" if math.isnan(score) else f"{name} {score:.6g}"
