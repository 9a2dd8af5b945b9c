"""What a stage reads of the stages before it: verified, once, by the driver, before a worker sees it.

One pass of SHA-256 over what is read (about 1.5 GB/s per core, in threads) costs little beside any stage, and a driver that
has verified spares its workers the question. Nothing is remembered between processes: a later run looks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.manifest import Manifest


@dataclass(frozen=True)
class StageInput:
    """A folder that another stage has published, with its manifest. `folder` is for names; bytes come from `verified`."""

    folder: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """The digest of all that was published, and part of what identifies the work done on it."""
        return self.manifest.output

    def verified(self, *read: str) -> Path:
        """Return the folder, when every file whose path begins with one of `read` is as it was published.

        Raises:
            DamagedError: a file is missing or differs; names it, and the stage that makes it again.
        """
        self.manifest.verify(self.folder, *read)
        return self.folder


def stage_input(inputs: Mapping[str, Path], stage: str) -> StageInput:
    """Return what a driver was given of a stage.

    Raises:
        DataError: no stage has finished there, or its manifest is damaged.
    """
    return StageInput(inputs[stage].absolute(), Manifest.read(inputs[stage]))
