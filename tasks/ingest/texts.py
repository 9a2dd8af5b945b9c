"""The texts in a file of the Python installation, one function per kind of file. A file that is not text gives none."""

import ast
import email.parser
import email.policy
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.ingest.installation import Installed

# A longer file would be a large part of its source by itself (tables of data, generated code).
_MAX_FILE_BYTES = 50_000
# Shorter texts ("Return the name.", an empty `__init__.py`) say nothing about their kind.
_MIN_CHARS = 200
_MIN_DOCSTRING_CHARS = 300
# Parsing is what takes the time here: only files with a string of that length in three quotes are parsed.
_LONG_STRING = re.compile(r'"""(?:(?!""").){300}|\'\'\'(?:(?!\'\'\').){300}', re.DOTALL)


@dataclass(frozen=True)
class SampleText:
    """One document of the sample; `bytes` is the size of its text in UTF-8."""

    id: str
    text: str
    bytes: int


def whole_text(file: Installed) -> Iterator[SampleText]:
    """Yield the file as one document."""
    if (text := _read(file.path)) is not None:
        yield from _sample(file.name, text)


def code_text(file: Installed) -> Iterator[SampleText]:
    """Yield a Python file as one document, comments and docstrings included."""
    yield from whole_text(file)


def docstrings(file: Installed) -> Iterator[SampleText]:
    """Yield every longer docstring of a Python file, called `<file>:<qualified name>:<line>`."""
    text = _read(file.path)
    if text is None or not _LONG_STRING.search(text):
        return
    for name, documentation in _documented(_parsed(text), ""):
        yield from _sample(f"{file.name}:{name}", documentation)


def reference_topics(file: Installed) -> Iterator[SampleText]:
    """Yield the topics of `pydoc_data/topics.py`: the language reference, in a dictionary that is read, not run."""
    for statement in _parsed(_read(file.path, limit=None) or "").body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            for name, text in sorted(ast.literal_eval(statement.value).items()):
                yield from _sample(f"{file.name}:{name}", text)


def long_description(file: Installed) -> Iterator[SampleText]:
    """Yield the README that a package's metadata carries after its headers."""
    if (text := _read(file.path)) is None:
        return
    message = email.parser.Parser(policy=email.policy.compat32).parsestr(text)
    description = str(message.get_payload()).strip() or str(message.get("Description", "")).strip()
    yield from _sample(file.name, description)


def _documented(node: ast.Module | ast.stmt, above: str) -> Iterator[tuple[str, str]]:
    """Yield (qualified name and line, docstring) of a module, its classes, and their functions."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        name = above if isinstance(node, ast.Module) else f"{above}.{node.name}".lstrip(".")
        text = ast.get_docstring(node)
        if text is not None and len(text) >= _MIN_DOCSTRING_CHARS:
            yield f"{name or '(module)'}:{getattr(node, 'lineno', 1)}", text
        above = name
    if isinstance(node, ast.Module | ast.ClassDef | ast.If | ast.Try):
        for child in node.body:
            yield from _documented(child, above)


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's code
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return ast.Module(body=[], type_ignores=[])  # templates, and the parser's own test files


def _read(path: Path, limit: int | None = _MAX_FILE_BYTES) -> str | None:
    try:
        if limit is not None and path.stat().st_size > limit:
            return None
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None  # a dangling link, a file of another user, or no text


def _sample(name: str, text: str) -> Iterator[SampleText]:
    """Yield the text, unless it is a stub or has a lone surrogate (which no UTF-8 can hold)."""
    if len(text) < _MIN_CHARS:
        return
    try:
        yield SampleText(name, text, len(text.encode()))
    except UnicodeEncodeError:
        return
