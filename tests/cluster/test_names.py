"""Readable names of domains."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.cluster.names import discriminative_terms, document_counts, domain_labels, domain_names
from tasks.embedding.terms import terms

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


def test_words_of_any_script_have_terms() -> None:
    assert terms("山上的天文台建于1924年", 3) == ["山上", "天文台"]
    assert terms("ดาวบนสันเขา", 3) == ["ดาว", "บน", "สันเขา"]
    assert terms("हिन्दी में विज्ञान", 3) == ["हिन्दी", "में", "विज्ञान"]  # vowels are combining marks there
    assert terms("한국어 위키백과", 3) == ["한국어", "위키백과"]
    assert terms("don't re_use x1", 3) == ["don", "use"]


def test_function_words_of_other_scripts_are_told_by_their_use_and_left_out() -> None:
    # 그리고 and 때문에 (and, because) stand in most documents of both domains; a third one is English.
    films = [
        "그리고 감독의 영화 음악이 때문에",
        "그리고 감독의 배우 영화가 때문에",
        "그리고 극장에서 때문에 상영한",
        "감독의 음악이",
    ]
    wars = ["그리고 전쟁의 장군이 때문에", "그리고 제국의 전쟁의 때문에", "그리고 군대를 때문에", "제국의 장군이"]
    english = ["the licence and the warranty"] * 4
    counts = [document_counts(own) for own in (films, wars, english)]
    found = discriminative_terms(counts, [4, 4, 4])
    assert found[0][:2] == ["감독의", "음악이"] and set(found[1][:3]) == {"장군이", "전쟁의", "제국의"}
    assert not {"그리고", "때문에"} & {*found[0], *found[1]}
    assert set(found[2]) == {"licence", "warranty"}


def test_a_domain_of_another_script_has_a_plain_name_and_a_label_in_its_own_words() -> None:
    own = [["감독의", "영화의", "음악에"], ["전쟁의", "제국의", "장군이"], ["licence", "court", "été"]]
    names = domain_names(own, [{"wiki": 9}, {"wiki": 9}, {"law": 9}])
    assert names == ["wiki", "wiki-2", "law-licence-court"]
    assert domain_labels(names, own) == ("감독의 영화의 음악에", "전쟁의 제국의 장군이", "licence court été")


def test_a_domain_whose_words_are_all_in_its_name_is_called_by_it() -> None:
    assert domain_labels(["law-licence", "domain"], [["licence", "court"], []]) == ("law-licence", "domain")
