"""A command whose work is done in the process of the test, with a home and a store below a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from infra.storage import FolderStore
from tasks.runtime.context import Workshop
from tests.in_process import InProcess
from tests.mixture.test_stage import Listener


def works_in_this_process(command: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a module of `cli` that opens a workshop by `here` do its work in this process."""
    monkeypatch.setenv("MIXWRIGHT_HOME", str(folder / "home"))

    @contextmanager
    def here(quiet: bool, workers: int | None = None) -> Iterator[Workshop]:
        yield Workshop(InProcess(), FolderStore(folder / "store"), Listener())

    monkeypatch.setattr(command, "here", here)
