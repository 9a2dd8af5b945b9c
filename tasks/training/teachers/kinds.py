"""Where teachers come from: the union of their configs, and the one place that finds the files of a kind."""

from typing import Annotated, Literal, assert_never

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.training.starts import checkpoint, hugging_face
from tasks.training.starts.checkpoint import FromCheckpoint
from tasks.training.starts.hugging_face import FromHuggingFace
from tasks.training.starts.weights import StartPaths


class CheckpointTeacher(Params):
    """A trained run teaches."""

    kind: Literal["checkpoint"]
    folder: str = Field(min_length=1, description="what a train stage has published")
    run: str = Field(min_length=1, description="one of its runs, such as searched-seed0")
    step: PositiveInt | None = Field(default=None, description="one of its milestones; null = its end")


class HuggingFaceTeacher(Params):
    """A Llama-like model on the disk teaches."""

    kind: Literal["hugging_face"]
    folder: str = Field(min_length=1, description="a local folder")
    padded_vocabulary: bool = Field(
        default=False, description="it may have more rows of its embedding than its tokenizer has tokens"
    )


TeacherConfig = Annotated[CheckpointTeacher | HuggingFaceTeacher, Field(discriminator="kind")]


def paths(config: TeacherConfig) -> StartPaths:
    """Return where the files of a teacher are.

    Raises:
        ConfigError: they are not there.
    """
    match config:
        case CheckpointTeacher(folder=folder, run=run, step=step):
            return checkpoint.paths(FromCheckpoint(kind="checkpoint", folder=folder, run=run, step=step), "teachers")
        case HuggingFaceTeacher(folder=folder, padded_vocabulary=padded):
            start = FromHuggingFace(kind="hugging_face", folder=folder, padded_vocabulary=padded)
            return hugging_face.paths(start, "teachers")
        case _:
            assert_never(config)
