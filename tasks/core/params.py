"""Params: the science of a run. What they hold changes results, is identity, and is tracked by DVC."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tasks.core.credentials import redacted
from tasks.core.errors import ConfigError
from tasks.core.unknown_keys import meant

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Params(BaseModel):
    """A frozen model that refuses unknown keys, NaN, and values that do not fit together: all its `mistakes` at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with the values together, each in a sentence that says what to do."""
        return ()

    @model_validator(mode="after")
    def _has_no_mistakes(self) -> Self:
        if found := tuple(self.mistakes()):
            raise PydanticCustomError(_MISTAKES, "{text}", {"text": "; ".join(found), "mistakes": found})
        return self


_MISTAKES = "mistakes"
ParamsT = TypeVar("ParamsT", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping a YAML file holds.

    Raises:
        ConfigError: the file is missing, is not YAML with every key once, or is not a mapping.
    """
    from tasks.core.yaml_text import parse_yaml

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file. Name an existing YAML file, or leave the option out.")
    try:
        value = parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: this is not YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping of names to values, found {type(value).__name__}.")
    return dict(value)


def override(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return `values` with each `a.b.c=value` set; the value is read as YAML.

    >>> override({"curate": {"seed": 0}}, ["curate.seed=7"])
    {'curate': {'seed': 7}}

    Raises:
        ConfigError: a setting has no `=`, goes through something that is not a mapping, or its value is not YAML; a key is
            set twice.
    """
    from tasks.core.yaml_text import parse_yaml

    result: dict[str, Any] = _copied(values)
    given: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {setting}: expected key=value, such as search.num_runs=48.")
        if name in given:
            raise ConfigError(f"--set {setting}: {name} is set twice, to {given[name]} and to {text}. Leave one out.")
        given[name] = text
        *parents, last = name.split(".")
        place = result
        for parent in parents:
            # What is off (null) is set up by its first key.
            if place.get(parent) is None:
                place[parent] = {}
            place = place[parent]
            if not isinstance(place, dict):
                raise ConfigError(f"--set {setting}: {parent} is a value, it has no keys.")
        try:
            place[last] = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"--set {setting}: the value is not YAML: {error}") from error
    return result


def layered(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with `above` laid over it, key by key; a method of another `kind` replaces the one below whole.

    >>> layered({"merge": {"kind": "ward", "domains": 7}, "seed": 0}, {"merge": {"domains": 4}})
    {'merge': {'kind': 'ward', 'domains': 4}, 'seed': 0}
    >>> layered({"merge": {"kind": "ward", "domains": 7}}, {"merge": {"kind": "distance", "limit": 1.5}})
    {'merge': {'kind': 'distance', 'limit': 1.5}}
    """
    result = dict(below)
    for key, value in above.items():
        old: Any = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = layered(old, value) if both and value.get("kind") in {None, old.get("kind")} else value
    return result


def _copied(value: Any) -> Any:
    return {key: _copied(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def validate(model: type[ParamsT], values: Mapping[str, Any], where: str) -> ParamsT:
    """Return `values` as the model.

    Raises:
        ConfigError: one line per mistake, with its place in the file and what was expected.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = [line for mistake in mistakes_of(error) for line in _lines(model, mistake)]
        raise ConfigError(f"{where}: {len(lines)} mistake(s) in the configuration:\n" + "\n".join(lines)) from error


def mistakes_of(error: ValidationError) -> list["ErrorDetails"]:
    """Return what is wrong; a sequence is not called too short because what stands in it is wrong."""
    found = error.errors(include_url=False)

    def holds_another(mistake: "ErrorDetails") -> bool:
        place = mistake["loc"]
        return any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found)

    return [one for one in found if one["type"] != "too_short" or not holds_another(one)]


def _lines(model: type[BaseModel], mistake: "ErrorDetails") -> list[str]:
    place = _place(mistake["loc"])
    if mistake["type"] == _MISTAKES:
        return [f"  {place}: {sentence}" for sentence in mistake["ctx"]["mistakes"]]
    if mistake["type"] == "extra_forbidden":
        near = meant(model, mistake["loc"])
        return [f"  {place}: unknown key: {f'did you mean {near}?' if near else 'check its spelling'}"]
    return [f"  {place}: {mistake['msg']}{_found(mistake)}"]


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(whole)"


def _found(mistake: "ErrorDetails") -> str:
    if mistake["type"] in {"missing", "value_error"}:
        return ""
    return f" (found {redacted(repr(mistake['input'])):.80})"
