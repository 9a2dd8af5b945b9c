"""The rules of datatrove 0.10.1 for English, filter by filter, in its order, with its reasons and its defaults.

All of them let a value equal to its threshold pass. datatrove's reason stands in `peer_reason`, because some of its names
say the opposite of what happened ("gopher_enough_stop_words" is too few, "max_non_alpha_words_ratio" a minimum).
"""

from tasks.curate.rules.rule import Rule, Side

# (statistic, side, default, our reason, datatrove's reason), in the order of its filters and of the tests in each.
Row = tuple[str, Side, float, str, str]

_REPETITION: tuple[Row, ...] = (
    ("english_characters", "at_least", 1, "empty", "empty"),
    ("english_duplicate_paragraph_fraction", "at_most", 0.3, "too_many_duplicate_paragraphs", "dup_para_frac"),
    (
        "english_duplicate_paragraph_char_fraction",
        "at_most",
        0.2,
        "too_many_characters_in_duplicate_paragraphs",
        "dup_para_char_frac",
    ),
    ("english_duplicate_line_fraction", "at_most", 0.3, "too_many_duplicate_lines", "dup_line_frac"),
    (
        "english_duplicate_line_char_fraction",
        "at_most",
        0.2,
        "too_many_characters_in_duplicate_lines",
        "dup_line_char_frac",
    ),
    *(
        (
            f"english_top_{n}_gram_char_fraction",
            "at_most",
            default,
            f"too_many_characters_in_top_{n}_gram",
            f"top_{n}_gram",
        )
        for n, default in ((2, 0.2), (3, 0.18), (4, 0.16))
    ),
    *(
        (
            f"english_duplicate_{n}_gram_char_fraction",
            "at_most",
            default,
            f"too_many_characters_in_duplicate_{n}_grams",
            f"duplicated_{n}_n_grams",
        )
        for n, default in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    ),
)
_QUALITY: tuple[Row, ...] = (
    ("english_words", "at_least", 50, "too_few_words", "gopher_short_doc"),
    ("english_words", "at_most", 100_000, "too_many_words", "gopher_long_doc"),
    ("english_mean_word_chars", "at_least", 3, "mean_word_too_short", "gopher_below_avg_threshold"),
    ("english_mean_word_chars", "at_most", 10, "mean_word_too_long", "gopher_above_avg_threshold"),
    ("english_hash_word_ratio", "at_most", 0.1, "too_many_hash_symbols", "gopher_too_many_hashes"),
    ("english_ellipsis_word_ratio", "at_most", 0.1, "too_many_ellipses", "gopher_too_many_ellipsis"),
    ("english_bullet_line_fraction", "at_most", 0.9, "too_many_bullet_lines", "gopher_too_many_bullets"),
    ("english_ellipsis_line_fraction", "at_most", 0.3, "too_many_ellipsis_lines", "gopher_too_many_end_ellipsis"),
    ("english_alphabetic_word_fraction", "at_least", 0.8, "too_few_alphabetic_words", "gopher_below_alpha_threshold"),
    ("english_stop_words", "at_least", 2, "too_few_stop_words", "gopher_enough_stop_words"),
)
_C4: tuple[Row, ...] = (
    # Of these two, the first line to offend decides; the columns hold at most one 1.
    ("c4_lorem_ipsum", "at_most", 0, "lorem_ipsum", "lorem_ipsum"),
    ("c4_curly_bracket", "at_most", 0, "curly_bracket", "curly_bracket"),
    ("c4_sentences", "at_least", 5, "too_few_sentences", "too_few_sentences"),
)
_FINEWEB: tuple[Row, ...] = (
    ("fineweb_lines", "at_least", 1, "no_lines_left", "empty"),
    (
        "fineweb_terminal_punctuation_line_fraction",
        "at_least",
        0.12,
        "too_few_lines_with_terminal_punctuation",
        "line_punct_ratio",
    ),
    ("fineweb_short_line_fraction", "at_most", 0.67, "too_many_short_lines", "short_line_ratio"),
    (
        "fineweb_duplicate_line_char_fraction",
        "at_most",
        0.01,
        "too_many_characters_in_duplicate_lines",
        "char_dup_ratio",
    ),
    ("fineweb_newline_word_ratio", "at_most", 0.3, "too_many_lines_for_the_words", "list_ratio"),
)
# (filter, group of statistics that it looks at, its rows)
_FILTERS: tuple[tuple[str, str, tuple[Row, ...]], ...] = (
    ("english_repetition", "english", _REPETITION),
    ("english_quality", "english", _QUALITY),
    ("c4", "rewriting", _C4),
    ("fineweb", "rewriting", _FINEWEB),
)


def _threshold(statistic: str, side: Side) -> str:
    return f"{'min' if side == 'at_least' else 'max'}_{statistic}"


RULES: tuple[Rule, ...] = tuple(
    Rule(_threshold(statistic, side), statistic, side, name, reason, group, peer_reason)
    for name, group, rows in _FILTERS
    for statistic, side, _, reason, peer_reason in rows
)
# datatrove's default of every rule, by the name of its threshold, in the order of decision.
DEFAULTS: dict[str, float] = {
    _threshold(statistic, side): default for _, _, rows in _FILTERS for statistic, side, default, _, _ in rows
}
