"""An S3 server on loopback for the tests, behind a proxy that counts requests and injects faults.

The server is moto. To run the same tests against another one, say which in the environment: ``WALT_TEST_S3_ENDPOINT``
(``http://127.0.0.1:6080``), ``WALT_TEST_S3_KEY`` and ``WALT_TEST_S3_SECRET``.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.loopback import serve
from walt.core import remote, remote_errors, servers

SECRET = "hush-this-is-the-secret"


@dataclass
class Fault:
    """What happens to the next requests whose "METHOD path" matches."""

    pattern: str
    left: int
    """So many of them; then the server is itself again."""
    status: int | None = None
    """They are answered with this."""
    cut: int | None = None
    """The line is lost after so many bytes of the answer's body (of a PUT's own), or one byte before its end.

    With neither, requests wait until the proxy is closed.
    """


class FaultProxy:
    """Forwards HTTP requests to one server, and misbehaves on request."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname in ("127.0.0.1", "localhost"), "loopback only"
        self.host, self.port = parts.hostname, parts.port
        self.requests: list[tuple[str, str]] = []
        """(method, path) of each request, in the order of arrival, except the probe that ingest writes."""
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self.stalled, self.released = threading.Event(), threading.Event()
        self._server: ThreadingHTTPServer = serve(self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """As new: no fault, no request seen; those that wait are let go."""
        self.faults = []
        self.released.set()
        self.stalled, self.released = threading.Event(), threading.Event()
        self.requests.clear()

    def plan(self, pattern: str, count: int, status: int | None = None, cut: int | None = None) -> None:
        """This fault, and no other."""
        self.faults = [Fault(pattern, count, status, cut)]

    @property
    def faults_left(self) -> int:
        return sum(fault.left for fault in self.faults)

    def stored(self, prefix: str) -> list[str]:
        """What was stored under a path since the last call, in order."""
        paths = [path.removeprefix(prefix) for method, path in self.requests if method == "PUT" and prefix in path]
        self.requests.clear()
        return paths

    def _fault(self, request: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.left and re.search(fault.pattern, request):
                    fault.left -= 1
                    return fault
            return None

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30
            disable_nagle_algorithm = True  # else a body waits 40 ms for its headers to be acknowledged

            def log_message(self, *_: object) -> None:
                pass

            def forward(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                path = unquote(self.path)
                if ".walt-probe" not in path:
                    proxy.requests.append((self.command, path))
                fault = proxy._fault(f"{self.command} {path}")
                if fault and fault.cut is not None and length:
                    self.rfile.read(min(fault.cut, length - 1))
                    self.reset()
                    return
                body = self.rfile.read(length)
                if fault and fault.status:
                    self.send_response(fault.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if fault and fault.cut is None:
                    proxy.stalled.set()
                    proxy.released.wait(60)
                    self.close_connection = True
                    return
                upstream = http.client.HTTPConnection(proxy.host, proxy.port, timeout=30)
                upstream.request(self.command, self.path, body, dict(self.headers.items()))
                answer = upstream.getresponse()
                data = answer.read()
                upstream.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                stated = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", stated or "0")
                self.end_headers()
                if fault and fault.cut is not None:
                    self.wfile.write(data[: max(0, min(fault.cut, len(data) - 1))])
                    self.reset()
                else:
                    self.wfile.write(data)

            def reset(self) -> None:
                """A reset, not an end: unsent data are dropped."""
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

        return Handler


class Bucket:
    """A new bucket behind a proxy, whose endpoint and credentials are in the environment."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.name = f"walt-{uuid.uuid4().hex[:12]}"
        self.call("create_bucket", Bucket=self.name)

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def call(self, method: str, **arguments: Any) -> Any:
        """A request by s3fs, with no retries of ours."""
        return servers.filesystem("s3").call_s3(method, **arguments)

    def objects(self, prefix: str) -> dict[str, str | None]:
        """SHA-256 by name under a prefix."""
        found = sorted(file.url for file in remote.list_files(f"{self.url}/{prefix}/"))
        return {url.removeprefix(f"{self.url}/{prefix}/"): remote.stat(url).sha256 for url in found}  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server."""
    endpoint = os.environ.get("WALT_TEST_S3_ENDPOINT")
    if endpoint:
        yield endpoint
        return
    import logging

    from moto.moto_server.utilities import RegexConverter
    from moto.server import ThreadedMotoServer

    class AnyCharacter(RegexConverter):
        """S3 allows a newline in a key; moto's patterns end there."""

        def __init__(self, url_map: Any, pattern: str) -> None:
            super().__init__(url_map, f"(?s:{pattern})")

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.moto_server.werkzeug_app.RegexConverter", AnyCharacter)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture(scope="session")
def _own_proxy(s3_server: str) -> Iterator[FaultProxy]:
    """One for all tests that have a bucket of their own: a client for another address takes half a second to make."""
    proxy = FaultProxy(s3_server)
    yield proxy
    proxy.close()


@pytest.fixture
def bucket(_own_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of this test, behind a proxy without faults; pauses between attempts are short."""
    _own_proxy.reset()
    point_to(_own_proxy, monkeypatch)
    yield Bucket(_own_proxy)
    _own_proxy.reset()


def point_to(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the environment name the proxy's server and its credentials, and nothing else of S3."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    environment = {
        "AWS_ENDPOINT_URL": proxy.url, "AWS_ACCESS_KEY_ID": os.environ.get("WALT_TEST_S3_KEY", "walt:test"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("WALT_TEST_S3_SECRET", SECRET), "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote_errors, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(servers, "S3_ATTEMPTS", 1)


def local_files(folder: Path) -> dict[str, bytes]:
    """Bytes by relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
