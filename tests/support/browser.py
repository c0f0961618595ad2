"""A headless Chromium, driven by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import SECONDS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
_NAMED_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


class Tab:
    """One page of the browser."""

    def __init__(self, address: str) -> None:
        self._connection: ClientConnection = connect(address, max_size=None, proxy=None)
        self._number = 0
        for domain in ("Page", "Runtime", "DOM"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=SECONDS))
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result

    def open(self, url: str, size: tuple[int, int] = (1280, 900)) -> None:
        """Load a page in a window of this width and height."""
        width, height = size
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self.command("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression, as JSON."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Until an expression is true."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = self.value(expression)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{expression}\n{self.value('document.body.innerText')}")

    def press(self, key: str, modifiers: int = 0) -> None:
        """A key of the keyboard; ``modifiers`` 2 is Ctrl."""
        code = _NAMED_KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key)
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.command("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.command("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.command("Input.insertText", text=text)

    def choose_file(self, selector: str, file: Path) -> None:
        """As a person does in the dialog that a file's control opens."""
        document = self.command("DOM.getDocument")["root"]["nodeId"]
        node = self.command("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.command("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def close(self) -> None:
        """As a person closes a page: what plays in it needs a processor as long as it is open."""
        self.command("Page.close")
        self._connection.close()

    def picture(self) -> bytes:
        """The whole page as PNG."""
        data: str = self.command("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        return base64.b64decode(data)


class Browser:
    """A running browser."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._open: list[Tab] = []

    def tab(self) -> Tab:
        """A new page."""
        asked = urllib.request.Request(f"{self._address}/json/new?about:blank", method="PUT")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=SECONDS) as answer:
            self._open.append(Tab(json.load(answer)["webSocketDebuggerUrl"]))
        return self._open[-1]

    def close_tabs(self) -> None:
        """Close all pages that were opened."""
        while self._open:
            self._open.pop().close()


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, which ends with the block."""
    assert CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--hide-scrollbars"]
        options += ["--autoplay-policy=no-user-gesture-required"]
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
        command = [CHROMIUM, *options, *quiet, f"--user-data-dir={profile}", "about:blank"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                yield Browser(_port(Path(profile) / "DevToolsActivePort", process))
            finally:
                process.kill()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    """Which it has chosen: it writes that into its profile when it listens."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        lines = file.read_text().splitlines() if file.is_file() else []
        if len(lines) > 1:
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError("the browser did not start")
