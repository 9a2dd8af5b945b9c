"""Why a piece of work would be done: its input is new, or the first thing that differs from what was done before."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.progress import SilentObserver
from infra.storage import Store
from tasks.core.code import Code
from tasks.core.errors import DamagedError, DataError
from tasks.core.manifest import Manifest
from tasks.core.params import Params
from tasks.core.sealed import parse_sealed, sealed_text
from tasks.runtime.context import Explaining, Workshop, WouldWorkError
from tasks.runtime.records import described

Driver = Callable[..., Manifest]
_CODE, _PUBLISHED = "code", "published"
# Finished units that are looked at to find the nearest one.
_LOOKED_AT = 200
_SHOWN = 60
_DIGEST = re.compile("[0-9a-f]{64}")


def explain(
    driver: Driver,
    params: Params,
    *,
    inputs: Mapping[str, Path],
    output: Path,
    workshop: Workshop,
    against: Manifest | None = None,
) -> list[str]:
    """Return, in sentences, why a stage would run again or would not, and the first of its units that would be done.

    The driver runs as it always does, on the same store, but up to the first work: nothing is made or published. It is
    compared with what is published in `output`, or with the manifest `against` of another run or version.

    Raises:
        DataError: an input was not published, or is damaged.
    """
    heard = _Heard()
    explaining = replace(workshop, observer=heard, explaining=Explaining(against), touched={})
    try:
        driver(params, inputs=inputs, output=output, workshop=explaining)
    except WouldWorkError as error:
        return [*heard.sentences, str(error)]
    return heard.sentences


class _Heard(SilentObserver):
    """Keeps the sentences of a driver."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, message: str) -> None:
        """Keep the sentence."""
        self.sentences.append(message)


def remember_code(store: Store, code: Code) -> None:
    """Keep the digests of a closure's modules, so that a later difference can be named; in the place of damaged ones."""
    if not modules_of(store, code.digest):
        store.note(_CODE, f"{code.digest}.json", sealed_text({"modules": dict(code.modules)}))


def modules_of(store: Store, digest: str) -> Mapping[str, str]:
    """Return the digests of a closure's modules; nothing where it was never remembered."""
    text = store.noted(_CODE, f"{digest}.json")
    try:
        return dict(parse_sealed(text or "", digest)["modules"])
    except (DamagedError, KeyError, TypeError):
        return {}


@dataclass(frozen=True)
class Difference:
    """What is otherwise, in words; of `new_input` nothing was done before, so that nothing is done again."""

    words: str
    new_input: bool


def nearest_difference(
    store: Store, step: str, identity: Mapping[str, Any], touched: Set[str] = frozenset()
) -> Difference | None:
    """Return what differs between a unit and the most similar one of its step that was done before; None without any.

    Units whose keys are `touched` belong to the run that asks: they are other work, not the same work from before.
    """
    best: list[str] | None = None
    is_new = False
    for key in [key for key in store.keys(step) if key not in touched][:_LOOKED_AT]:
        if (location := store.find(step, key)) is None:
            continue
        try:
            before = described(store, key, location).identity
        except DamagedError:
            continue
        found = list(differences(before, identity, store))
        if found and (best is None or len(found) < len(best)):
            best, is_new = found, reads_other_content(before.get("reads"), identity.get("reads"))
    if best is None:
        return None
    more = f", and {len(best) - 1} more differences" if len(best) > 1 else ""
    why = "new input: " if is_new else "done again, because "
    return Difference(f"{why}{best[0]}{more} (compared with the most similar unit that was done before)", is_new)


def note_published(store: Store, manifest: Manifest) -> None:
    """Remember who published a stage last from this store, so that a run in a new folder can say what has changed."""
    store.note(_PUBLISHED, f"{manifest.stage}.json", sealed_text(replace(manifest, files=(), summary={}).to_json()))


def last_published(store: Store, stage: str) -> Manifest | None:
    """Return the manifest, without files, of the last run that published a stage from this store."""
    text = store.noted(_PUBLISHED, f"{stage}.json")
    try:
        return None if text is None else Manifest.parse(text, stage)
    except DataError:
        return None


def stage_difference(before: Manifest, now: Manifest) -> str | None:
    """Return why a stage is run again: what differs between the manifest that is there and the one to come, in words."""
    found = list(stage_differences(before, now))
    if not found:
        return None
    more = f", and {len(found) - 1} more differences" if len(found) > 1 else ""
    if before.inputs != now.inputs:
        return f"new input: {next(_values('', before.inputs, now.inputs))}{more}"
    return f"run again, because {found[0]}{more}"


def stage_differences(before: Manifest, now: Manifest) -> Iterator[str]:
    """Yield what differs between two runs of a stage, each with the old and the new value."""
    yield from _values("params.", before.params, now.params)
    yield from _values("input ", before.inputs, now.inputs)
    yield from module_differences(before.modules, now.modules)
    yield from _values("library ", before.libraries, now.libraries)
    yield from _values("device", before.device, now.device)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], store: Store) -> Iterator[str]:
    """Yield what differs between two identities, in words: what is read and params first, code, libraries, device last."""
    yield from _values("", before.get("reads"), now.get("reads"))
    yield from _modules(before, now, store)
    yield from _values("library ", before.get("libraries", {}), now.get("libraries", {}))
    yield from _values("device", before.get("device"), now.get("device"))


def _modules(before: Mapping[str, Any], now: Mapping[str, Any], store: Store) -> Iterator[str]:
    if before.get("code") == now.get("code"):
        return
    old, new = (modules_of(store, str(one.get("code"))) for one in (before, now))
    yield from module_differences(old, new) if old and new else ("the code differs",)


def module_differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs between two closures, module by module."""
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            what = "is new" if name not in old else "is gone" if name not in new else "was edited"
            yield f"code: {name} {what}"


def _values(place: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the leaves in which two values differ, each with the old and the new one."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from _values(_inner(place, name), old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _values(f"{place}[{number}]", one, other)
    elif old != new and not (_is_off(old) and _is_off(new)):
        yield f"{place} was {_shown(old)} and is {_shown(new)}"


def reads_other_content(old: Any, new: Any) -> bool:
    """Return whether two pieces of work differ in the content of what they read, which stands there as digests.

    >>> reads_other_content({"shard": "a" * 64, "seed": 1}, {"shard": "b" * 64, "seed": 1})
    True
    >>> reads_other_content({"shard": "a" * 64, "seed": 1}, {"shard": "a" * 64, "seed": 2})
    False
    """
    return _digests(old) != _digests(new)


def _digests(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if _DIGEST.fullmatch(value) else []
    if isinstance(value, Mapping):
        value = [value[name] for name in sorted(value)]
    inner = value if isinstance(value, list | tuple) else ()
    return [found for one in inner for found in _digests(one)]


def _is_off(value: Any) -> bool:
    return value is None or value is False or value in ([], {})


def _inner(place: str, name: str) -> str:
    return f"{place}{name}" if not place or place[-1] in " ." else f"{place}.{name}"


def _shown(value: Any) -> str:
    if value is None:
        return "off"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
