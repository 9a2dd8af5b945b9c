"""The compiled kernels; everything else about the project stands in pyproject.toml.

Each `tasks/curate/native/*.cpp` is a module `_mixwright_<name>`. They are optional: without a compiler the installation
succeeds, and the fallbacks give the same results.
"""

import hashlib
import os
from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("tasks/curate/native")


def _source_digest(source: Path) -> str:
    state = hashlib.sha256()
    for path in (source, *sorted(NATIVE.glob("*.h"))):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


setup(
    # Times of files do not tell whether a kernel is of these sources: its digest does, so it is always compiled anew.
    options={"build_ext": {"force": True, "parallel": os.cpu_count()}},
    ext_modules=[
        Extension(
            f"_mixwright_{source.stem}",
            [source.as_posix()],
            depends=[header.as_posix() for header in sorted(NATIVE.glob("*.h"))],
            # The digest tells a stale build from a fresh one, see tasks/curate/native.
            define_macros=[("MIXWRIGHT_SOURCE_DIGEST", f'"{_source_digest(source)}"')],
            extra_compile_args=["-std=c++17", "-O3", "-fvisibility=hidden"],
            language="c++",
            optional=True,
        )
        for source in sorted(NATIVE.glob("*.cpp"))
    ],
)
