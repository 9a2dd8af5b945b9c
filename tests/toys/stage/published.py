"""What others may read of the stage `toy`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from tasks.core.published import Published


class DocumentCounts(Published):
    """Documents by source."""

    FILE: ClassVar[str] = "counts.json"

    format: Literal[1] = 1
    documents: Mapping[str, int]
