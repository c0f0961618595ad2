"""Lets only the page itself, and programs, use the server: no other web site that is open in the same browser.

A browser sends requests to this machine for any site that asks (and, after DNS rebinding, under that site's own name).
So a request must name one of the server's own hosts; one that changes something must come from the same origin, where
it says where it comes from; and what a browser fetches for another site is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Of each answer: it loads nothing from elsewhere, and nobody frames or embeds it."""


class Guard:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        """``hosts``: what may stand in the ``Host`` header, ``127.0.0.1:7860``."""
        self._app, self._hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope["method"], scope["path"], Headers(scope=scope))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await JSONResponse({"detail": refusal}, 403)(scope, receive, send_with_headers)

    def refusal(self, method: str, path: str, headers: Headers) -> str | None:
        """Why a request is refused; None where it is not."""
        host = headers.get("host", "").lower()
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return "this server does not answer under that name; start `walt ui` with --allow-host to add one"
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return "requests of other web sites are refused"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            followed_a_link = method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate"
            if not followed_a_link:
                return "requests of other web sites are refused"
        return None


def own_hosts(host: str, port: int, allowed: Iterable[str]) -> set[str]:
    """What the ``Host`` header may say of a server that listens at ``host``, and is given further names."""
    names = {*allowed}
    loopback = ("127.0.0.1", "localhost", "[::1]")
    names |= {*loopback} if host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::") else {*loopback, host}
    ported = {name if _has_port(name) else f"{name}:{port}" for name in names}
    return ported | ({name for name in names if not _has_port(name)} if port == 80 else set())


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]
