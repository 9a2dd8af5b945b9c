"""Texts of a target, as vectors."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.core.digest import digest_bytes
from tasks.core.errors import DataError
from tasks.curate.decontaminate.benchmarks import named_files
from tasks.curate.scorers.examples import item_texts
from tasks.curate.scorers.method import EmbeddedParams, Target
from tasks.embedding.kinds import Embed, sample_size

# Of a smaller target people are told; a guess.
_FEW_TEXTS = 100


class TargetParams(EmbeddedParams):
    """Params of a scorer by nearness to a target.

    Attributes:
        target: JSONL files (.jsonl, .jsonl.gz), paths or globs; each record is a text.
        fields: the fields of a record that are its text; None: every string, of choices the right one.
    """

    target: Annotated[tuple[str, ...], Field(min_length=1)]
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


def target_files(config: TargetParams) -> dict[str, Path]:
    """Return the files of a target by name.

    Raises:
        ConfigError: one does not exist.
    """
    return named_files(config.target, f"scorer {config.name}, target")


def target_of(config: TargetParams, files: Iterable[str]) -> Target:
    """Return which of the user's files are the target: all."""
    return Target(tuple(files), config.fields)


def target_vectors(config: TargetParams, files: Mapping[str, Path], embed: Embed) -> npt.NDArray[np.float32]:
    """Return the vectors of a target's texts in the order of a hash of them, without those of which nothing is known.

    Raises:
        DataError: nothing is known of any.
    """
    texts = [text for name, path in files.items() for text in item_texts(name, path, config.fields)]
    vectors_MD = embed(sorted(texts, key=lambda text: digest_bytes(text.encode())))
    known_MD = vectors_MD[np.any(vectors_MD != 0, axis=1)]
    if not len(known_MD):
        raise no_words(config, f"no word of its {len(texts):,} target texts")
    return known_MD


def no_words(config: EmbeddedParams, knows: str) -> DataError:
    """Return what is said of an embedder that `knows` too little: one that learns here needs more documents."""
    told = f"scorer {config.name}: its embedder {config.embedding.embedder.kind} knows {knows}"
    if sample_size(config.embedding.embedder) is None:
        return DataError(f"{told}. Choose another embedder, which knows the language of these texts.")
    return DataError(
        f"{told}; it learns words from the documents here, and these are too few, or of other words. Give more documents, "
        "or name an embedder that is trained already: `embedding: {embedder: {kind: wordllama}}`."
    )


def target_told(target_MD: npt.NDArray[np.float32]) -> dict[str, object]:
    """Return what people are told of a target."""
    few = len(target_MD) < _FEW_TEXTS
    warning = {"warning": f"the target has {len(target_MD):,} texts"} if few else {}
    return {"target_texts": len(target_MD), **warning}
