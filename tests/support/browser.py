"""A page in headless Chromium, asked by its debugging protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

_PATIENCE_SECONDS = 60.0
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class Page:
    """An open page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._count = connection, 0

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON; a promise is waited for."""
        self._count += 1
        parameters = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        self._connection.send(json.dumps({"id": self._count, "method": "Runtime.evaluate", "params": parameters}))
        while True:
            answer = json.loads(self._connection.recv(timeout=_PATIENCE_SECONDS))
            if answer.get("id") == self._count:
                result = answer["result"]
                assert "exceptionDetails" not in result, result["exceptionDetails"]
                return result["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true; its value."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (value := self.ask(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)
        return value


@contextmanager
def opened(file: Path, scratch: Path) -> Iterator[Page]:
    """A file of this machine in a browser of its own, which ends with the block.

    Args:
        scratch: a folder for the browser's files.
    """
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1300,900"]
    flags += ["--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", f"--user-data-dir={scratch}"]
    process = subprocess.Popen([CHROMIUM, *flags, file.as_uri()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_address(scratch, process), max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        try:
            process.wait(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(scratch: Path, process: subprocess.Popen[bytes]) -> str:
    """Of the page, for its debugger."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "Chromium ended"
        port = scratch / "DevToolsActivePort"
        if port.is_file() and (lines := port.read_text().split()):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{lines[0]}/json/list", timeout=_PATIENCE_SECONDS) as answer:
                pages = [target for target in json.loads(answer.read()) if target["type"] == "page"]
            if pages and pages[0]["url"].startswith("file:"):
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError("Chromium opened no page")
