"""What asking may cost: requests, tokens, money at a price. Nothing is sent that could go beyond it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.settings import EndpointSettings

_MILLION = 1e6
# What a chat's template puts around a message, in tokens: a bound, generous for those in use.
_AROUND_A_MESSAGE = 32
# Where a request does not say how long its answer may be.
_LONGEST_ANSWER = 4096


@dataclass(frozen=True)
class Spent:
    """Requests that were answered, and the tokens they took."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def __sub__(self, other: "Spent") -> "Spent":
        return self + Spent(-other.requests, -other.input_tokens, -other.output_tokens)

    def money(self, settings: EndpointSettings) -> float | None:
        """Return what it costs; None where there is no price."""
        if settings.input_price is None or settings.output_price is None:
            return None
        return (self.input_tokens * settings.input_price + self.output_tokens * settings.output_price) / _MILLION


def bound(request: Mapping[str, Any]) -> Spent:
    """Return the most that a request can take: a token has at least one byte.

    >>> bound({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10})
    Spent(requests=1, input_tokens=69, output_tokens=10)
    """
    messages = request.get("messages", [])
    size = sum(len(json.dumps(one, ensure_ascii=False).encode()) for one in messages)
    longest = request.get("max_tokens") or request.get("max_completion_tokens") or _LONGEST_ANSWER
    return Spent(1, size + _AROUND_A_MESSAGE * len(messages), int(longest))


def beyond(settings: EndpointSettings, spent: Spent) -> str | None:
    """Return which limit such spending would exceed, and how it is raised; None: none of them."""
    tokens, money = spent.input_tokens + spent.output_tokens, spent.money(settings)
    if settings.max_requests is not None and spent.requests > settings.max_requests:
        return f"{settings.max_requests:,} requests (MIXWRIGHT_ENDPOINT__MAX_REQUESTS)"
    if settings.max_tokens is not None and tokens > settings.max_tokens:
        return f"{settings.max_tokens:,} tokens (MIXWRIGHT_ENDPOINT__MAX_TOKENS)"
    if settings.max_cost is not None and money is not None and money > settings.max_cost:
        return f"{settings.max_cost:,.2f} in money (MIXWRIGHT_ENDPOINT__MAX_COST)"
    return None
