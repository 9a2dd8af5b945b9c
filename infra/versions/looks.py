"""What DVC has found clean, so that a run with nothing new need not start DVC to hear it again.

As DVC itself does, this takes a file for unchanged while its place, size and times are: DVC is asked anew once any file of
the workspace, or any object of the cache that its lock names, is not as it was when DVC looked.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from infra.versions.dvc import cache_folder, dvc_hashes
from infra.versions.objects import places

# What git, DVC and runs keep for themselves: no part of what DVC looks at.
_PASSED_OVER = {".git", ".mixwright", ".dvc/tmp", ".dvc/cache"}


def look(folder: Path) -> str:
    """Return a digest of all that DVC looks at in a workspace: it is another one as soon as any of it was touched."""
    state = hashlib.sha256()
    for path in chain(_files(folder), places(cache_folder(folder), dvc_hashes(folder))):
        state.update(f"{path}\0{_touched(path)}\0".encode())
    return state.hexdigest()


def was_clean(folder: Path, seen: str) -> bool:
    """Tell whether DVC found nothing changed when it looked at this very state."""
    with suppress(OSError):
        return _kept(folder).read_text(encoding="utf-8") == seen
    return False


def keep_clean(folder: Path, seen: str) -> None:
    """Keep that DVC found nothing changed in this state; where that cannot be written DVC is asked again."""
    kept = _kept(folder)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(".part")
        draft.write_text(seen, encoding="utf-8")
        draft.replace(kept)


def _kept(folder: Path) -> Path:
    return folder / ".mixwright" / "dvc-clean"


def _files(folder: Path) -> Iterator[Path]:
    for where, inner, names in os.walk(folder):
        here = Path(where)
        below = here.relative_to(folder)
        inner[:] = sorted(name for name in inner if (below / name).as_posix() not in _PASSED_OVER)
        yield from (here / name for name in sorted(names))


def _touched(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_mode}"
