"""The account closes, or the run fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.account import Account, Count
from tasks.core.errors import AccountError

counts = st.builds(Count, st.integers(0, 10**9), st.integers(0, 10**12), st.integers(0, 10**11))
edits = st.dictionaries(
    st.sampled_from(["refine", "rewriting"]),
    st.builds(Count, st.just(0), st.integers(-9, 10**6), st.integers(-9, 10**6)),
)
reasons = st.dictionaries(st.sampled_from(["too_few_words", "near_duplicate", "invalid_utf8"]), counts)


@st.composite
def closed_accounts(draw: st.DrawFn) -> Account:
    kept, dropped, quarantined, edited = draw(counts), draw(reasons), draw(reasons), draw(edits)
    taken = kept
    for count in (*dropped.values(), *quarantined.values(), *edited.values()):
        taken = taken + count
    return Account(taken, kept, dropped, quarantined, edited)


@given(closed_accounts(), closed_accounts())
def test_the_sum_of_closed_accounts_is_closed(left: Account, right: Account) -> None:
    assert (left + right).closed("here").taken == left.taken + right.taken


@given(closed_accounts(), st.sampled_from(["documents", "bytes", "tokens"]), st.integers(1, 5))
def test_an_account_that_lost_anything_is_refused(account: Account, what: str, lost: int) -> None:
    taken = Count(**(vars(account.taken) | {what: getattr(account.taken, what) + lost}))
    with pytest.raises(AccountError, match="does not close"):
        Account(taken, account.kept, account.dropped, account.quarantined, account.edited).closed("here")


@given(closed_accounts())
def test_an_account_survives_json(account: Account) -> None:
    assert Account.from_json(account.to_json()) == account
