"""One attempt to have one request answered by an OpenAI-compatible server, and what its failure means."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from infra.endpoint.budget import bound
from infra.endpoint.kept import Answer
from infra.errors import EndpointError

_FATAL = {
    401: "it does not take the key",
    402: "the account has no credit",
    403: "the key may not do this",
    404: "there is no such address or model",
}
_REFUSED = frozenset({400, 413, 422})
_SHOWN = 200
# OpenAI's codes of a 429 that waiting does not mend.
_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


@dataclass(frozen=True)
class Address:
    """Where a model is asked. The key stands in the environment variable `key_variable`; without one none is sent.

    `revision` tells models apart that have one name; it is not sent.
    """

    base_url: str
    key_variable: str
    revision: str = ""


class TransientError(Exception):
    """An attempt that may go better later: after `wait_s` seconds, where the server says so."""

    def __init__(self, why: str, wait_s: float | None = None, *, for_all: bool = False) -> None:
        super().__init__(why)
        self.wait_s, self.for_all = wait_s, for_all


class NonsenseError(Exception):
    """A reply that is no completion."""


Send = Callable[[Mapping[str, Any]], Answer]


@contextmanager
def sender(address: Address, timeout_s: float) -> Iterator[Send]:
    """Give what sends a request once, for use by any number of threads.

    It returns the answer (one without text where this very request is refused), and raises TransientError,
    NonsenseError, or EndpointError where no request can go better.

    Raises:
        EndpointError: the key cannot be sent.
    """
    import openai

    key = _key(address.key_variable)
    # Attempts are counted, spaced and ended here, not in the library.
    client = openai.OpenAI(base_url=address.base_url, api_key=key or "none", timeout=timeout_s, max_retries=0)

    def send(request: Mapping[str, Any]) -> Answer:
        rest = {name: value for name, value in request.items() if name not in {"model", "messages"}}
        try:
            reply = client.chat.completions.with_raw_response.create(
                model=request["model"], messages=request["messages"], extra_body=rest
            )
            return completion(reply.text, request)
        except openai.APITimeoutError as error:
            raise TransientError(f"no reply within {timeout_s:g} s") from error
        except openai.APIStatusError as error:
            return _refusal(error.status_code, error.response.headers, _said(error, key), address, bool(key))
        except openai.APIConnectionError as error:
            raise TransientError(f"the connection failed ({_first_line(error.__cause__ or error)})") from error
        except (openai.OpenAIError, UnicodeDecodeError) as error:
            raise NonsenseError(_first_line(error)) from error

    with client:
        yield send


def _key(variable: str) -> str:
    """Return the key, empty where none is set.

    Raises:
        EndpointError: it cannot stand in a header; the error of the library underneath would quote it.
    """
    key = os.environ.get(variable, "")
    if key != key.strip() or not (key.isascii() and key.isprintable()):
        raise EndpointError(
            f"{variable} has a blank or a line break at an end, or a character that no key has (a letter outside of ASCII). "
            "Set it again."
        )
    return key


def completion(text: str, request: Mapping[str, Any]) -> Answer:
    """Return the answer that the body of a reply holds.

    Raises:
        NonsenseError: it holds no completion.
    """
    try:
        body = json.loads(text)
        choice = body["choices"][0]
        content = choice["message"]["content"]
        if not isinstance(content, str | None):
            raise TypeError(type(content).__name__)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise NonsenseError(f"the reply is no completion: {text[:_SHOWN]!r}") from error
    usage, most = body.get("usage"), bound(request)
    told = usage if isinstance(usage, dict) else {}
    tokens = (
        _count(told.get("prompt_tokens"), most.input_tokens),
        _count(told.get("completion_tokens"), most.output_tokens),
    )
    if not content or not _is_text(content):
        return Answer(None, f"no text (finish_reason {choice.get('finish_reason')!r})", *tokens)
    return Answer(content, None, *tokens)


def wait_told(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return how many seconds a server asks to wait (Retry-After: seconds or a date); None where it does not say.

    >>> wait_told({"retry-after": "2.5"}, 0.0), wait_told({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, 4.0)
    (2.5, 5.0)
    """
    told = headers.get("retry-after", "")
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - now_s)
    except (ValueError, TypeError):
        return None


def _refusal(status: int, headers: Mapping[str, str], said: tuple[str, str], address: Address, has_key: bool) -> Answer:
    code, words = said
    if status in _FATAL or (status == 429 and code in _NO_CREDIT):
        why = _FATAL.get(status, "the account has no credit")
        key = f"; the key is that of {address.key_variable}" if has_key else f"; {address.key_variable} is not set"
        raise EndpointError(f"{address.base_url}: {why} ({status}: {words}){key if status in {401, 403} else ''}.")
    if status in _REFUSED:
        return Answer(None, f"refused ({status}: {words})")
    raise TransientError(f"{status}: {words}", wait_told(headers, time.time()), for_all=status == 429)


def _said(error: Any, key: str) -> tuple[str, str]:
    """Return the code and the words of an error of the endpoint, which may quote the key."""
    body = error.body if isinstance(error.body, dict) else {}
    words = str(body.get("message") or error.response.text)
    return str(body.get("code") or body.get("type") or ""), (words.replace(key, "***") if key else words)[:_SHOWN]


def _count(told: Any, most: int) -> int:
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else most


def _is_text(content: str) -> bool:
    """Say whether it can be written as UTF-8: JSON can spell half of a surrogate pair."""
    try:
        content.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:_SHOWN]
