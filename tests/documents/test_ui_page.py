"""The snippets of ``docs/ui.md`` run, against a server with tiny models."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from tests.support.sample_project import frames_project
from tests.support.ui import SETTINGS
from walt.commands.sample.generate import Request, run
from walt.commands.ui.app import make_app
from walt.commands.ui.studio import Studio
from walt.media.images import png_bytes

PAGE = (Path(__file__).resolve().parents[2] / "docs/ui.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
WRITTEN = "127.0.0.1:7860"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frames_project(tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="module")
def host(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in this process, at a free port."""
    studio = Studio(root, tmp_path_factory.mktemp("results"), SETTINGS)
    studio.start()
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(make_app(studio, {address}), log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield address
    server.should_exit = True
    thread.join(60)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(root: Path, host: str, tmp_path: Path, number: int) -> None:
    snippet = SNIPPETS[number]
    assert WRITTEN in snippet
    (tmp_path / "cat.png").write_bytes(png_bytes(np.full((20, 20, 3), 90, np.uint8)))
    code = snippet.replace(WRITTEN, host)
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    if "circle.mp4" in snippet:
        asked = Request(prompts=("a red circle moving left",), seed=7, steps=10, formats=("mp4",), out=tmp_path / "own")
        (file,) = run(asked, root)
        assert (tmp_path / "circle.mp4").read_bytes() == file.read_bytes()


def test_both_are_there() -> None:
    assert len(SNIPPETS) == 2
