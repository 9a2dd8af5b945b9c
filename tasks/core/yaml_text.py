"""YAML as people write params: plain values, and every key once."""

from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """Return the value that a YAML text holds.

    >>> parse_yaml("rounds: 3")
    {'rounds': 3}

    Raises:
        ValueError: it is not YAML, a key stands twice in a mapping, or a value cannot be read as what it looks like.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, ValueError) as error:
        # Besides its own errors: what Python says of a date with a month 13, or of `!!bool maybe`.
        raise ValueError(str(error)) from error


class _Loader(yaml.SafeLoader):
    """Plain values; a key that stands twice is refused, where PyYAML takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, and look at its keys before anything is merged into it."""
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            before = first.setdefault((key.tag, key.value), key)
            if before is not key:
                lines = f"lines {before.start_mark.line + 1} and {key.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice in one mapping, {lines}", None
                )
        return node
