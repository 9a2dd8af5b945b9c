"""What if a selection were another: who would be kept of those that passed all else, from the scores that were kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from tasks.core.errors import ConfigError, DataError
from tasks.core.params import validate
from tasks.core.text_table import text_table
from tasks.curate.audit.folder import Curated
from tasks.curate.published.documents import ANNOTATIONS, CANDIDATES
from tasks.curate.rules.profile import Profile
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.choosing import Cut, choice_of
from tasks.curate.selection.documents import Candidates, read_candidates
from tasks.curate.selection.kinds import named
from tasks.curate.selection.method import Bools
from tasks.curate.selection.told import selection_lines, selection_told

_SELECT = "select"


@dataclass(frozen=True)
class Part:
    """How many documents, and how many tokens they have together."""

    documents: int
    tokens: int


@dataclass(frozen=True)
class SelectedChange:
    """One source: what passed all else, what is selected of it now, and what would be."""

    source: str
    passed: Part
    kept: Part
    would_keep: Part


@dataclass(frozen=True)
class SelectionWhatIf:
    """The answer: per source what would change, and what each selection would keep of each group."""

    changes: tuple[str, ...]
    rows: tuple[SelectedChange, ...]
    selections: tuple[Cut, ...]


def is_of_selections(change: str) -> bool:
    """Return whether a change is one of a selection: `PROFILE.select...=`, or `select...=`."""
    return _SELECT in change.partition("=")[0].strip().split(".")[:2]


def what_if_selected(curated: Curated, changes: Sequence[str]) -> SelectionWhatIf:
    """Return what would be selected, and what is now.

    Raises:
        ConfigError: a change names no profile in use, no selection of it, or what cannot be.
        DataError: nothing was scored or selected here, so that nobody knows who passed all else.
    """
    folder = curated.folder / CANDIDATES
    if not folder.is_dir():
        raise DataError(
            f"{curated.folder}: nothing was scored or selected here. Name a scorer (curate.scorers), run curate."
        )
    profiles = curated.params.profiles_of({*curated.funnel.counts.sources})
    changed = changed_selections(profiles, changes)
    asked = [name for profile in changed.values() for one in profile.select for name in named(one)]
    candidates = _with_statistics(curated, read_candidates(sorted(folder.glob("*.parquet")))[0], asked)
    before = choice_of({name: one.select for name, one in profiles.items()}, candidates)
    after = choice_of({name: one.select for name, one in changed.items()}, candidates)
    sources_N = candidates.groups_N["source"]
    every = np.ones(len(sources_N), np.bool_)
    rows = [
        SelectedChange(
            source,
            *(_size(candidates, (sources_N == source) & which) for which in (every, before.kept_N, after.kept_N)),
        )
        for source in sorted(set(sources_N.tolist()))
    ]
    return SelectionWhatIf(tuple(changes), tuple(rows), after.cuts)


def changed_selections(profiles: Mapping[str, Profile], changes: Sequence[str]) -> dict[str, Profile]:
    """Return profiles with selections changed.

    `PROFILE.select=[{kind: threshold, ...}]` sets all of them, `PROFILE.select.0.low=0.8` a field of the first. Without
    the name of a profile it is said of all that select, or of all in use where none does.
    """
    found = dict(profiles)
    for change in changes:
        place, equals, text = change.partition("=")
        names = place.strip().split(".")
        owner = None if names[0] == _SELECT else names.pop(0)
        if not equals or (owner is not None and owner not in profiles):
            raise ConfigError(
                f"--what-if {change}: expected PROFILE.select=LIST or PROFILE.select.NUMBER.FIELD=VALUE, such as "
                f"select.0.low=0.8; profiles in use: {', '.join(profiles)}."
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--what-if {change}: {text!r} is no value: {error}.") from error
        selecting = [name for name, one in found.items() if one.select] or list(found)
        for name in [owner] if owner is not None else selecting:
            values = found[name].model_dump(mode="json")
            values[_SELECT] = _set(values[_SELECT], names[1:], value, change)
            found[name] = validate(Profile, values, f"--what-if {change}")
    return found


def selection_what_if_table(found: SelectionWhatIf) -> str:
    """Return the answer as lines of text."""
    head = ("source", "passed all else", "selected", "would be", "change", "M tokens", "selected", "would be")
    every = SelectedChange("all", *(_sum([getattr(row, name) for row in found.rows]) for name in _SIZES))
    lines = [f"what if {', '.join(found.changes)}", *text_table(head, [_cells(row) for row in (*found.rows, every)])]
    return "\n".join([*lines, *selection_lines([selection_told(cut) for cut in found.selections])])


_SIZES = ("passed", "kept", "would_keep")


def _set(values: Any, path: Sequence[str], value: Any, change: str) -> Any:
    """Return lists and mappings with one value set; a new name of a mapping is allowed."""
    if not path:
        return value
    step, *rest = path
    if isinstance(values, Mapping):
        return {**values, step: _set(values.get(step), rest, value, change)}
    if not isinstance(values, list) or not step.isdecimal() or int(step) >= len(values):
        number = len(values) if isinstance(values, list) else 0
        raise ConfigError(
            f"--what-if {change}: there is no {step} among {number} selections, which are counted from 0."
        )
    changed = list(values)
    changed[int(step)] = _set(values[int(step)], rest, value, change)
    return changed


def _with_statistics(curated: Curated, candidates: Candidates, asked: Sequence[str]) -> Candidates:
    """Return candidates with the statistics that are asked for and no selection has looked at before.

    Raises:
        ConfigError: there is no such number.
        DataError: a candidate is not among the documents with statistics.
    """
    missing = sorted({*asked} - {*candidates.scores})
    if not missing:
        return candidates
    numbers = {name: values for name, values in curated.statistics.items() if values.dtype != object}
    if strangers := [name for name in missing if name not in numbers]:
        known = ", ".join([*candidates.scores, *sorted(numbers)])
        raise ConfigError(f"--what-if: there is no score {strangers[0]!r} here. There are {known}.")
    ids_N = np.array([number_of(one) for one in curated.annotations["id"].to_pylist()], np.int64)
    rows = _rows_of(ids_N, candidates.id_N, curated.folder)
    found = {name: np.asarray(numbers[name][rows], np.float64) for name in missing}
    return replace(candidates, scores={**candidates.scores, **found})


def _rows_of(ids_N: NDArray[np.int64], wanted_N: NDArray[np.int64], folder: Path) -> NDArray[np.intp]:
    """Return in which row each of the wanted ids stands.

    Raises:
        DataError: one stands in none.
    """
    order = np.argsort(ids_N, kind="stable")
    places = np.searchsorted(ids_N[order], wanted_N)
    there = places < len(order)
    there[there] = ids_N[order[places[there]]] == wanted_N[there]
    if strangers := int((~there).sum()):
        raise DataError(
            f"{folder}: {strangers:,} of {len(wanted_N):,} documents of {CANDIDATES}/ have no statistics in {ANNOTATIONS}/, "
            "so these are not of one run. Run curate again."
        )
    return order[places]


def _size(candidates: Candidates, chosen_N: Bools) -> Part:
    return Part(documents=int(chosen_N.sum()), tokens=int(candidates.tokens_N[chosen_N].sum()))


def _sum(sizes: Sequence[Part]) -> Part:
    return Part(documents=sum(one.documents for one in sizes), tokens=sum(one.tokens for one in sizes))


def _cells(row: SelectedChange) -> tuple[str, ...]:
    kept, would = row.kept, row.would_keep
    return (
        *(row.source, f"{row.passed.documents:,}", f"{kept.documents:,}", f"{would.documents:,}"),
        *(f"{would.documents - kept.documents:+,}", f"{row.passed.tokens / 1e6:,.2f}"),
        *(f"{kept.tokens / 1e6:,.2f}", f"{would.tokens / 1e6:,.2f}"),
    )
