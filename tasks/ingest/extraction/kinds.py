"""The methods of extraction, and the choice of one. A method is one module, one member of the union and one arm."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.ingest.extraction import with_resiliparse, with_trafilatura
from tasks.ingest.extraction.method import Extracted
from tasks.ingest.extraction.with_resiliparse import Resiliparse
from tasks.ingest.extraction.with_trafilatura import Trafilatura

__all__ = ["Extracted", "Extraction", "Resiliparse", "Trafilatura", "extract"]

Extraction = Annotated[Trafilatura | Resiliparse, Field(discriminator="kind")]


def extract(html: str, extraction: Extraction) -> Extracted:
    """Return the main text of a page; `html` must not be empty."""
    match extraction:
        case Trafilatura():
            return with_trafilatura.extract(html, extraction)
        case Resiliparse():
            return with_resiliparse.extract(html, extraction)
        case _:
            assert_never(extraction)
