"""The identity of a piece of work: the step, what it reads, its params, its code, the libraries and the device.

A unit's args are a frozen dataclass of handles, models of params and plain values, and its identity follows from them:
what a unit reads cannot be missing from its key. A path is refused, because what lies there can change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from tasks.core.code import Code
from tasks.core.digest import digest_json
from tasks.core.handles import Handle, Tree

# Set as `field(metadata=LABEL)` on what only names a unit for people.
LABEL = {"identity": False}
_OFF: tuple[Any, ...] = (None, False, (), [], {})


@runtime_checkable
class KnownContent(Protocol):
    """Args of many units that are large, and say once what they are: a collection of thousands of handles."""

    def identity(self) -> str:
        """Return the digest of all that they hold."""


@dataclass(frozen=True)
class Identity:
    """What decides a result. `reads` are its args or inputs and params; `device` is None where no device matters.

    Two pieces of work with the same key are the same work: see `key`.
    """

    step: str
    reads: Mapping[str, Any]
    code: Code
    libraries: Mapping[str, str]
    device: str | None = None

    @property
    def key(self) -> str:
        """The digest of all of it."""
        return digest_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the identity as it stands in a record: the code as one digest."""
        value = {"step": self.step, "reads": self.reads, "code": self.code.digest, "libraries": dict(self.libraries)}
        return value if self.device is None else value | {"device": self.device}


def reads_of(value: Any) -> Any:
    """Return what of a unit's args decides its result, as JSON. An option in its off state is left out.

    Raises:
        TypeError: a value has no identity: a path, a function, a set.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Handle() | Tree() | KnownContent():
            return value.identity()
        case BaseModel():
            return params_of(value)
        case Mapping():
            return {str(name): reads_of(one) for name, one in value.items()}
        case list() | tuple():
            return [reads_of(one) for one in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            named = {field.name: getattr(value, field.name) for field in fields(value) if _decides(field.metadata)}
            return {name: reads_of(one) for name, one in named.items() if one is not None}
        case _:
            raise TypeError(
                f"{type(value).__name__} {value!r:.80} has no identity. A unit's args are handles, params and plain values; "
                "what only names it is a field with metadata=LABEL."
            )


def params_of(model: BaseModel) -> dict[str, Any]:
    """Return a model's values as JSON without the options that are off: None; False or nothing where that is the default.

    So a new option that is off changes no key, whatever model it is added to.
    """
    found = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        default = field.get_default(call_default_factory=True, validated_data={})
        if value is None or (_is_off(value) and _is_off(default)):
            continue
        found[name] = _value(value)
    return found


def kinds_of(value: Any) -> Iterator[str]:
    """Yield the modules of the methods that are chosen in args: those of the models that have a `kind`."""
    if isinstance(value, BaseModel):
        if "kind" in type(value).model_fields:
            yield type(value).__module__
        for name in type(value).model_fields:
            yield from kinds_of(getattr(value, name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from kinds_of(one)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for one in value:
            yield from kinds_of(one)
    elif is_dataclass(value) and not isinstance(value, type | Handle | Tree | KnownContent):
        for field in fields(value):
            yield from kinds_of(getattr(value, field.name))


def _value(value: Any) -> Any:
    """Return a value of a model as JSON; what pydantic alone knows how to write, it writes."""
    try:
        return reads_of(value)
    except TypeError:
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)


def _is_off(value: Any) -> bool:
    return any(value == off and type(value) is type(off) for off in _OFF)


def _decides(metadata: Mapping[Any, Any]) -> bool:
    return bool(metadata.get("identity", True))
