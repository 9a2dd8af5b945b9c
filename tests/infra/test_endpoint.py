"""Asking an endpoint: what was answered is never asked again, faults are waited out or named, budgets end it cleanly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.endpoint import asking
from infra.endpoint.asking import ask
from infra.endpoint.budget import bound
from infra.endpoint.client import Address
from infra.endpoint.kept import Answer, KeptAnswers
from infra.errors import BudgetError, EndpointError, SettingsError
from infra.settings import EndpointSettings, load_settings
from tests.infra.endpoint_server import Body, EndpointServer, Reply, endpoint_server

KEY = "sk-a-secret-of-the-test"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def questions(*texts: str) -> list[dict[str, Any]]:
    return [{"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 20} for text in texts]


def asked_of(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def ask_all(
    server: EndpointServer | str,
    requests: Sequence[dict[str, Any]],
    folder: Path,
    said: list[str] | None = None,
    **how: Any,
) -> list[Answer]:
    kept = KeptAnswers(folder / "kept.sqlite")
    url = server if isinstance(server, str) else server.url
    settings = EndpointSettings.model_validate({"timeout_s": 5, "deadline_s": 5} | how)
    say = (said if said is not None else []).append
    try:
        return ask(requests, Address(url, "OPENAI_API_KEY"), settings, kept, say=say, progress=lambda done, total: None)
    finally:
        kept.close()


def test_equal_requests_are_asked_once_and_answers_are_never_asked_for_again(tmp_path: Path) -> None:
    with endpoint_server(lambda body, _: Reply(asked_of(body).upper())) as server:
        first = ask_all(server, questions("a", "b", "a"), tmp_path)
        again = ask_all(server, questions("b", "c", "a"), tmp_path)
    assert [one.text for one in first] == ["A", "B", "A"]
    assert [one.text for one in again] == ["B", "C", "A"]
    assert sorted(server.questions()) == ["a", "b", "c"]
    assert {*server.keys} == {f"Bearer {KEY}"}
    assert ask_all("http://127.0.0.1:9/v1", questions("a", "b", "c"), tmp_path) == [first[0], first[1], again[1]]
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_servers_that_fail_for_a_while_are_asked_until_they_answer(tmp_path: Path) -> None:
    faults = [
        Reply("busy", status=503),
        Reply(reset=True),
        Reply("slow", wait_s=0.6),
        Reply(raw="<html>a proxy's page</html>", headers={"Content-Type": "text/html"}),
        Reply(raw='{"choices": []}'),
        Reply("wait", status=429, headers={"Retry-After": "0.02"}),
    ]
    said: list[str] = []
    with endpoint_server(lambda body, before: faults[before] if before < len(faults) else Reply("yes")) as server:
        (found,) = ask_all(server, questions("a"), tmp_path, said, timeout_s=0.3)
    assert found == Answer("yes", None, 10, 5)
    assert len(server.asked) == 7
    assert "2 times the reply was no completion" in said[-1] and "1 times 503: busy" in said[-1]


def test_a_server_that_asks_to_wait_is_left_alone_by_all(tmp_path: Path) -> None:
    def reply(body: Body, before: int) -> Reply:
        if asked_of(body) == "a" and not before:
            return Reply("wait", status=429, headers={"Retry-After": "0.3"})
        return Reply("yes", wait_s=0.03)

    with endpoint_server(reply) as server:
        ask_all(server, questions(*"abcdefgh"), tmp_path, concurrency=2)
    first = server.questions().index("a")
    later = [at - server.times[first] for at in server.times[first + 2 :]]
    assert min(later) > 0.25


def test_requests_are_spaced_and_no_more_than_asked_for_are_under_way(tmp_path: Path) -> None:
    with endpoint_server(lambda body, _: Reply("yes", wait_s=0.02)) as server:
        ask_all(server, questions(*"abcdef"), tmp_path, requests_per_minute=2_400)
        apart = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
        assert sum(apart) > 5 * 0.025 * 0.9
    with endpoint_server(lambda body, _: Reply("yes", wait_s=0.02)) as server:
        ask_all(server, questions(*"ghijkl"), tmp_path, concurrency=2)
        assert server.most_at_once == 2


def test_an_endpoint_that_stays_silent_ends_with_its_name_and_what_is_kept_is_kept(tmp_path: Path) -> None:
    def reply(body: Body, before: int) -> Reply:
        return Reply("down", status=500) if asked_of(body) == "b" else Reply("yes")

    said = r"not answered within 0.2 s .*500: down. 1 of 2 requests are answered"
    with endpoint_server(reply) as server, pytest.raises(EndpointError, match=said):
        ask_all(server, questions("a", "b"), tmp_path, deadline_s=0.2, concurrency=1)
    with endpoint_server(lambda body, _: Reply("later")) as server:
        assert [one.text for one in ask_all(server, questions("a", "b"), tmp_path)] == ["yes", "later"]
        assert server.questions() == ["b"]
    with pytest.raises(EndpointError, match="the connection failed"):
        ask_all("http://127.0.0.1:9/v1", questions("z"), tmp_path, deadline_s=0.05)


@pytest.mark.parametrize(
    ("limit", "answered"),
    [
        ({"max_requests": 3}, 3),
        ({"max_tokens": 15 * 3 + bound(questions("a")[0]).input_tokens + 20}, 4),
        ({"max_cost": 3 * 20e-6 + 0.0001, "input_price": 1.0, "output_price": 2.0}, 3),
    ],
)
def test_a_budget_is_never_exceeded_and_what_was_answered_counts_in_the_next_run(
    limit: dict[str, float], answered: int, tmp_path: Path
) -> None:
    with endpoint_server(lambda body, _: Reply("yes")) as server:
        for _ in range(2):
            with pytest.raises(BudgetError, match=rf"{answered} of 6 requests are answered and kept.*Raise it"):
                ask_all(server, questions(*"abcdef"), tmp_path, concurrency=3, **limit)
            assert len(server.asked) == answered
        assert len(ask_all(server, questions(*"abcdef"), tmp_path)) == 6
    assert len(server.asked) == 6


def test_tokens_that_a_server_does_not_tell_are_counted_as_the_most_they_can_be(tmp_path: Path) -> None:
    with endpoint_server(lambda body, _: Reply("yes", usage=None)) as server:
        (found,) = ask_all(server, questions("a"), tmp_path)
    most = bound(questions("a")[0])
    assert (found.input_tokens, found.output_tokens) == (most.input_tokens, 20)


def test_refused_requests_and_nonsense_are_kept_apart_and_not_asked_again(tmp_path: Path) -> None:
    replies = {"b": Reply("too long", status=400), "c": Reply(raw="[]"), "d": Reply("")}
    with endpoint_server(lambda body, _: replies.get(asked_of(body), Reply("yes"))) as server:
        found = ask_all(server, questions(*"bacd"), tmp_path, concurrency=1)
        assert ask_all(server, questions(*"abcd"), tmp_path) == [found[1], found[0], found[2], found[3]]
    assert [one.text for one in found] == [None, "yes", None, None]
    assert [one.why for one in found if one.why] == [
        "refused (400: too long)",
        "the reply is no completion: '[]'",
        "no text (finish_reason 'stop')",
    ]
    assert server.questions().count("c") == 3 and server.questions().count("b") == 1


def test_a_way_of_asking_that_nothing_answers_ends_at_once_and_is_not_remembered(tmp_path: Path) -> None:
    refused, said = Reply("no such parameter", status=422), r"none of the first 5 requests has an answer.*no such param"
    with endpoint_server(lambda body, _: refused) as server, pytest.raises(EndpointError, match=said):
        ask_all(server, questions(*"abcdefgh"), tmp_path, concurrency=1)
    assert len(server.asked) == 5
    with endpoint_server(lambda body, _: Reply("yes")) as server:
        assert {one.text for one in ask_all(server, questions(*"abcdefgh"), tmp_path)} == {"yes"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply(f"bad key {KEY}", status=401),
            r"does not take the key \(401: bad key \*\*\*\); the key is that of OPENAI",
        ),
        (Reply("none", status=404), r"no such address or model \(404: none\)"),
        (Reply("quota", status=429, headers={"code": "insufficient_quota"}), "the account has no credit"),
    ],
)
def test_what_no_request_can_mend_ends_at_the_first(reply: Reply, said: str, tmp_path: Path) -> None:
    with endpoint_server(lambda body, _: reply) as server, pytest.raises(EndpointError, match=said) as error:
        ask_all(server, questions(*"abc"), tmp_path, concurrency=1)
    assert len(server.asked) == 1 and KEY not in str(error.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\u00e9", f"{KEY}\x01"])
def test_a_key_that_no_header_can_hold_is_refused_and_never_quoted(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    said = list[str]()
    with endpoint_server(lambda body, _: Reply("yes")) as server:
        with pytest.raises(EndpointError, match="OPENAI_API_KEY has a blank or a line break") as error:
            ask_all(server, questions("a"), tmp_path, said)
        assert not server.asked
    assert not any(KEY in told for told in [*said, str(error.value)])


def test_money_without_a_price_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_ENDPOINT__MAX_COST", "5")
    with pytest.raises(SettingsError, match=r"MIXWRIGHT_ENDPOINT__MAX_COST needs a price"):
        load_settings()
