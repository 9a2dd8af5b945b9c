"""All laws: the union of their params, the columns each reads, and the one place that chooses the function that fits one."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.laws import chinchilla, cmr, cod, d_cpt, loss_to_loss, over_training
from tasks.laws.chinchilla import Chinchilla, fit_chinchilla
from tasks.laws.cmr import Cmr, fit_cmr
from tasks.laws.cod import Cod, fit_cod
from tasks.laws.d_cpt import DCpt, fit_d_cpt
from tasks.laws.law import FittedLaw, Reads
from tasks.laws.loss_to_loss import LossToLoss, fit_loss_to_loss
from tasks.laws.over_training import OverTraining, fit_over_training
from tasks.laws.table import LawTable

LawParams = Annotated[Chinchilla | OverTraining | DCpt | Cmr | LossToLoss | Cod, Field(discriminator="kind")]


def reads(params: LawParams) -> Reads:
    """Return the columns that a law reads."""
    match params:
        case Chinchilla():
            return chinchilla.READS
        case OverTraining():
            return over_training.READS
        case DCpt():
            return d_cpt.READS
        case Cmr():
            return cmr.READS
        case LossToLoss():
            return loss_to_loss.READS
        case Cod():
            return cod.READS
        case _:
            assert_never(params)


def fit(params: LawParams, runs: LawTable) -> FittedLaw:
    """Fit one law to a table of runs.

    Raises:
        EvidenceError: the points cannot identify it.
    """
    match params:
        case Chinchilla():
            return fit_chinchilla(params, runs)
        case OverTraining():
            return fit_over_training(params, runs)
        case DCpt():
            return fit_d_cpt(params, runs)
        case Cmr():
            return fit_cmr(params, runs)
        case LossToLoss():
            return fit_loss_to_loss(params, runs)
        case Cod():
            return fit_cod(params, runs)
        case _:
            assert_never(params)
