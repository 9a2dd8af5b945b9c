"""One safetensors file, hashed while it is written: what is on the disk was read once, and no tensor is copied.

The library's own writer copies every tensor into Python bytes and holds the interpreter while it writes, so a run that goes
on beside it would stand still. Its reader reads these files; ours does where the library is missing.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

_NAMES = {
    torch.float64: "F64",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_BLOCK_BYTES = 1 << 24


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors of the CPU as a safetensors file, flushed to the disk; return the digest of its bytes.

    Raises:
        OSError: the disk refuses it.
    """
    # Wide numbers first, then by name: every tensor begins at a multiple of its numbers' size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    state = hashlib.sha256()
    with path.open("wb") as stream:
        for block in chain([memoryview(_header(names, tensors))], _blocks(names, tensors)):
            state.update(block)
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    return state.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that `write_tensors` wrote."""
    types = {name: dtype for dtype, name in _NAMES.items()}
    with path.open("rb") as stream:
        entries = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        content = torch.frombuffer(bytearray(stream.read()), dtype=torch.uint8)
    return {
        name: content[slice(*entry["data_offsets"])].view(types[entry["dtype"]]).view(entry["shape"])
        for name, entry in entries.items()
    }


def _header(names: list[str], tensors: Mapping[str, Tensor]) -> bytes:
    entries, place = {}, 0
    for name in names:
        tensor = tensors[name]
        end = place + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _blocks(names: list[str], tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    for name in names:
        data = tensors[name].detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        for start in range(0, len(data), _BLOCK_BYTES):
            yield data[start : start + _BLOCK_BYTES].data
