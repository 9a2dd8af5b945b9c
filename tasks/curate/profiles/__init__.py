"""The profiles that come with Mixwright: data, one YAML file each."""

from functools import cache
from pathlib import Path

from tasks.core.params import read_yaml, validate
from tasks.curate.rules.profile import Profile

_FOLDER = Path(__file__).parent


@cache
def built_in(name: str) -> Profile:
    """Return a profile that comes with Mixwright."""
    path = _FOLDER / f"{name}.yaml"
    return validate(Profile, read_yaml(path), str(path))


@cache
def names() -> tuple[str, ...]:
    """Return the names of the profiles that come with Mixwright."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
