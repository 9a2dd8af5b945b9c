"""All starts: the union of their configs, and the one place that finds the files of a kind."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.training.starts import checkpoint, hugging_face
from tasks.training.starts.checkpoint import FromCheckpoint
from tasks.training.starts.hugging_face import FromHuggingFace
from tasks.training.starts.scratch import Scratch
from tasks.training.starts.weights import StartPaths

StartConfig = Annotated[Scratch | FromCheckpoint | FromHuggingFace, Field(discriminator="kind")]


def paths(config: StartConfig) -> StartPaths | None:
    """Return where the files of a start are; None where there are none.

    Raises:
        ConfigError: they are not there.
    """
    match config:
        case Scratch():
            return None
        case FromCheckpoint():
            return checkpoint.paths(config)
        case FromHuggingFace():
            return hugging_face.paths(config)
        case _:
            assert_never(config)


def trained_on(config: StartConfig) -> dict[str, float] | None:
    """Return the tokens by domain that the weights of a start were trained on; None where nobody knows.

    Raises:
        ConfigError: the run that it names is not there.
    """
    match config:
        case Scratch():
            return {}
        case FromCheckpoint():
            return checkpoint.trained_on(config)
        case FromHuggingFace():
            return None
        case _:
            assert_never(config)
