"""A classifier of fastText that the user brings, such as DCLM's: the probability of one of its labels."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.curate.annotators.language import LanguageId, user_files
from tasks.curate.annotators.method import existing_file
from tasks.curate.fasttext_model import inspect, load_model, probabilities
from tasks.curate.scorers.method import Documents, Given, ScorerMethod, ScorerParams
from tasks.curate.statistics.texts import Columns


class FastText(ScorerParams):
    """P(`label`) of the whole document, its lines as one; the label as it stands in the model, such as `__label__hq`.

    `model` is a fastText classifier (.bin or .ftz); None: lid.176, which identifies languages, so that `__label__de` gives
    the probability of German. A document in which it knows no word has no score.
    """

    kind: Literal["fasttext"] = "fasttext"
    model: Annotated[str, Field(min_length=1)] | None = None
    label: Annotated[str, Field(min_length=1)]


def _user_files(config: FastText) -> dict[str, Path]:
    if config.model is None:
        return {"model": user_files(LanguageId())["model_path"]}
    setting = f"scorer {config.name}, model"
    return {"model": existing_file(config.model, setting, "a fastText classifier (.bin or .ftz)")}


def _load(config: FastText, given: Given) -> Any:
    setting = f"scorer {config.name}, model"
    model = load_model(given.files["model"], setting)
    labels = inspect(given.files["model"]).labels
    if config.label not in labels:
        shown = ", ".join(labels[:8]) + (" and others" if len(labels) > 8 else "")
        raise ConfigError(f"scorer {config.name}: its model has no label {config.label!r}. It has {shown}.")
    return model


def _score(config: FastText, documents: Documents, held: Any) -> Columns:
    return {"": probabilities(held, config.label, documents.to_list())}


METHOD = ScorerMethod(("",), _score, _load, user_files=_user_files, file_fields=("model",))
