"""What of a module's source decides results: its canonical text, what it imports, and whether it asks Unicode's tables.

To parse and read a tree costs milliseconds per module, and a stage reaches a hundred: what was found is remembered by the
content of the file (`remember_in`), for the next process.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_bytes
from tasks.core.errors import DamagedError
from tasks.core.sealed import read_sealed, write_sealed

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
_OWN = frozenset({"tasks", "infra", "flows", "cli"})
# Sources that are remembered; this repository has 400, and every edit of one is another.
_REMEMBERED = 1_000


@dataclass(frozen=True)
class ModuleCode:
    """What of a module decides results. `imports` are modules of this repository, `packages` those of third parties."""

    digest: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    unicode: bool


@cache
def module_code(path: Path, name: str, root: Path) -> ModuleCode:
    """Return what of a module of the repository at `root` decides results."""
    source = _source(path)
    # What only declares params is left out, and which classes do that is said in other modules.
    declaring = frozenset(base for base in source["bases"] if _leads_to_params(base, name, root))
    known = source["code"]
    if (variant := ",".join(sorted(declaring))) not in known:
        known[variant] = _Canonical(declaring).of(syntax_tree(path))
        _MEMORY.changed = True
    code = known[variant]
    deeper = (one for one in code["perhaps"] if module_path(one, root) is not None)
    imports = tuple(sorted({*code["imports"], *deeper} - {name}))
    return ModuleCode(code["digest"], imports, tuple(code["packages"]), code["unicode"])


@cache
def syntax_tree(path: Path) -> ast.Module:
    """Return the syntax tree of a source."""
    return ast.parse(path.read_bytes())


def module_path(name: str, root: Path) -> Path | None:
    """Return the file of a module in the repository at `root`, or None."""
    base = root / name.replace(".", "/")
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def called(node: ast.AST) -> str:
    """Return the name of what is called, or of what stands there."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


class _Memory:
    """What was found in sources, by the digest of each; kept in a file where `remember_in` has named one."""

    def __init__(self) -> None:
        self.file: Path | None = None
        self.sources: dict[str, dict[str, Any]] = {}
        self.changed = False


_MEMORY = _Memory()


@cache
def _reader() -> str:
    """Return what reads the sources: what another has found is not believed."""
    return f"{digest_bytes(Path(__file__).read_bytes())} {sys.version_info[:2]}"


def remember_in(file: Path) -> None:
    """Take what was found by earlier processes from a file, and keep there what this one finds.

    A file that is damaged or by another version of this module is as good as none.
    """
    if file == _MEMORY.file:
        return
    held: dict[str, Any] = {}
    with suppress(DamagedError):
        held = read_sealed(file)
    kept = held["sources"] if held.get("reader") == _reader() else {}
    _MEMORY.file, _MEMORY.sources = file, kept | _MEMORY.sources
    _MEMORY.changed = _MEMORY.sources != kept


def remember() -> None:
    """Write down what was found, whole or not at all; of two processes that do so at once the later one's stays."""
    if not _MEMORY.changed or _MEMORY.file is None:
        return
    _MEMORY.changed = False
    draft = _MEMORY.file.with_name(f".{_MEMORY.file.name}.{os.getpid()}")
    newest = dict(list(_MEMORY.sources.items())[-_REMEMBERED:])
    # Where nothing can be written the next process reads the sources again.
    with suppress(OSError):
        _MEMORY.file.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(draft, {"reader": _reader(), "sources": newest})
        draft.replace(_MEMORY.file)


@cache
def _source(path: Path) -> dict[str, Any]:
    """Return what a source says by itself: the bases of its classes, and where its names at the top come from."""
    digest = digest_bytes(path.read_bytes())
    if digest not in _MEMORY.sources:
        _MEMORY.sources[digest] = _found(syntax_tree(path))
        _MEMORY.changed = True
    return _MEMORY.sources[digest]


def _found(tree: ast.Module) -> dict[str, Any]:
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    taken = [
        node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tasks.")
    ]
    return {
        "bases": sorted({base for node in classes for base in _bases(node)}),
        "classes": {node.name: _bases(node) for node in tree.body if isinstance(node, ast.ClassDef)},
        "taken": {alias.asname or alias.name: [node.module, alias.name] for node in taken for alias in node.names},
        "code": {},
    }


def _bases(node: ast.ClassDef) -> list[str]:
    return [base.id for base in node.bases if isinstance(base, ast.Name)]


@cache
def _leads_to_params(name: str, module: str, root: Path) -> bool:
    """Return whether a class, by the name it has in a module, is `Params` or made from it."""
    if (module, name) == _PARAMS:
        return True
    if (path := module_path(module, root)) is None:
        return False
    source = _source(path)
    if name in source["classes"]:
        return any(_leads_to_params(base, module, root) for base in source["classes"][name])
    if name in source["taken"]:
        origin, original = source["taken"][name]
        return _leads_to_params(original, origin, root)
    return False


class _Canonical:
    """The text of a module's tree that is the same for the same meaning, in every version of Python; and what it imports.

    Classes made from a name in `declaring` are models of params.
    """

    def __init__(self, declaring: frozenset[str]) -> None:
        self._declaring = declaring
        self._parts: list[str] = []
        self._imports: list[ast.Import | ast.ImportFrom] = []
        self._unicode = False

    def of(self, tree: ast.Module) -> dict[str, Any]:
        """Return the digest of the text, what is imported for sure or `perhaps` (a name may be a module), and packages."""
        self._add(tree)
        own = {one for node in self._imports for one in _imported(node)}
        perhaps = {one for node in self._imports for one in _deeper(node)}
        thirds = {one.partition(".")[0] for node in self._imports for one in _named(node)} - _OWN
        return {
            "digest": hashlib.sha256("".join(self._parts).encode()).hexdigest(),
            "imports": sorted(own),
            "perhaps": sorted(perhaps),
            "packages": sorted(thirds - sys.stdlib_module_names),
            "unicode": self._unicode or bool(thirds & {"re", "unicodedata"}),
        }

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
                    value = self._body(node, value)
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

    def _body(self, node: ast.AST, body: list[Any]) -> list[Any]:
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and body and _is_text(body[0]):
            body = body[1:]
        body = [one for one in body if not _for_types(one) and not _is_union(one)]
        if isinstance(node, ast.ClassDef) and not self._declaring.isdisjoint(_bases(node)):
            body = [one for one in body if not _is_declaration(one)]
        return body


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the modules of this repository that an import statement names."""
    return (name for name in _named(node) if name.partition(".")[0] == "tasks")


def _deeper(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield what an import statement takes from modules of this repository, any of which may be a module itself."""
    if isinstance(node, ast.ImportFrom):
        yield from (f"{module}.{alias.name}" for module in _imported(node) for alias in node.names)


def _named(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif node.module:
        yield node.module


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_union(node: ast.AST) -> bool:
    """Return whether a statement names a type with its bounds or its kinds: what holds for a value, not what it does."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id == "Annotated"


def _is_declaration(node: ast.AST) -> bool:
    """Return whether a statement in a model of params declares or checks values, which stand in the key themselves."""
    if isinstance(node, ast.FunctionDef):
        decorators = {called(one) for one in node.decorator_list}
        return node.name == "mistakes" or bool(decorators & {"field_validator", "model_validator"})
    return isinstance(node, ast.AnnAssign) or (
        isinstance(node, ast.Assign) and [called(target) for target in node.targets] == ["model_config"]
    )
