"""The profiles that come with Mixwright, and which source is judged by which. Data, no logic.

`prose` has the thresholds of the Gopher paper. The other two start from it and change what is not meant for their text;
their numbers were chosen here, on source code, data files and translations, and have no published source.
"""

from tasks.curate.rules.profile import Profile

PROSE = Profile(
    min_words=50,
    max_words=100_000,
    min_mean_word_chars=3,
    max_mean_word_chars=10,
    max_hash_word_ratio=0.1,
    max_ellipsis_word_ratio=0.1,
    max_bullet_line_fraction=0.9,
    max_ellipsis_line_fraction=0.3,
    min_alphabetic_word_fraction=0.8,
    min_stop_words=2,
    max_duplicate_line_fraction=0.30,
    max_duplicate_paragraph_fraction=0.30,
    max_duplicate_line_char_fraction=0.20,
    max_duplicate_paragraph_char_fraction=0.20,
    max_top_2_gram_char_fraction=0.20,
    max_top_3_gram_char_fraction=0.18,
    max_top_4_gram_char_fraction=0.16,
    max_duplicate_5_gram_char_fraction=0.15,
    max_duplicate_6_gram_char_fraction=0.14,
    max_duplicate_7_gram_char_fraction=0.13,
    max_duplicate_8_gram_char_fraction=0.12,
    max_duplicate_9_gram_char_fraction=0.11,
    max_duplicate_10_gram_char_fraction=0.10,
)

# Names joined by dots and brackets make long words, "#" is a comment or a directive, "..." an empty body, braces and
# numbers are words without letters, and a line that only closes a block repeats. Dropped: stubs, blobs, copied blocks.
CODE = Profile(
    min_words=20,
    max_words=100_000,
    min_mean_word_chars=2,
    max_mean_word_chars=20,
    max_duplicate_line_fraction=0.70,
    max_duplicate_paragraph_fraction=0.30,
    max_duplicate_line_char_fraction=0.35,
    max_duplicate_paragraph_char_fraction=0.20,
    max_top_2_gram_char_fraction=0.25,
    max_top_3_gram_char_fraction=0.25,
    max_top_4_gram_char_fraction=0.25,
    max_duplicate_5_gram_char_fraction=0.40,
    max_duplicate_6_gram_char_fraction=0.38,
    max_duplicate_7_gram_char_fraction=0.36,
    max_duplicate_8_gram_char_fraction=0.34,
    max_duplicate_9_gram_char_fraction=0.32,
    max_duplicate_10_gram_char_fraction=0.30,
)

# The stop words are English and the mean word length is that of languages with blanks between short words.
ANY_LANGUAGE = PROSE.model_copy(
    update={"min_stop_words": None, "min_mean_word_chars": None, "max_mean_word_chars": None}
)

PROFILES = {"prose": PROSE, "code": CODE, "any_language": ANY_LANGUAGE}

# Sources that are not named here are judged by the default profile, `prose`.
PROFILE_OF_SOURCE = {
    "code": "code",
    "tests": "code",
    "headers": "code",
    "data": "code",
    "multilingual": "any_language",
}
