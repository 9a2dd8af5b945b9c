"""What a user may have meant by an unknown key: the nearest of the names that may stand in its place."""

from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

_UNIONS = (Union, UnionType)


def meant(model: type[BaseModel], location: Sequence[int | str]) -> str | None:
    """Return the known name that is like the unknown one at the end of a location, as pydantic tells it; None: none is."""
    *place, name = location
    near = get_close_matches(str(name), sorted(names_at(model, place)), n=1)
    return near[0] if near else None


def names_at(kind: Any, place: Sequence[int | str]) -> frozenset[str]:
    """Return the names that may stand at a place below a type: fields of the models there, whichever arm a union takes."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not place:
            return frozenset(kind.model_fields)
        field = kind.model_fields.get(str(place[0]))
        return frozenset() if field is None else names_at(field.annotation, place[1:])
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return names_at(args[0], place)
    if origin in _UNIONS:
        arms = [names_at(arm, place[1:] if place and _is_called(arm, str(place[0])) else place) for arm in args]
        return frozenset[str]().union(*arms)
    if not place or not args:
        return frozenset()
    # Of a list or a mapping: what stands in it.
    return names_at(args[0] if args[-1] is ... else args[-1], place[1:])


def _is_called(arm: Any, part: str) -> bool:
    """Return whether a part of a location is how pydantic calls an arm of a union: by its `kind`, or by its name."""
    if not (isinstance(arm, type) and issubclass(arm, BaseModel)):
        return False
    kind = arm.model_fields.get("kind")
    # A model with validators is called `function-after[mistakes(), Name]`.
    return part in (arm.__name__, *get_args(kind and kind.annotation)) or part.endswith(f", {arm.__name__}]")
