"""What units read, as workers of all machines find it: where folders are not shared, content is sent along."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from infra.storage import Store
from tasks.core.handles import Handle, Tree

# By the identity of an object, which is held so that nothing else can have it: args share what is large.
Known = dict[int, tuple[Any, Any]]


def within_reach(store: Store, value: Any, known: Known) -> Any:
    """Return a unit's args with every handle where each worker can follow it; what it means stays the same.

    Raises:
        ObjectError: a file is missing or has changed since it was looked at.
        StoreError: the store cannot be written.
    """
    if store.shared_folders:
        return value
    if id(value) not in known:
        known[id(value)] = value, _moved(store, value, known)
    return known[id(value)][1]


def _moved(store: Store, value: Any, known: Known) -> Any:
    match value:
        case Handle():
            location = store.shared(value.location, [(value.name, value.digest, value.bytes)])
            return replace(value, store=store, location=location)
        case Tree():
            return Tree(store, store.shared(value.location, value.files), value.files)
        case tuple() | list():
            return type(value)(within_reach(store, one, known) for one in value)
        case Mapping():
            return {name: within_reach(store, one, known) for name, one in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            parts = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
            moved = {name: within_reach(store, one, known) for name, one in parts.items()}
            changed = {name: one for name, one in moved.items() if one is not parts[name]}
            return replace(value, **changed) if changed else value
        case _:
            return value
