"""The sources of the documents: `sources.json`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from tasks.core.account import Count
from tasks.core.published import Published


class Sources(Published):
    """Documents and bytes of text of every source, by name."""

    FILE: ClassVar[str] = "sources.json"
    format: Literal[1] = 1
    sources: Mapping[str, Count]
