"""The gate before a local server: who asks must name it rightly, come from its own pages, and know the secret.

Loopback keeps other machines out, but not the web pages that the user's browser has open (they can send requests there,
and a name rebound to 127.0.0.1 makes them same-origin), nor the other users of the machine.
"""

import base64
import binascii
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_DEFAULT_PORTS = {80, 443}
_POLICY_VIOLATION = 1008
_log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class _Refusal:
    status: int
    reason: str
    challenge: bool = False


@dataclass(frozen=True)
class Gate:
    """An ASGI app that lets HTTP requests and WebSockets through to `app`, or refuses them.

    `names` are the values of Host it answers to (see `own_names`); an Origin must be one of them too. With `secret`
    (`user:password`) HTTP Basic authentication is asked for, except at `open_paths`, which say nothing.
    """

    app: App
    names: frozenset[str]
    secret: str | None = None
    open_paths: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse, one connection."""
        refusal = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self.app(scope, receive, send)
            return
        _log.warning("refused %r: %s", scope["path"], refusal.reason)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
        else:
            await _answer(refusal, send)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or hosts[0] not in self.names:
            return _Refusal(
                403,
                f"Host {', '.join(map(repr, hosts)) or 'missing'}: this server answers to {', '.join(sorted(self.names))}. "
                "A name of a proxy before it is added with MIXWRIGHT_PREFECT__ALLOWED_HOSTS or "
                "MIXWRIGHT_MLFLOW__ALLOWED_HOSTS.",
            )
        if len(origins) > 1 or not all(self._own(origin) for origin in origins):
            return _Refusal(
                403, f"Origin {', '.join(map(repr, origins))}: pages of other sites may not ask this server."
            )
        if not origins and _from_elsewhere(scope):
            return _Refusal(403, "a page of another site may link here, but not load anything from here.")
        if self.secret is not None and not self._knows_secret(scope):
            return _Refusal(
                401,
                "This server asks for a secret. `mixwright secret` shows it; programs get it with "
                '`eval "$(mixwright env)"`.',
                challenge=True,
            )
        return None

    def _own(self, origin: str) -> bool:
        scheme, _, name = origin.partition("://")
        return scheme in {"http", "https"} and name in self.names

    def _knows_secret(self, scope: Scope) -> bool:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in self.open_paths:
            return True
        given = _values(scope, b"authorization", lower=False)
        if len(given) != 1 or self.secret is None:
            return False
        scheme, _, encoded = given[0].partition(" ")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(decoded, self.secret.encode())


def own_names(host: str, port: int, more: Iterable[str] = ()) -> frozenset[str]:
    """Return what a browser on this machine writes into Host for a server, and `more` names, all in lower case.

    >>> sorted(own_names("127.0.0.1", 4200))
    ['127.0.0.1:4200', '[::1]:4200', 'localhost:4200']
    """
    hosts = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    ports = {f":{port}", ""} if port in _DEFAULT_PORTS else {f":{port}"}
    return frozenset(name.lower() for name in (*(each + suffix for each in hosts for suffix in ports), *more))


def own_origins(names: Iterable[str]) -> tuple[str, ...]:
    """Return the origins of pages that a server with these names serves, by itself or behind a proxy with TLS."""
    return tuple(f"{scheme}://{name}" for name in sorted(names) for scheme in ("http", "https"))


def _values(scope: Scope, name: bytes, *, lower: bool = True) -> list[str]:
    found = [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]
    return [value.lower() for value in found] if lower else found


def _from_elsewhere(scope: Scope) -> bool:
    """Tell whether a browser says that another site's page asks, other than by a link that the user followed."""
    site = _values(scope, b"sec-fetch-site")
    link = _values(scope, b"sec-fetch-mode") == ["navigate"] and _values(scope, b"sec-fetch-dest") == ["document"]
    followed = scope["type"] == "http" and scope["method"] == "GET" and link
    return bool(site) and site[0] not in {"same-origin", "none"} and not followed


async def _answer(refusal: _Refusal, send: Send) -> None:
    body = f"{refusal.reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if refusal.challenge:
        headers.append((b"www-authenticate", b'Basic realm="Mixwright", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
