"""The kinds of rewritings, and what a step asks of the chosen one."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.curate.rewriting import c4, refinedweb
from tasks.curate.rewriting.c4 import C4Lines
from tasks.curate.rewriting.refinedweb import RefinedWebLines
from tasks.curate.statistics.texts import Columns, Texts

Rewriting = Annotated[C4Lines | RefinedWebLines, Field(discriminator="kind")]


def rewrite(texts: Texts, rewriting: Rewriting) -> tuple[Texts, Columns]:
    """Return the texts that a rewriting leaves, and the statistics it takes."""
    match rewriting:
        case C4Lines():
            return c4.rewrite_and_count(texts, rewriting)
        case RefinedWebLines():
            return refinedweb.rewrite_and_count(texts, rewriting)
        case _ as other:
            assert_never(other)
