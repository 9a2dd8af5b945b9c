"""Groups of weights that are treated alike, by their Hugging Face names."""

import re
from collections.abc import Iterable
from typing import Literal

Group = Literal["matrices", "embedding", "norms"]
_LAYER = re.compile(r"layers\.(\d+)\.")
_EMBEDDING = ("embed_tokens.weight", "lm_head.weight")


def group_of(name: str) -> Group:
    """Return the group of a weight: matrices of the blocks, embedding and output layer, or norms."""
    if name.endswith(_EMBEDDING):
        return "embedding"
    return "norms" if name.endswith("norm.weight") else "matrices"


def same_in_all_layers(names: Iterable[str]) -> list[list[str]]:
    """Return names grouped: those of one weight in all layers together, each group in the order of its layers."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        layer = _LAYER.search(name)
        kind = name if layer is None else _LAYER.sub("layers.", name, count=1)
        groups.setdefault(kind, []).append((0 if layer is None else int(layer[1]), name))
    return [[name for _, name in sorted(groups[kind])] for kind in sorted(groups)]
