"""Groups of weights that are treated alike, by their Hugging Face names."""

from typing import Literal

Group = Literal["matrices", "embedding", "norms"]
_EMBEDDING = ("embed_tokens.weight", "lm_head.weight")


def group_of(name: str) -> Group:
    """Return the group of a weight: matrices of the blocks, embedding and output layer, or norms."""
    if name.endswith(_EMBEDDING):
        return "embedding"
    return "norms" if name.endswith("norm.weight") else "matrices"
