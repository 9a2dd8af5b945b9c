"""Line removal: the user's regular expressions and boilerplate lines."""

import re
from functools import lru_cache

from tasks.curate.refine.config import LineRemoval
from tasks.curate.refine.edits import Edit

COLUMN = "refine_lines"


def remove_lines(text: str, config: LineRemoval) -> list[Edit]:
    """Return one edit per line that a pattern or an entry of the list takes out."""
    patterns, boilerplate = _compiled(config)
    edits, start = [], 0
    for line in text.split("\n"):
        end = start + len(line)
        if line.strip() in boilerplate or any(pattern.search(line) for pattern in patterns):
            edits.append(Edit(start, min(end + 1, len(text)), "", COLUMN, 1))
        start = end + 1
    return edits


@lru_cache(maxsize=8)
def _compiled(config: LineRemoval) -> tuple[tuple[re.Pattern[str], ...], frozenset[str]]:
    # An empty entry would take out every blank line, and with them the paragraphs.
    boilerplate = frozenset(line.strip() for line in config.boilerplate) - {""}
    return tuple(re.compile(pattern) for pattern in config.patterns), boilerplate
