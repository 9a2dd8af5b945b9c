"""Readable names of domains."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.cluster.names import discriminative_terms, document_counts, domain_names

words = st.lists(st.text(min_size=1, max_size=8), max_size=6)


@given(
    st.lists(
        st.tuples(words, st.dictionaries(st.text(max_size=6), st.integers(1, 9), max_size=3)), min_size=1, max_size=6
    )
)
def test_names_are_unique_ascii_and_never_empty(domains: list[tuple[list[str], dict[str, int]]]) -> None:
    names = domain_names([terms for terms, _ in domains], [sources for _, sources in domains])
    assert len(set(names)) == len(domains)
    assert all(name.isascii() and name.strip("-") == name and name for name in names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_the_words_that_tell_a_domain_from_the_others_come_first() -> None:
    texts = [["the licence and the warranty"] * 5, ["the function and the loop"] * 5]
    counts = [document_counts(own) for own in texts]
    first, second = discriminative_terms(counts, [5, 5])
    assert set(first) == {"licence", "warranty"}
    assert set(second) == {"function", "loop"}


def test_forms_of_one_word_are_named_once() -> None:
    counts = [Counter({"infringed": 5, "infringing": 4, "court": 3}), Counter({"bread": 5})]
    assert discriminative_terms(counts, [5, 5])[0] == ["infringed", "court"]


def test_a_source_that_dominates_leads_the_name() -> None:
    assert domain_names([["alpha", "beta", "gamma"]], [{"C headers": 7, "tests": 3}]) == ["c-headers-alpha-beta"]
    assert domain_names([["alpha", "beta", "gamma"]], [{"C headers": 5, "tests": 5}]) == ["alpha-beta-gamma"]
