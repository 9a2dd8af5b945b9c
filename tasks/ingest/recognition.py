"""What a file holds, told by how it begins. Its name is a hint, and decides only where the content could be either.

Texts and programs stay one document each, whatever they quote; what is no text and of no known kind is `unknown`, and
says what it looks like.
"""

import codecs
import csv
import re
from collections.abc import Mapping

from tasks.core.errors import DataError
from tasks.ingest.formats import Compression, Format, Hint, Kind, hint_of
from tasks.ingest.readers.json_object import object_of
from tasks.ingest.readers.stream import decompressed

# So much of a file is looked at: bzip2 gives nothing before its first block of up to 900 kB is whole.
HEAD_BYTES = 1 << 20
_PLAIN_BYTES = 64 << 10
_COMPRESSED: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x5d\x2a\x4d\x18", "zstd"),
)
_CONTAINERS: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", "parquet"),
    (b"WARC/", "warc"),
    (b"filedesc://", "arc"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_OTHERS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "an image or sound (RIFF)"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ\x90", "a program (Windows)"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "a Feather file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "an lz4 stream"),
    (b"\xff\x06\x00\x00sNaPpY", "a snappy stream"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
)
_OFFICE = re.compile(rb"\[Content_Types\]\.xml|mimetypeapplication/|META-INF/")
_HTML = re.compile(
    r"(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)[\s>]", re.I | re.S
)
_OBJECT, _ARRAY = re.compile(r'\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})'), re.compile(r"\[\s*(?:\{|\]\s*$)")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Kinds whose content cannot be taken for another: a name that says so is believed of a damaged beginning.
_OF_RECORDS: frozenset[Kind | None] = frozenset({"arc", "csv", "jsonl", "parquet", "tar", "warc", "zip"})
_MIN_ROWS = 5


def recognised(name: str, head: bytes, *, whole: bool, kinds: Mapping[str, Kind] | None = None) -> Format:
    """Return the format of a file that is called `name` and begins with `head` (all of it, where it is `whole`).

    `kinds` says by suffix, without its dot, what files are, whatever they look like.
    """
    hint = hint_of(name)
    compression = next((known for magic, known in _COMPRESSED if head.startswith(magic)), None)
    plain = _beginning(head, compression)
    if forced := (kinds or {}).get(hint.suffix.removeprefix(".")):
        return Format(forced, compression or hint.compression)
    if compression and not plain:
        # Nothing comes out of it: empty, or damaged, which whoever reads it will say.
        return Format(hint.kind or "text", compression)
    kind, looks_like = _kind(plain, hint, whole=whole and len(plain) < _PLAIN_BYTES)
    # Named compressed, and no text or container that anybody knows: damaged at its beginning.
    if hint.compression and not compression and (not plain or kind == "unknown" or b"\0" in plain):
        return Format(hint.kind or "text", hint.compression)
    if compression and (kind in {"parquet", "zip"} or any(plain.startswith(magic) for magic, _ in _COMPRESSED)):
        inner = kind if kind in {"parquet", "zip"} else "another compressed stream"
        return Format("unknown", compression, f"{inner} inside {compression}: unpack it first")
    return Format(kind, compression, looks_like)


def _beginning(head: bytes, compression: Compression | None) -> bytes:
    if compression is None:
        return head[:_PLAIN_BYTES]
    held = b""
    try:
        for block in decompressed(iter([head]), compression, ""):
            held += block
            if len(held) >= _PLAIN_BYTES:
                break
    except DataError:
        pass  # cut here, or damaged: what came out before is looked at
    return held[:_PLAIN_BYTES]


def _kind(plain: bytes, hint: Hint, *, whole: bool) -> tuple[Kind, str]:
    """Return the kind of what is inside, and what an unknown one looks like."""
    if known := _by_magic(plain, hint):
        return known
    if plain.startswith(_UTF16):
        return _wide(plain, hint)
    text = _text(plain, whole=whole)
    if text is not None:
        return _kind_of_text(text.lstrip("\ufeff \t\r\n"), hint, whole=whole)
    if hint.kind in _OF_RECORDS or hint.kind == "html":
        return hint.kind or "text", ""
    binary = b"\0" in plain or hint.kind == "json"
    return ("unknown", "binary data") if binary else ("text", "")


def _by_magic(plain: bytes, hint: Hint) -> tuple[Kind, str] | None:
    kind = next((known for magic, known in _CONTAINERS if plain.startswith(magic)), None)
    if kind == "zip" and hint.kind != "zip" and _OFFICE.search(plain[:200]):
        return "unknown", "an Office document, e-book or program in a zip archive"
    if kind is None and plain[257:262] == b"ustar":
        kind = "tar"
    if kind is not None:
        return kind, ""
    other = next((looks for magic, looks in _OTHERS if plain.startswith(magic)), None)
    return None if other is None else ("unknown", other)


def _text(plain: bytes, *, whole: bool) -> str | None:
    """Return the text that bytes hold in UTF-8, which may be cut at their end; None where they hold none."""
    if b"\0" in plain:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(plain, whole)
    except UnicodeDecodeError:
        return None


def _wide(plain: bytes, hint: Hint) -> tuple[Kind, str]:
    """Return the kind of a text in UTF-16: pages and texts are read, records are not."""
    if hint.kind == "html":
        return "html", ""
    begins = plain[2:].replace(b"\0", b"").lstrip()[:1]
    if hint.kind in _OF_RECORDS or begins == b"{":
        return "unknown", "records in UTF-16: convert them to UTF-8"
    return "text", ""


def _kind_of_text(begins: str, hint: Hint, *, whole: bool) -> tuple[Kind, str]:
    """Return the kind of a text; `begins` is its first part, without blanks before it."""
    page = bool(_HTML.match(begins))
    named: Kind = hint.kind or "text"
    if not begins or hint.kind == "html":
        return named, ""
    if hint.kind is not None and page:
        return "unknown", f"a web page, though named {hint.suffix}"
    if json := _json(begins, hint, whole=whole):
        return json
    if hint.kind == "json":
        return "unknown", "a text, though named .json: it does not begin like an object or a list of objects"
    if hint.kind is None and not hint.suffix and (page or _is_table(begins, whole=whole)):
        return ("html" if page else "csv"), ""
    # A text where the name says a binary container is a damaged one, as its reader will say.
    return named, ""


def _json(begins: str, hint: Hint, *, whole: bool) -> tuple[Kind, str] | None:
    """Return what a text is that begins like JSON, if it is that."""
    named = hint.kind in {"json", "jsonl"} or not hint.suffix
    if begins.startswith("["):
        if _ARRAY.match(begins) and (named or begins.rstrip() != "[]"):
            return "json", ""
        return ("unknown", "a JSON list that holds no objects") if hint.kind == "json" else None
    if not _OBJECT.match(begins):
        return None
    *ended, last = begins.split("\n")
    complete = [line for line in [*ended, *([last] if whole else [])] if line and not line.isspace()]
    objects = [_is_object(line) for line in complete[:2]]
    # One line that is longer than what is looked at, or whose first lines are objects, whatever the name.
    lines = (named or hint.suffix == ".txt") if not objects else objects[0] and (named or objects == [True, True])
    if lines:
        return "jsonl", ""
    return ("json", "") if named and hint.kind != "jsonl" else None


def _is_object(line: str) -> bool:
    try:
        object_of(line.encode())
    except ValueError:
        return False
    return True


def _is_table(begins: str, *, whole: bool) -> bool:
    """Return whether a text without a suffix has rows of as many fields as its first line names."""
    lines = begins.splitlines()[: _MIN_ROWS + 1]
    lines = lines if whole else lines[:-1]
    for delimiter in ("\t", ","):
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(lines) >= 3 and len(widths) == 1 and widths != {1}:
            return True
    return False
