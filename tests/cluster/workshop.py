"""A workshop for tests that need no second process, with the units that were really done."""

from pathlib import Path

from infra.storage import FolderStore
from tasks.runtime.context import Workshop
from tests.in_process import InProcess


def serial_workshop(folder: Path) -> tuple[Workshop, list[str]]:
    """Return a workshop, and the names of the units that were done."""
    executor = InProcess()
    return Workshop(executor, FolderStore(folder / "store")), executor.done
