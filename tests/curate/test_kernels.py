"""Compiled kernels are optional, never stale, and change no result."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tasks.core.errors import ConfigError
from tasks.curate.native import kernel, source_digest
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.texts import texts_of

# Not the remembered answer of this process.
load = kernel.__wrapped__

DOCUMENTS = [
    "",
    "The cat and the dog.\n- 12 cats...\n\nThe cat and the dog.",
    "a b c d e f a b c d e f",
    "é \u2028 漢字 #",
]

# Without the finder of an editable installation, which would find the kernels of this checkout.
STATISTICS_OF_A_COPY = """
import json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = ["."] + [place for place in sys.path if place not in ("", {project!r})]
import tasks.curate.native as native
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.texts import texts_of
columns = gopher_statistics(texts_of(json.load(sys.stdin)))
found = {{name: column.tolist() for name, column in columns.items()}}
json.dump([native.__file__, native.kernel("gopher") is None, found], sys.stdout)
"""


def named(name: str, digest: str) -> ModuleType:
    module = ModuleType(f"_mixwright_{name}")
    module.__dict__.update(SOURCE_DIGEST=digest, __file__="somewhere.so")
    return module


def test_a_kernel_compiled_from_other_sources_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIXWRIGHT_KERNELS", raising=False)
    monkeypatch.setitem(sys.modules, "_mixwright_gopher", named("gopher", "of another day"))
    with pytest.raises(ConfigError, match=r"gopher \(somewhere\.so\) is of other sources"):
        load("gopher")


def test_a_kernel_of_these_sources_is_taken_unless_python_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = named("gopher", source_digest("gopher"))
    monkeypatch.setitem(sys.modules, "_mixwright_gopher", module)
    monkeypatch.delenv("MIXWRIGHT_KERNELS", raising=False)
    assert load("gopher") is module
    monkeypatch.setenv("MIXWRIGHT_KERNELS", "python")
    assert load("gopher") is None


def test_a_kernel_that_was_not_compiled_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_mixwright_gopher", None)
    monkeypatch.delenv("MIXWRIGHT_KERNELS", raising=False)
    assert load("gopher") is None


def test_without_a_compiler_the_build_succeeds_and_the_package_gives_the_same_statistics(
    project: Path, tmp_path: Path
) -> None:
    shutil.copytree(project / "tasks", tmp_path / "tasks", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, tmp_path)
    (tmp_path / "bin").mkdir()
    bare = {"PATH": str(tmp_path / "bin"), "CC": "no-compiler", "CXX": "no-compiler", "HOME": os.environ["HOME"]}
    build = [sys.executable, "setup.py", "build_ext", "--inplace"]
    built = subprocess.run(build, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr
    assert list(tmp_path.rglob("*.so")) == []
    code = STATISTICS_OF_A_COPY.format(project=str(project))
    asked = json.dumps(DOCUMENTS)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=bare, input=asked, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    place, is_fallback, found = json.loads(ran.stdout)
    assert Path(place).resolve().is_relative_to(tmp_path.resolve()) and is_fallback
    expected = {name: column.tolist() for name, column in gopher_statistics(texts_of(DOCUMENTS)).items()}
    assert found == expected
