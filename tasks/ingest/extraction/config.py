"""The params of extraction: how the main text of a page is found. A method is one module and one member of the union."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.core.params import Params

_Seconds = Annotated[float, Field(gt=0)]


class _Method(Params):
    """What every method shares."""

    # A page that takes longer is set aside as `extraction_failed`: deep nesting makes some parsers quadratic. Far above
    # any real page measured (17 ms is usual, 0.5 s the longest), because it is the one limit that depends on the machine.
    timeout_s: _Seconds = 20.0
    # Memory of an extraction grows with the page: about 60 bytes per byte of HTML. Common Crawl cuts pages at 5 MiB.
    max_page_bytes: Annotated[int, Field(ge=1, le=64 << 20)] = 4 << 20


class Trafilatura(_Method):
    """trafilatura: rules and density, with readability and jusText behind them (`fast`: without these two).

    `focus` agreement reads each page generously, strictly and with resiliparse, and keeps the lines of the generous reading
    that another confirms, see `agreement`. The others are trafilatura's own `favor_precision` and `favor_recall`.
    """

    kind: Literal["trafilatura"] = "trafilatura"
    focus: Literal["agreement", "balanced", "precision", "recall"] = "agreement"
    fast: bool = False
    include_tables: bool = True
    include_comments: bool = False


class Resiliparse(_Method):
    """resiliparse: a handful of rules on its own parser. Fifteen times as fast, and keeps more boilerplate."""

    kind: Literal["resiliparse"] = "resiliparse"
    main_content: bool = True
    alt_texts: bool = False
    list_bullets: bool = True


Extraction = Annotated[Trafilatura | Resiliparse, Field(discriminator="kind")]
