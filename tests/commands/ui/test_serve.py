"""``walt ui`` as a process: what a kill leaves, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.project import ROOT
from tests.support.sample_project import frames_project
from tests.support.ui import server, wait_for
from tests.support.waiting import SECONDS
from walt.cli import app
from walt.core.errors import ConfigurationError, LockedError
from walt.core.storage import lock


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frames_project(tmp_path_factory.mktemp("frames"))


def call(url: str, path: str, order: dict[str, Any] | None = None) -> Any:
    data = None if order is None else json.dumps(order).encode()
    asked = urllib.request.Request(f"{url}/api/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
        content = answer.read()
        return json.loads(content) if answer.headers["content-type"] == "application/json" else content


def state(url: str, job: dict[str, Any]) -> str:
    return str(call(url, f"jobs/{job['id']}")["state"])


@pytest.mark.slow
def test_a_kill_loses_no_finished_video(root: Path) -> None:
    with server(root) as (process, url):
        done = call(url, "jobs", {"prompt": "a cat", "steps": 2})
        wait_for(lambda: state(url, done) == "done")
        video = call(url, f"results/{done['id']}/video")
        cut_off = call(url, "jobs", {"prompt": "a dog", "steps": 1000, "seconds": 30})
        wait_for(lambda: state(url, cut_off) == "running")
        process.kill()
        process.wait()
    with server(root) as (process, url):
        assert [result["id"] for result in call(url, "results")] == [done["id"]]
        assert call(url, f"results/{done['id']}/video") == video
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stdout is not None
        assert process.stdout.read().splitlines()[-1] == "the page has ended"


def test_options_that_cannot_work_end_it_with_a_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    for options, said in {
        ("--model", "nowhere"): "--model nowhere: no such folder; the registry's releases are offered anyway",
        ("--model", "base/3"): "--model base/3: no such folder",
        ("--out", "models/base/ui"): "--out: this folder belongs to a stage",
        ("--host", "203.0.113.9"): "port 0 of 203.0.113.9",
    }.items():
        result = CliRunner().invoke(app, ["ui", "--port", "0", *options])
        assert said in str(result.exception), result.output
    with lock(tmp_path / "lock"):
        result = CliRunner().invoke(app, ["ui", "--out", str(tmp_path)])
    assert isinstance(result.exception, LockedError), "two servers never write into one folder"
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["ui"])
    assert isinstance(result.exception, ConfigurationError)
    assert "pip install '/path/to/walt[ui]'" in str(result.exception)


def test_help_needs_neither_torch_nor_fastapi() -> None:
    heavy = {"torch", "fastapi", "uvicorn", "pydantic"}
    code = f"import sys, walt.commands.ui.command; print({heavy} & {{*sys.modules}})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout == "set()\n"
