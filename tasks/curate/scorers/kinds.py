"""The kinds of scorers, and the choice of one.

A kind is a module with a frozen config and a `METHOD` (see `method.ScorerMethod`).
"""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.curate.scorers import (
    betr,
    celadon,
    celadon_trained,
    classifier,
    dataman,
    dp4tl,
    dsir,
    entries,
    fasttext,
    fasttext_trained,
    mass,
    metadata,
    perplexity,
    preselect,
    qurating,
    random_order,
    regression,
    self_cleaning,
    simcore,
)
from tasks.curate.scorers.betr import Betr
from tasks.curate.scorers.celadon import Celadon
from tasks.curate.scorers.celadon_trained import CeladonTrained
from tasks.curate.scorers.classifier import Classifier
from tasks.curate.scorers.dataman import DataMan
from tasks.curate.scorers.dp4tl import Dp4tl
from tasks.curate.scorers.dsir import Dsir
from tasks.curate.scorers.entries import Entries
from tasks.curate.scorers.fasttext import FastText
from tasks.curate.scorers.fasttext_trained import FastTextTrained
from tasks.curate.scorers.mass import Mass
from tasks.curate.scorers.metadata import Metadata
from tasks.curate.scorers.method import ScorerMethod, column
from tasks.curate.scorers.perplexity import Perplexity
from tasks.curate.scorers.preselect import PreSelect
from tasks.curate.scorers.qurating import QuRating
from tasks.curate.scorers.random_order import RandomOrder
from tasks.curate.scorers.regression import Regression
from tasks.curate.scorers.self_cleaning import SelfCleaning
from tasks.curate.scorers.simcore import SimCore

Scorer = Annotated[
    Betr
    | Celadon
    | CeladonTrained
    | Classifier
    | DataMan
    | Dp4tl
    | Dsir
    | Entries
    | FastText
    | FastTextTrained
    | Mass
    | Metadata
    | Perplexity
    | PreSelect
    | QuRating
    | RandomOrder
    | Regression
    | SelfCleaning
    | SimCore,
    Field(discriminator="kind"),
]


def method(config: Scorer) -> ScorerMethod:  # noqa: PLR0911, PLR0912 (one of each kind)
    """Return what a scorer is."""
    match config:
        case Betr():
            return betr.METHOD
        case Celadon():
            return celadon.METHOD
        case CeladonTrained():
            return celadon_trained.METHOD
        case Classifier():
            return classifier.METHOD
        case DataMan():
            return dataman.METHOD
        case Dp4tl():
            return dp4tl.METHOD
        case Dsir():
            return dsir.METHOD
        case Entries():
            return entries.METHOD
        case FastText():
            return fasttext.METHOD
        case FastTextTrained():
            return fasttext_trained.METHOD
        case Mass():
            return mass.METHOD
        case Metadata():
            return metadata.METHOD
        case Perplexity():
            return perplexity.METHOD
        case PreSelect():
            return preselect.METHOD
        case QuRating():
            return qurating.METHOD
        case RandomOrder():
            return random_order.METHOD
        case Regression():
            return regression.METHOD
        case SelfCleaning():
            return self_cleaning.METHOD
        case SimCore():
            return simcore.METHOD
        case _ as other:
            assert_never(other)


def columns_of(config: Scorer) -> list[str]:
    """Return the names of a scorer's columns."""
    return [column(config.name, part) for part in method(config).columns]
