"""Texts as Arrow lays them out: one buffer of UTF-8 and the offsets in it. Kernels read it without making an object."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Statistics by name, one value per document: int64 or float64 (or strings, of a language).
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Texts:
    """N texts: text i is bytes `offsets[i]:offsets[i + 1]` of `data` (UTF-8). `offsets`: int64 [N + 1], ascending."""

    data: Any
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def to_list(self) -> list[str]:
        """Return the texts as strings."""
        whole = memoryview(self.data)
        ends = self.offsets.tolist()
        return [str(whole[start:end], "utf-8") for start, end in pairwise(ends)]

    def to_arrow(self) -> "pa.LargeStringArray":
        """Return the texts as an Arrow array; nothing is copied where the data is a buffer of Arrow."""
        offsets = pa.py_buffer(np.ascontiguousarray(self.offsets, np.int64))
        data = self.data if isinstance(self.data, pa.Buffer) else pa.py_buffer(self.data)
        return pa.LargeStringArray.from_buffers(len(self), offsets, data)

    @property
    def bytes_N(self) -> NDArray[np.int64]:
        """The UTF-8 bytes of every text."""
        return np.diff(self.offsets)


def texts_of(texts: "Sequence[str] | pa.Array | pa.ChunkedArray") -> Texts:
    """Return texts in Arrow's layout; an Arrow array of one chunk is not copied.

    Raises:
        ValueError: one of them is null.
    """
    array = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    array = array.cast(pa.large_string())
    if array.null_count:
        raise ValueError(f"{array.null_count} of {len(array)} texts are null")
    if len(array) == 0:
        return Texts(b"", np.zeros(1, np.int64))
    _, offsets, data = array.buffers()
    every = np.frombuffer(offsets, np.int64, len(array) + 1, offset=8 * array.offset)
    return Texts(data if data is not None else b"", every)
