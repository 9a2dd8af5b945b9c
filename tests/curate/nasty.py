"""Text that finds the differences between two readings of Unicode: for tests of kernels against their fallbacks."""

from hypothesis import strategies as st

# Blanks and line breaks of every kind, marks that rules look for, letters, digits and numbers of several scripts, a
# combining accent, signs of four bytes, and letters whose other case is an ASCII letter.
PIECES = (
    *" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u3000\x00",
    *(
        "\r\n",
        "\n\n",
        "\n \n",
        ". . .",
        "...",
        "…",
        "•",
        "●",
        "-",
        "–",
        "*",
        "#",
        "_",
        "'",
        "’",
        "·",
        ":",
        ",",
        ";",
        ".",
    ),
    *("a", "the", "The", "THE", "of", "Of", "word", "Sign-in", "SIGN-IN", "ſign-in", "items in cart", "Read more..."),
    *("1", "23", "٣", "²", "½", "Ⅷ", "3 likes", "1.2K views", "(7 shares)", "don't", "3,000.5", "a_b", "x.y"),
    *("É", "ß", "ǅ", "Ⓐ", "e\u0301", "漢", "한국", "ไทย", "İ", "\u212a", "😀", "👩\u200d👧", "\ufeff", "\u200b"),
    # Scripts without blanks, beside what is of others.
    *(
        "「山上の天文台。」",
        "v2版",
        "ดาวบนสันเขา",
        "ๆ",
        "១២",
        "ភ្នំ",
        "ကျောင်း",
        "ꊿꂷꌠ",
        "བདེ་",
        "ｶﾀ",
        "〇",
        "★",
        "\u3099",
    ),
)
nasty = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join)
