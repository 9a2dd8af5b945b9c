"""Unicode repair: what `ftfy.fix_text` gives, at a fraction of its time.

ftfy works line by line, and most lines are fine. Each of its steps changes a line only if the line holds certain
characters or sequences; where none of them occurs the line is not given to ftfy. The tests are taken from ftfy's own
tables, so that they are exact for the version installed.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tasks.curate.refine.config import UnicodeRepair
from tasks.curate.refine.operations import Edit, difference

COLUMN = "refine_unicode_chars"
LONGEST_BADNESS = 7  # characters of the longest sequence that ftfy's test for mojibake knows
_WIDE = "\u3000"
# One of the sequences is one only at the start of a line.
_AT_START = re.compile("^[ÃÂ] ", re.MULTILINE)


@dataclass(frozen=True)
class _Plan:
    """ftfy's config, and what a line must hold for ftfy to change it."""

    ftfy: Any
    ftfy_behind_html: Any
    characters: re.Pattern[str]
    mojibake: re.Pattern[str] | None
    entity: re.Pattern[str] | None
    html_ends_entities: bool
    normalization: Any


def repair(text: str, config: UnicodeRepair) -> list[Edit]:
    """Return the edits that make a text what `ftfy.fix_text` with these options makes of it.

    `amount` is in characters: those between the first and the last difference of a line.
    """
    plan = _plan(config)
    # ftfy cuts a longer line in pieces; where a piece starts matters, and is not seen from the whole.
    fine = len(text) <= plan.ftfy.max_decode_length and not _suspicious(text, plan, behind_html=False)
    return [] if fine else list(_edits(text, plan))


def _edits(text: str, plan: _Plan) -> Iterator[Edit]:
    import ftfy

    behind_html = False
    for start, end in _segments(text, plan.ftfy.max_decode_length):
        segment = text[start:end]
        behind_html = behind_html or (plan.html_ends_entities and "<" in segment)
        if _suspicious(segment, plan, behind_html=behind_html):
            config = plan.ftfy_behind_html if behind_html else plan.ftfy
            fixed = ftfy.fix_and_explain(segment, config).text
            if fixed != segment:
                yield difference(segment, fixed, start, COLUMN)


def _segments(text: str, most_chars: int) -> Iterator[tuple[int, int]]:
    """Cut a text as ftfy does: behind line feeds, or after so many characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        end = min(end, start + most_chars)
        yield start, end
        start = end


def _suspicious(text: str, plan: _Plan, *, behind_html: bool) -> bool:
    """Could ftfy change anything in this text? Exact for a line; for several, yes if yes for one of them."""
    if plan.entity is not None and not behind_html and plan.entity.search(text):
        return True
    if plan.characters.search(text):
        return True
    if text.isascii():
        return False
    if plan.normalization is not None and not unicodedata.is_normalized(plan.normalization, text):
        return True
    return plan.mojibake is not None and _bad(text, plan.mojibake)


def _bad(text: str, clue: re.Pattern[str]) -> bool:
    """Could ftfy take this for mojibake? What it looks for is short and holds a clue, so it is around one of them."""
    from ftfy.badness import BADNESS_RE

    if _AT_START.search(text):
        return True
    return any(
        BADNESS_RE.search(text[max(0, match.start() - LONGEST_BADNESS) : match.end() + LONGEST_BADNESS])
        for match in clue.finditer(text)
    )


@lru_cache(maxsize=8)
def _plan(config: UnicodeRepair) -> _Plan:
    from ftfy import TextFixerConfig, chardata
    from ftfy.badness import BADNESS_RE

    options = TextFixerConfig(**config.model_dump())
    auto = config.unescape_html == "auto"
    return _Plan(
        options,
        options._replace(unescape_html=False) if auto else options,
        _any_of(_changed_characters(config)),
        _mojibake(BADNESS_RE.pattern) if config.fix_encoding else None,
        chardata.HTML_ENTITY_RE if config.unescape_html else None,
        auto,
        config.normalization,
    )


def _changed_characters(config: UnicodeRepair) -> set[str]:
    from ftfy import chardata

    characters = set(map(chr, range(0x80, 0xA0)))
    if config.remove_terminal_escapes:
        characters.add("\x1b")
    if config.remove_control_chars:
        characters |= set(map(chr, chardata.CONTROL_CHARS))
    if config.fix_latin_ligatures:
        characters |= set(map(chr, chardata.LIGATURES))
    if config.fix_character_width:
        characters |= set(map(chr, chardata.WIDTH_MAP))
    if config.uncurl_quotes:
        characters |= set("\u02bc\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f")
    if config.fix_line_breaks:
        characters |= set("\r\u2028\u2029")
    return characters


def _mojibake(pattern: str) -> re.Pattern[str]:
    """Return what every match of ftfy's test for mojibake holds: two characters of its tables, or a telling single one."""
    high = "".join(sorted({character for character in pattern if character >= _WIDE}))
    table = rf"[\xa0-\u2fff{re.escape(high)}]"
    return re.compile(rf"{table}{{2,}}|[\x80-\x9fŒœÃÂ]")


def _any_of(characters: set[str]) -> re.Pattern[str]:
    return re.compile("[" + "".join(re.escape(character) for character in sorted(characters)) + "]")
