"""Every rule there is. A profile names those it uses, gives each its threshold, and says in which order filters decide.

Within a filter the order is that of this table. `docs/curation.md` has the source of each rule.
"""

from tasks.curate.rules.datatrove import RULES as DATATROVE
from tasks.curate.rules.gopher import RULES as GOPHER
from tasks.curate.rules.refinedweb import RULES as REFINEDWEB
from tasks.curate.rules.rule import Rule

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
