"""What lies beside a dataset and is none of it: markers of the programs that wrote it, checksums, its description."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from tasks.ingest.formats import WHOLE, Kind

MARKER, COMPANION = "marker or checksum", "description beside a dataset"
# Written by Spark, Hadoop, Delta, Dask, operating systems, and by who sums up files. Never text to train on.
_MARKERS = re.compile(
    r"_(?:SUCCESS|FAILURE|metadata|common_metadata|started.*|committed.*)|.*\.(?:crc|md5|sha1|sha256|sha512|sfv)"
    r"|(?:md5|sha1|sha256|sha512)sums?(?:\.txt)?|checksums?(?:\.txt)?|thumbs\.db|desktop\.ini",
    re.IGNORECASE,
)
_MARKER_FOLDERS = frozenset({"_delta_log", "_temporary", "_spark_metadata", "__MACOSX"})
# Documents where there are other documents; a dataset of records is only described by them.
_COMPANIONS = re.compile(
    r"(?:readme|licen[cs]e|notice|changelog|changes|copying|datasheet|data_?card|provenance|citation)(?:[._-].*)?"
    r"|(?:dataset_infos?|dataset_dict|state|manifest|stats)\.json|.*\.cdxj?(?:\.gz)?|.*\.idx",
    re.IGNORECASE,
)


def is_marker(path: str) -> bool:
    """Return whether a path, below an input folder, is that of a marker or a checksum.

    >>> is_marker("data/_SUCCESS"), is_marker("a.jsonl.md5"), is_marker("success.txt")
    (True, True, False)
    """
    inner = PurePosixPath(path)
    return bool(_MARKERS.fullmatch(inner.name)) or not _MARKER_FOLDERS.isdisjoint(inner.parts)


def companions(paths: Sequence[str], kinds: Sequence[Kind]) -> set[str]:
    """Return which of the files of one input folder only describe the others.

    They do where their folder, with all below it, holds records (`.jsonl`, `.parquet`, `.warc`, ...) and no other text:
    the README of a dataset is no document, the README of a source tree is one.
    """
    named = {path for path in paths if _COMPANIONS.fullmatch(PurePosixPath(path).name)}
    texts: set[PurePosixPath] = set()
    records: set[PurePosixPath] = set()
    for path, kind in zip(paths, kinds, strict=True):
        if path not in named:
            (texts if kind in WHOLE else records).update(PurePosixPath(path).parents)
    beside = records - texts
    return {path for path in named if PurePosixPath(path).parent in beside}
