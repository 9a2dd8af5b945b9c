"""Compiled kernels, where this installation has them.

Every kernel has a Python fallback beside it that gives the same numbers: what is installed changes the speed, never a
result. `MIXWRIGHT_KERNELS=python` turns the kernels off.
"""

import hashlib
import os
from functools import cache
from pathlib import Path
from types import ModuleType

from tasks.core.errors import ConfigError

SOURCES = Path(__file__).parent


def source_digest(name: str) -> str:
    """Return the digest of a kernel's C++ source and of all headers."""
    state = hashlib.sha256()
    for path in (SOURCES / f"{name}.cpp", *sorted(SOURCES.glob("*.h"))):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


@cache
def kernel(name: str) -> ModuleType | None:
    """Return the compiled kernel `name`, or None where it was not compiled (no compiler at installation).

    Raises:
        ConfigError: it was compiled from other sources than those of this checkout.
    """
    if os.environ.get("MIXWRIGHT_KERNELS") == "python":
        return None
    try:
        module = _imported(name)
    except ModuleNotFoundError:
        return None
    if source_digest(name) != module.SOURCE_DIGEST:
        raise ConfigError(
            f"the compiled kernel {name} ({module.__file__}) is of other sources than {SOURCES}. Install again "
            "(make install), or set MIXWRIGHT_KERNELS=python for the slower fallback, which decides the same."
        )
    return module


def _imported(name: str) -> ModuleType:
    """Import a kernel; each by its name, because code identity is read from import statements."""
    match name:
        case "buckets":
            import _mixwright_buckets as found
        case "datatrove":
            import _mixwright_datatrove as found
        case "english":
            import _mixwright_english as found
        case "gopher":
            import _mixwright_gopher as found
        case "minhash":
            import _mixwright_minhash as found
        case "ngrams":
            import _mixwright_ngrams as found
        case "refinedweb":
            import _mixwright_refinedweb as found
        case _:
            raise ModuleNotFoundError(f"no kernel is called {name}")
    compiled: ModuleType = found
    return compiled
