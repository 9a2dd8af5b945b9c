"""Tables as plain text, the same with and without a terminal, wide characters counted as what they fill; and in Markdown."""

import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

# No line is broken: a table is as wide as its cells, and whoever reads it from a file or a pipe gets whole rows.
_WIDTH = 100_000


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return a head and rows of cells as lines: the first `left` columns to the left, the others to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="left" if index < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    printed = io.StringIO()
    Console(file=printed, width=_WIDTH, color_system=None, force_terminal=False).print(table)
    return [line.rstrip() for line in printed.getvalue().splitlines()]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a head and rows of cells as the lines of a table in Markdown.

    >>> markdown_table(("arm", "gain"), [("a", "0.1")])
    ['| arm | gain |', '|---|---|', '| a | 0.1 |']
    """
    return [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *(f"| {' | '.join(row)} |" for row in rows)]
