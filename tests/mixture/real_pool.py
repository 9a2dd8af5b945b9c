"""A small token pool of real text that every machine has: Python's own sources and documentation, and shuffled words."""

import encodings
import inspect
import json
import pydoc_data.topics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.digest import digest_file
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.rng import generator
from tasks.tokenize.pool import write_pool

VOCABULARY = 1024
END = "<|end|>"
PIECE = 1500


def sources() -> list[str]:
    """Pieces of Python's own modules."""
    folder = Path(inspect.getfile(json)).parents[1]
    names = [
        "argparse.py",
        "ast.py",
        "calendar.py",
        "csv.py",
        "difflib.py",
        "inspect.py",
        "pathlib.py",
        "statistics.py",
    ]
    present = [folder / name for name in names if (folder / name).is_file()]
    return pieces("\n".join(path.read_text(encoding="utf-8") for path in present))


def tables() -> list[str]:
    """Pieces of the character tables of Python's codecs."""
    folder = Path(inspect.getfile(encodings)).parent
    return pieces("\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("cp*.py"))[:8]))


def documentation() -> list[str]:
    """Pieces of the language reference that `help()` shows."""
    return pieces("\n".join(text for _, text in sorted(pydoc_data.topics.topics.items())))


def shuffled(texts: Sequence[str], copies: int) -> list[str]:
    """The same words in an order that means nothing, several times over."""
    words = np.array(" ".join(texts).split())
    orders = [generator(5, "shuffled words", copy).permutation(len(words)) for copy in range(copies)]
    return pieces(" ".join(" ".join(words[order].tolist()) for order in orders))


def pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def write_real_pool(folder: Path) -> Manifest:
    """Write the pool as the tokenize stage publishes it, shuffled words being most of it; return its manifest."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = {"code": sources()[:120], "documentation": documentation()[:120], "tables": tables()[:120]}
    texts["shuffled-words"] = shuffled(texts["documentation"], copies=12)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(
        [text for name in ("code", "documentation", "tables") for text in texts[name]], trainer
    )
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END)
    # Every character of a byte-level token stands for one byte.
    lengths = [len(tokenizer.id_to_token(token)) for token in range(VOCABULARY)]
    domains = {name: split(tokenizer.encode_batch(parts), end) for name, parts in texts.items()}
    write_pool(folder, domains, vocab_size=VOCABULARY, document_end=end, token_bytes=lengths)
    return described(folder)


def described(folder: Path) -> Manifest:
    """Write the manifest of a pool that was written by hand."""
    paths = sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder).as_posix()
    )
    files = tuple(
        FileRecord(path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size) for path in paths
    )
    manifest = Manifest("tokenize", {}, {}, "test", files)
    manifest.write(folder)
    return manifest


def split(encoded: Sequence[object], end: int) -> dict[str, npt.NDArray[np.int64]]:
    """Every tenth piece is held out for search, the next for test."""
    parts: dict[str, list[int]] = {"train": [], "search": [], "test": []}
    for number, piece in enumerate(encoded):
        name = {0: "search", 1: "test"}.get(number % 10, "train")
        parts[name] += [*piece.ids, end]  # type: ignore[attr-defined]
    return {name: np.array(tokens, dtype=np.int64) for name, tokens in parts.items()}
