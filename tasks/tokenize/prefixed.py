"""The documents of a domain once more, each behind tokens of its metadata: what stages with metadata are trained on.

The prefix says where a document comes from (MeCo, arXiv 2501.01956): `URL: ` and the host of its address (`unknown` where it
has none) or `Source: ` and the name of its source, then an empty line. `metadata/<split>/<NN>-<domain>.bin` holds the
documents of a domain in the order of its tokens, each behind its prefix and ended by `document_end`, and beside it
`<NN>-<domain>.prefixes.bin` the tokens of each prefix (64 bits): in a folder of their own, so that what reads the tokens
alone is not made again for them.

Axes: D documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, assert_never

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

Metadata = Literal["host", "source"]
# Columns of the kept documents that metadata is read of.
COLUMNS: "Mapping[Metadata, str]" = {"host": "url", "source": "source"}
UNKNOWN = "unknown"
# Where the files of prefixed documents lie in a pool.
METADATA = "metadata/"


@dataclass(frozen=True)
class Prefixed:
    """Documents with prefixes, one after the other, [tokens], and the tokens of each prefix, [D]."""

    tokens: npt.NDArray[np.unsignedinteger[Any]]
    sizes: npt.NDArray[np.unsignedinteger[Any]]


def prefix(metadata: Metadata, value: str | None) -> str:
    r"""Return what stands before a document, of its address or of its source.

    >>> prefix("host", "https://en.wikipedia.org/wiki/Mixture"), prefix("host", None)
    ('URL: en.wikipedia.org\n\n', 'URL: unknown\n\n')
    """
    match metadata:
        case "host":
            return f"URL: {_host(value or '')}\n\n"
        case "source":
            return f"Source: {value or UNKNOWN}\n\n"
        case _:
            assert_never(metadata)


def prefixed_paths(tokens: str) -> tuple[str, str]:
    """Return where the documents with prefixes of a file of tokens lie, and the tokens of each prefix.

    >>> prefixed_paths("tokens/train/03-python-code.bin")
    ('metadata/train/03-python-code.bin', 'metadata/train/03-python-code.prefixes.bin')
    """
    found = METADATA + tokens.removeprefix("tokens/")
    return found, f"{found.removesuffix('.bin')}.prefixes.bin"


def with_prefixes(
    tokens: npt.NDArray[np.int64], starts_D: npt.NDArray[np.int64], prefixes: Sequence[npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64]:
    """Return packed documents, each behind its prefix.

    >>> with_prefixes(np.array([5, 0, 6, 7, 0]), np.array([0, 2]), [np.array([8]), np.array([8, 9])]).tolist()
    [8, 5, 0, 8, 9, 6, 7, 0]
    """
    documents = np.split(tokens, starts_D[1:])
    parts = [part for pair in zip(prefixes, documents, strict=False) for part in pair]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or UNKNOWN
    except ValueError:
        return UNKNOWN
