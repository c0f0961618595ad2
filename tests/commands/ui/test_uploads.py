"""Uploads to ``walt ui``: read by a process that can be killed, and refused with a line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from tests.support.media import counter, write_video
from tests.support.settings import compute_settings
from tests.support.ui import HOST, Api, api
from walt.commands.ui.uploads import Decoder, safe_name
from walt.media import frames as folders
from walt.media.images import SourceError, png_bytes

PNG = png_bytes(np.full((8, 12, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def served(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return api(frames, tmp_path_factory.mktemp("results"), start=False)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("files") / "film.mp4", counter(9), fps=8).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("broken.mp4", b"\x00\x01 no video", "broken.mp4: format: not one of the video formats"),
        ("broken.png", PNG[:45], "broken.png: truncated: "),
        ("empty.mp4", b"", "empty.mp4: empty: "),
        ("film.png", None, "film.png: format: by its name an image, but its bytes are a video"),
        ("picture.mp4", PNG, "picture.mp4: format: by its name a video, but its bytes are an image"),
        ("list.mp4", folders.MAGIC + b"\n/etc/hostname", "list.mp4: format: a list of frames"),
        ("page.html", b"<script>alert(1)</script>", "page.html: format: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_read_gets_a_line(
    served: Api, film: bytes, name: str, data: bytes | None, said: str
) -> None:
    before = sorted(served.studio.uploads.folder.iterdir())
    answer = served.upload(name, film if data is None else data)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)
    assert "\n" not in answer.json()["detail"]
    assert sorted(served.studio.uploads.folder.iterdir()) == before, "nothing is left"


@pytest.mark.slow
def test_a_file_that_is_too_large_or_too_long_is_refused(served: Api, tmp_path: Path) -> None:
    large = served.upload("large.mp4", bytes(1_000_001))
    assert (large.status_code, large.json()["detail"]) == (413, "large.mp4: more than 1 MB")

    def pieces() -> Iterator[bytes]:  # without a length, which then shows only while it comes in
        for _ in range(11):
            yield bytes(100_000)

    answer = served.client.post("/api/uploads", params={"name": "large.mp4"}, content=pieces())
    assert (answer.status_code, answer.json()["detail"]) == (413, "large.mp4: more than 1 MB")
    long = write_video(tmp_path / "long.mp4", counter(40), fps=8)
    assert "too_long" in served.upload("long.mp4", long.read_bytes()).json()["detail"]
    assert not list(served.studio.uploads.folder.glob("*.tmp"))


@pytest.mark.slow
def test_whoever_leaves_in_the_middle_of_an_upload_leaves_nothing(served: Api) -> None:
    parts = [{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}]
    headers = [(b"host", HOST.encode()), (b"content-length", b"1000")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/uploads",
        "query_string": b"name=a.png",
        "headers": headers,
    }
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    before = sorted(served.studio.uploads.folder.iterdir())
    anyio.run(served.client.app, scope, receive, send)
    assert said[0]["status"] == 400, "no traceback in the terminal"
    assert sorted(served.studio.uploads.folder.iterdir()) == before
    assert served.upload("a.png", PNG).status_code == 201, "the room that it would have taken is free again"


@pytest.mark.slow
def test_the_same_file_is_kept_once_and_each_name_of_it_for_itself(served: Api) -> None:
    first, again, renamed = (served.upload(name, PNG).json() for name in ("a.png", "a.png", "b.png"))
    assert first == again
    assert renamed["id"] != first["id"]
    assert served.get(f"uploads/{first['id']}") == first
    assert served.studio.uploads.get(first["id"], "image").read_bytes() == PNG
    assert "it is not a video" in served.refusal(prompt="a cat", video=first["id"])


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\films\\a b.mp4", "a b.mp4"),
        (".hidden.png", "hidden.png"),
        ("<img src=x>.png", "_img src_x_.png"),
        ("a\x00\nb.png", "a__b.png"),
        ("été.mp4", "été.mp4"),
        ("..", "upload"),
        ("x" * 300 + ".mp4", "x" * 76 + ".mp4"),
    ],
)
def test_a_name_leads_nowhere(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.slow
def test_all_uploads_together_have_a_limit(frames: Path, tmp_path: Path) -> None:
    """The oldest that nothing needs goes; one that a waiting job needs stays, and where it takes the room, a line."""
    first = api(frames, tmp_path, start=False).upload("1.png", PNG).json()["id"]
    size = sum(file.stat().st_size for file in (tmp_path / "uploads" / first).iterdir())
    room = (2 * size + 10) / 1e6
    small = api(frames, tmp_path, start=False, uploads_megabytes=room)
    second = small.upload("2.png", PNG).json()["id"]
    job = small.submit(prompt="a cat", image=first)
    third = small.upload("3.png", PNG).json()["id"]
    found = [small.client.get(f"/api/uploads/{one}").status_code for one in (first, second, third)]
    assert found == [200, 404, 200]
    small.submit(prompt="a cat", image=third)
    answer = small.upload("4.png", PNG)
    assert (answer.status_code, answer.json()["detail"][:28]) == (507, "4.png: no room: uploads may ")
    assert small.client.get(f"/api/uploads/{third}").status_code == 200
    small.client.delete(f"/api/jobs/{job['id']}")
    assert small.upload("4.png", PNG).status_code == 201
    assert small.client.get(f"/api/uploads/{first}").status_code == 404
    assert small.upload("film.mp4", bytes(10_000)).status_code == 507
    assert small.get("limits")["uploads_megabytes"] == room


def decoder(timeout_seconds: float = 60.0) -> Decoder:
    return Decoder(compute_settings(), timeout_seconds, 4096)


@pytest.mark.slow
def test_a_decoder_that_hangs_or_crashes_is_a_refusal() -> None:
    with pytest.raises(SourceError, match=r"timeout: longer than 0\.5 seconds"):
        decoder(0.5).run(time.sleep, 600)
    with pytest.raises(SourceError, match="crash: the process ended with exit status 3"):
        decoder().run(os._exit, 3)
    with pytest.raises(SourceError, match="unreadable: No such file"):
        decoder().run(Path.read_bytes, Path("/nowhere/file"))
