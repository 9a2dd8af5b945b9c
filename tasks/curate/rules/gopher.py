"""The rules of Gopher (Rae et al. 2021, appendix A1.1 and table A1) on whitespace words.

Quality comes before repetition, because a fraction of repeated characters says little about a text of ten words.
"""

from tasks.curate.rules.rule import Rule, Side
from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS


def _quality(threshold: str, statistic: str, side: Side, reason: str) -> Rule:
    return Rule(threshold, statistic, side, "gopher_quality", reason, "gopher")


def _repetition(statistic: str, reason: str) -> Rule:
    return Rule(f"max_{statistic}", statistic, "at_most", "gopher_repetition", reason, "gopher")


RULES = (
    _quality("min_words", "words", "at_least", "too_few_words"),
    _quality("max_words", "words", "at_most", "too_many_words"),
    _quality("min_mean_word_chars", "mean_word_chars", "at_least", "mean_word_too_short"),
    _quality("max_mean_word_chars", "mean_word_chars", "at_most", "mean_word_too_long"),
    _quality("max_hash_word_ratio", "hash_word_ratio", "at_most", "too_many_hash_symbols"),
    _quality("max_ellipsis_word_ratio", "ellipsis_word_ratio", "at_most", "too_many_ellipses"),
    _quality("max_bullet_line_fraction", "bullet_line_fraction", "at_most", "too_many_bullet_lines"),
    _quality("max_ellipsis_line_fraction", "ellipsis_line_fraction", "at_most", "too_many_ellipsis_lines"),
    _quality("min_alphabetic_word_fraction", "alphabetic_word_fraction", "at_least", "too_few_alphabetic_words"),
    _quality("min_stop_words", "stop_words", "at_least", "too_few_stop_words"),
    _repetition("duplicate_line_fraction", "too_many_duplicate_lines"),
    _repetition("duplicate_paragraph_fraction", "too_many_duplicate_paragraphs"),
    _repetition("duplicate_line_char_fraction", "too_many_characters_in_duplicate_lines"),
    _repetition("duplicate_paragraph_char_fraction", "too_many_characters_in_duplicate_paragraphs"),
    *(_repetition(f"top_{n}_gram_char_fraction", f"too_many_characters_in_top_{n}_gram") for n in TOP_LENGTHS),
    *(
        _repetition(f"duplicate_{n}_gram_char_fraction", f"too_many_characters_in_duplicate_{n}_grams")
        for n in DUPLICATE_LENGTHS
    ),
)
