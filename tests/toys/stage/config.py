"""The params of the stage `toy`."""

from tasks.core.params import Params


class ToyParams(Params):
    """Which documents are counted: those of at least so many characters."""

    min_characters: int = 1
