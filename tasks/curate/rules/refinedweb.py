"""The document rules of RefinedWeb as DCLM reproduced them (Li et al. 2024, dclm_baseline_refinedweb), in its order.

They look at the text before the line rules run; only the last one looks at what those took.
"""

from tasks.curate.rules.rule import Rule, Side
from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS

# (statistic, side, reason), each with "refinedweb_" before it.
_ROWS: tuple[tuple[str, Side, str], ...] = (
    ("words", "at_least", "too_few_words"),
    ("words", "at_most", "too_many_words"),
    ("mean_word_chars", "at_least", "mean_word_too_short"),
    ("mean_word_chars", "at_most", "mean_word_too_long"),
    ("symbol_word_ratio", "at_most", "too_many_symbols"),
    ("bullet_line_fraction", "at_most", "too_many_bullet_lines"),
    ("ellipsis_line_fraction", "at_most", "too_many_ellipsis_lines"),
    ("nonalphabetic_word_fraction", "at_most", "too_many_nonalphabetic_words"),
    ("stop_word_occurrences", "at_least", "too_few_stop_words"),
    ("repeated_line_fraction", "at_most", "too_many_repeated_lines"),
    ("repeated_paragraph_fraction", "at_most", "too_many_repeated_paragraphs"),
    ("repeated_line_char_fraction", "at_most", "too_many_characters_in_repeated_lines"),
    ("repeated_paragraph_char_fraction", "at_most", "too_many_characters_in_repeated_paragraphs"),
    *((f"top_{n}_gram_char_ratio", "at_most", f"too_many_characters_in_top_{n}_gram") for n in TOP_LENGTHS),
    *(
        (f"repeated_{n}_gram_char_fraction", "at_most", f"too_many_characters_in_repeated_{n}_grams")
        for n in DUPLICATE_LENGTHS
    ),
    ("removed_word_fraction", "at_most", "too_many_words_in_removed_lines"),
)

RULES = tuple(
    Rule(
        f"{'min' if side == 'at_least' else 'max'}_refinedweb_{statistic}",
        f"refinedweb_{statistic}",
        side,
        "refinedweb",
        reason,
        "rewriting",
    )
    for statistic, side, reason in _ROWS
)
