"""A web server on loopback with ETags, which counts its requests and misbehaves on request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.loopback import serve


class Web:
    """Files by their path; ``asked`` has the method and path of each request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags = True
        self.status: dict[str, int] = {}
        """Paths that are answered with a status instead."""
        self.asked: list[str] = []
        self._server = serve(self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fetched(self) -> list[str]:
        """Paths that were read since the last call, sorted."""
        paths = sorted(request.removeprefix("GET ") for request in self.asked if request.startswith("GET "))
        self.asked.clear()
        return paths

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(web) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                path = unquote(urlsplit(self.path).path)
                web.asked.append(f"{self.command} {path}")
                data = web.files.get(path)
                status = web.status.get(path, 404 if data is None else 200)
                self.send_response(status)
                data = data if status == 200 and data is not None else b""
                self.send_header("Content-Length", str(len(data)))
                if status == 200 and web.etags:
                    self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
                self.end_headers()
                if body:
                    self.wfile.write(data)

        return Handler


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()
