"""Files of fastText classifiers, as its own saveModel writes them."""

import struct

import numpy as np

from tasks.curate.fasttext_model import MAGIC


def plain_model(words: tuple[str, ...], labels: tuple[str, ...]) -> bytes:
    """A fastText classifier as its own saveModel writes it: word i speaks for label i, and nothing else does."""
    size = len(words)
    arguments = (size, 5, 1, 1, 5, 1, 3, 3, 0, 0, 0, 100)  # dim ws epoch minCount neg wordNgrams loss model bucket ...
    header = struct.pack("<ii12id", MAGIC, 12, *arguments, 1e-4)
    names = [(word, 0) for word in words] + [(label, 1) for label in labels]
    dictionary = struct.pack("<iiiqq", 2 * size, size, size, 10, -1)
    dictionary += b"".join(name.encode() + b"\0" + struct.pack("<qb", 5, kind) for name, kind in names)
    matrix = struct.pack("<qq", size, size) + (np.eye(size) * 9).astype("<f4").tobytes()
    return header + dictionary + b"\0" + matrix + b"\0" + matrix
