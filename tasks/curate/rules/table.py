"""Every rule there is. A profile names those it uses, gives each its threshold, and says in which order filters decide.

Within a filter the order is that of this table; `docs/curation.md` has the same rules with their sources. Those of datatrove
have a module of their own, because they carry its defaults and reasons.
"""

from tasks.curate.rules.datatrove import RULES as DATATROVE
from tasks.curate.rules.rule import Rule, Side
from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS


def _quality(threshold: str, statistic: str, side: Side, reason: str) -> Rule:
    return Rule(threshold, statistic, side, "gopher_quality", reason, "gopher")


def _repetition(statistic: str, reason: str) -> Rule:
    return Rule(f"max_{statistic}", statistic, "at_most", "gopher_repetition", reason, "gopher")


# Rae et al. 2021, appendix A1.1 and table A1, on whitespace words. Quality comes before repetition, because a fraction of
# repeated characters says little about a text of ten words.
GOPHER = (
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
# RefinedWeb as DCLM reproduced it (Li et al. 2024, dclm_baseline_refinedweb), in its order. These look at the text before
# the line rules run; only the last looks at what those took. (statistic, side, reason), each with "refinedweb_" before it.
_REFINEDWEB_ROWS: tuple[tuple[str, Side, str], ...] = (
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

REFINEDWEB = tuple(
    Rule(
        f"{'min' if side == 'at_least' else 'max'}_refinedweb_{statistic}",
        f"refinedweb_{statistic}",
        side,
        "refinedweb",
        reason,
        "rewriting",
    )
    for statistic, side, reason in _REFINEDWEB_ROWS
)


# Rae et al. 2021 and others look at the text alone; these look at where it comes from and what it holds.
OTHERS = (
    Rule("max_url_blocked_domain", "url_blocked_domain", "at_most", "url", "blocked_domain", "url"),
    Rule("max_url_banned_substring", "url_banned_substring", "at_most", "url", "banned_url_substring", "url"),
    Rule("max_url_hard_words", "url_hard_words", "at_most", "url", "hard_word_in_url", "url"),
    Rule("max_url_soft_words", "url_soft_words", "at_most", "url", "too_many_soft_words_in_url", "url"),
    Rule("languages", "language", "one_of", "language", "other_language", "language"),
    Rule("min_language_score", "language_score", "at_least", "language", "uncertain_language", "language"),
    Rule("max_pii_keys", "pii_keys", "at_most", "pii", "secret_keys", "pii"),
)
# Mixwright's own, behind those of the filters that they join: C4 keeps whatever its line rules leave of a text.
LEFT = (
    Rule("min_c4_kept_char_fraction", "c4_kept_char_fraction", "at_least", "c4", "gutted_by_line_rules", "rewriting"),
)
RULES: tuple[Rule, ...] = (*OTHERS, *GOPHER, *REFINEDWEB, *DATATROVE, *LEFT)
FILTERS: tuple[str, ...] = tuple(dict.fromkeys(rule.filter for rule in RULES))
INDEX = {rule.threshold: index for index, rule in enumerate(RULES)}
