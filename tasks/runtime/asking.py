"""Questions sent to a language model's endpoint: answers are kept in the store's home, and units read a file of them.

A file of answers is an input like one of the user's: what it holds is its identity, so that other answers give other work.
"""

from collections.abc import Sequence

from infra.endpoint.asking import ask
from infra.endpoint.client import Address
from infra.endpoint.kept import Answer, KeptAnswers, key_of
from infra.folders import keep_first
from tasks.core.asking import Endpoint, Request, answer_line
from tasks.core.digest import digest_bytes
from tasks.core.handles import Handle
from tasks.runtime.context import Workshop, WouldWorkError
from tasks.runtime.files import file_handle

_FOLDER = "answers"


def answers(workshop: Workshop, endpoint: Endpoint, requests: Sequence[Request], label: str) -> list[Answer]:
    """Return the answer to every question; those that were answered before are not asked again.

    Raises:
        BudgetError: the rest would cost more than the budget; what was answered is kept.
        EndpointError: the endpoint refuses or does not answer in time; what was answered is kept.
        WouldWorkError: this is an explanation, and something would be asked.
    """
    bodies = [request.body(endpoint) for request in requests]
    kept = KeptAnswers(workshop.store.home / _FOLDER / "kept.sqlite")
    try:
        keys = {key_of(body, endpoint.revision) for body in bodies}
        before = kept.find(keys).keys()
        if workshop.explaining is not None and (missing := len(keys) - len(before)):
            raise WouldWorkError(f"{label}: {missing:,} questions would be asked of {endpoint.model}")
        try:
            return ask(
                bodies,
                Address(endpoint.base_url, endpoint.key_variable, endpoint.revision),
                workshop.asking,
                kept,
                say=lambda told: workshop.observer.say(f"{label}: {told}"),
                progress=lambda done, total: workshop.observer.progress(label, done, total),
            )
        finally:
            found = kept.find(keys)
            workshop.book.use_answers(workshop.store, label, found, found.keys() - before)
    finally:
        kept.close()


def answers_file(workshop: Workshop, endpoint: Endpoint, requests: Sequence[Request], label: str) -> Handle:
    """Return a file with the answer to every question, one a line: what it is about, `answer`, or `why` there is none.

    Raises:
        BudgetError, EndpointError, WouldWorkError: as `answers`.
    """
    found = answers(workshop, endpoint, requests, label)
    text = "".join(answer_line(request, one.text, one.why) for request, one in zip(requests, found, strict=True))
    path = workshop.store.home / _FOLDER / f"{digest_bytes(text.encode())}.jsonl"
    keep_first(path, text)
    return file_handle(path)
