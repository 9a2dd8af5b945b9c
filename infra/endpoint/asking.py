"""A list of requests to an endpoint: those that were answered before are not sent again, the others within a budget.

Threads send; each answer is kept before the next request of that thread. Where asking ends early (the budget, a refusal of
the key, an endpoint that stays silent) what is under way is still taken, then a named error says how to go on.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from infra.endpoint.budget import Spent, beyond, bound
from infra.endpoint.client import Address, NonsenseError, Send, TransientError, sender
from infra.endpoint.kept import Answer, KeptAnswers, key_of
from infra.errors import BudgetError, EndpointError
from infra.settings import EndpointSettings

Request = Mapping[str, Any]
# A reply that is no completion may be a proxy's moment of weakness; three in a row are an answer.
_NONSENSE_ATTEMPTS = 3
# Where so many requests have no answer before one has, it is not they that are wrong.
_WITHOUT_AT_FIRST = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0


def ask(
    requests: Sequence[Request],
    address: Address,
    settings: EndpointSettings,
    kept: KeptAnswers,
    *,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> list[Answer]:
    """Return the answer to each request; equal requests are one.

    Raises:
        BudgetError: the rest would cost more than the budget.
        EndpointError: the endpoint refuses, or a request was not answered by its deadline.
    """
    keys = [key_of(request, address.revision) for request in requests]
    by_key = dict(zip(keys, requests, strict=True))
    found = kept.find(by_key)
    missing = {key: request for key, request in by_key.items() if key not in found}
    if missing:
        say(f"{len(missing):,} requests to {address.base_url} ({len(found):,} of {len(by_key):,} were answered before)")
        asking = _Asking(missing, address, settings, kept, found, progress)
        try:
            asking.run()
        finally:
            if told := asking.told():
                say(told)
        found = kept.find(by_key)
    return [found[key] for key in keys]


class _Asking:
    """The requests that are under way, what they have cost, and why they end early."""

    def __init__(
        self,
        missing: Mapping[str, Request],
        address: Address,
        settings: EndpointSettings,
        kept: KeptAnswers,
        found: Mapping[str, Answer],
        progress: Callable[[int, int], None],
    ) -> None:
        self._address, self._settings, self._kept, self._progress = address, settings, kept, progress
        self._waiting: Iterator[tuple[str, Request]] = iter(missing.items())
        self._held: tuple[str, Request] | None = None
        self._spent = sum((Spent(1, one.input_tokens, one.output_tokens) for one in found.values()), Spent())
        self._under_way = Spent()
        self._done, self._total = len(found), len(found) + len(missing)
        self._answered, self._without = any(one.text is not None for one in found.values()), 0
        self._too_many_without = min(_WITHOUT_AT_FIRST, len(missing))
        self._unkept = list[tuple[str, Request, Answer]]()
        self._faults: Counter[str] = Counter()
        self._not_before = 0.0
        self._change = threading.Condition()
        self._ended = threading.Event()
        self._why: EndpointError | None = None

    def run(self) -> None:
        """Ask, until all is answered.

        Raises:
            EndpointError: it ended before.
        """
        threads = min(self._settings.concurrency, self._total - self._done)
        with sender(self._address, self._settings.timeout_s) as send, ThreadPoolExecutor(threads) as pool:
            working = [pool.submit(self._work, send) for _ in range(threads)]
            try:
                for one in working:
                    one.result()
            finally:
                # Also where the user interrupts: what is under way is paid for, and taken.
                self._end(None)
                self._keep()
        if self._why is not None:
            raise self._why

    def told(self) -> str:
        """Return what went wrong on the way, for people; empty where nothing did."""
        return ", ".join(f"{count:,} times {what}" for what, count in sorted(self._faults.items()))

    def _work(self, send: Send) -> None:
        try:
            while (taken := self._next()) is not None:
                key, request = taken
                most = bound(request)
                answer = None
                try:
                    answer = self._answer(request, send)
                    self._take(key, request, answer)
                finally:
                    with self._change:
                        self._under_way -= most
                        if answer is not None:
                            self._spent += Spent(1, answer.input_tokens, answer.output_tokens)
                            self._done += 1
                            self._progress(self._done, self._total)
                        self._change.notify_all()
        except EndpointError as error:
            self._end(error)
        except BaseException:
            self._end(None)
            raise

    def _next(self) -> tuple[str, Request] | None:
        """Return the next request that the budget has room for; None where there is none, or asking has ended."""
        with self._change:
            while not self._ended.is_set():
                self._held = self._held or next(self._waiting, None)
                if self._held is None:
                    return None
                most = bound(self._held[1])
                limit = beyond(self._settings, self._spent + self._under_way + most)
                if limit is None:
                    self._under_way += most
                    taken, self._held = self._held, None
                    return taken
                if not self._under_way.requests:
                    raise BudgetError(self._over(limit))
                # What is under way may take less than it could.
                self._change.wait()
        return None

    def _over(self, limit: str) -> str:
        spent, money = self._spent, self._spent.money(self._settings)
        cost = "" if money is None else f", {money:,.2f} in money"
        return (
            f"{self._address.base_url}: the next request could go beyond the budget of {limit}: {self._done:,} of "
            f"{self._total:,} requests are answered and kept ({spent.input_tokens:,} tokens in, {spent.output_tokens:,} out"
            f"{cost}). Raise it, and start the same command again: what is kept is not asked again; or ask for less."
        )

    def _answer(self, request: Request, send: Send) -> Answer:
        """Return the answer to a request, after as many attempts as its deadline has time for."""
        self._pace()
        deadline, attempts, nonsense = time.monotonic() + self._settings.deadline_s, 0, 0
        while True:
            attempts += 1
            try:
                return send(request)
            except NonsenseError as error:
                nonsense += 1
                self._note("the reply was no completion")
                if nonsense == _NONSENSE_ATTEMPTS:
                    most = bound(request)
                    tokens = (most.input_tokens * nonsense, most.output_tokens * nonsense)
                    return Answer(None, str(error), *tokens)
                wait_s, why, for_all = 0.0, str(error), False
            except TransientError as error:
                self._note(str(error))
                wait_s = error.wait_s if error.wait_s is not None else _wait_s(attempts)
                why, for_all = str(error), error.for_all
            if time.monotonic() + wait_s > deadline:
                raise EndpointError(self._silent(attempts, why, wait_s))
            self._pause(wait_s, for_all)

    def _silent(self, attempts: int, why: str, wait_s: float) -> str:
        return (
            f"{self._address.base_url}: a request was not answered within {self._settings.deadline_s:g} s "
            f"(MIXWRIGHT_ENDPOINT__DEADLINE_S) and {attempts} attempt(s), the next of which would be in {wait_s:.3g} s; the "
            f"last: {why}. {self._done:,} of {self._total:,} requests are answered and kept: start the same command again "
            "when the endpoint answers."
        )

    def _pause(self, wait_s: float, for_all: bool) -> None:
        if for_all:
            with self._change:
                self._not_before = max(self._not_before, time.monotonic() + wait_s)
        if self._ended.wait(wait_s):
            raise EndpointError("asking has ended")

    def _pace(self) -> None:
        """Wait for this request's turn, where requests are spaced or the server asked all to wait."""
        apart = 60.0 / self._settings.requests_per_minute if self._settings.requests_per_minute else 0.0
        with self._change:
            turn = max(time.monotonic(), self._not_before)
            self._not_before = turn + apart if apart else self._not_before
        if (wait_s := turn - time.monotonic()) > 0:
            self._pause(wait_s, for_all=False)

    def _take(self, key: str, request: Request, answer: Answer) -> None:
        """Keep an answer. Refusals and nonsense are kept once another request has an answer: till then all may be wrong."""
        with self._change:
            self._answered |= answer.text is not None
            self._without += answer.text is None
            self._unkept.append((key, request, answer))
            if not self._answered and self._without >= self._too_many_without:
                self._unkept = []
                raise EndpointError(
                    f"{self._address.base_url}: none of the first {self._without} requests has an answer; the last: "
                    f"{answer.why}. Change the endpoint or what it is asked (model, sampling, size of excerpts)."
                )
        if self._answered:
            self._keep()

    def _keep(self) -> None:
        with self._change:
            keeping, self._unkept = self._unkept, []
        for one in keeping:
            self._kept.keep(*one)

    def _note(self, what: str) -> None:
        with self._change:
            self._faults[what] += 1

    def _end(self, why: EndpointError | None) -> None:
        with self._change:
            # The first to end says why.
            self._why = self._why or (None if self._ended.is_set() else why)
            self._ended.set()
            self._change.notify_all()


def _wait_s(attempts: int) -> float:
    """Return how long to wait after so many attempts: twice as long each time."""
    return float(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempts - 1)))
