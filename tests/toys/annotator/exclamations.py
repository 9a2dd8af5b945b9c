"""Exclamation marks per text."""

from typing import Literal

import numpy as np

from tasks.core.params import Params
from tasks.curate.annotators.method import AnnotatorMethod
from tasks.curate.statistics.texts import Columns, Texts


class Exclamations(Params):
    """`mark`: what is counted."""

    kind: Literal["exclamations"] = "exclamations"
    mark: str = "!"


def exclamations(texts: Texts, config: Exclamations) -> Columns:
    """Return `exclamations` (int64): how often the mark stands in each text."""
    return {"exclamations": np.array([text.count(config.mark) for text in texts.to_list()], np.int64)}


METHOD = AnnotatorMethod(lambda config, documents, held: exclamations(documents.texts, config))
