"""``walt ui`` in tests: its application in this process, or its server as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.testclient import TestClient

from tests.support.project import ROOT
from tests.support.waiting import SECONDS
from walt.commands.ui.app import make_app
from walt.commands.ui.studio import Settings, Studio

T = TypeVar("T")
HOST = "127.0.0.1:7860"
SETTINGS = Settings(seconds=6.0, upload_megabytes=1.0, uploads_megabytes=20.0, upload_seconds=4.0, waiting=3, loaded=2)


def wait_for(found: Callable[[], T | bool | None]) -> T:
    """What ``found`` returns as soon as that is something."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value  # type: ignore[return-value]
        time.sleep(0.02)
    raise AssertionError(f"not within {SECONDS:.0f} s")


class Api:
    """The HTTP interface of a studio."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.client = TestClient(make_app(studio, {HOST}), base_url=f"http://{HOST}")

    def get(self, path: str) -> Any:
        answer = self.client.get(f"/api/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, **order: Any) -> dict[str, Any]:
        answer = self.client.post("/api/jobs", json=order)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def refusal(self, **order: Any) -> str:
        """The line that an order is refused with."""
        answer = self.client.post("/api/jobs", json=order)
        assert answer.status_code in (422, 429), answer.text
        return str(answer.json()["detail"])

    def upload(self, name: str, data: bytes) -> Any:
        return self.client.post("/api/uploads", params={"name": name}, content=data)

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job, as soon as it neither waits nor runs."""

        def view() -> dict[str, Any] | None:
            now: dict[str, Any] = self.get(f"jobs/{job['id']}")
            return now if now["state"] not in ("waiting", "running") else None

        return wait_for(view)

    def made(self, **order: Any) -> bytes:
        """The video of an order."""
        job = self.ended(self.submit(**order))
        assert job["state"] == "done", job
        answer = self.client.get(f"/api/results/{job['id']}/video")
        assert answer.headers["content-type"] == "video/mp4"
        return answer.content


def api(root: Path, folder: Path, *, start: bool = True, **settings: Any) -> Api:
    """The interface of a project; without ``start`` nothing is made, and all jobs wait."""
    offered = settings.pop("folders", ())
    studio = Studio(root, folder, Settings(**{**vars(SETTINGS), **settings}), offered)
    if start:
        studio.start()
    return Api(studio)


@contextmanager
def server(root: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``walt ui`` as a process that answers, and its address; it is killed at the end where it still runs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "walt.cli", "ui", "--port", "0", *options]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.match(r"(http://127\.0\.0\.1:\d+) shows the page", said)
            assert address, said + process.stdout.read()
            yield process, address[1]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
