"""Headers of source files: what they say, and files that are not usable."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.media import LIMITS, counter, read_counter, shared_data, write_video
from tests.support.settings import compute_settings
from walt.core.errors import StorageError
from walt.data.captions import Caption
from walt.ingest import headers
from walt.ingest.headers import Header, HeaderRequest, choose, read_header, read_headers
from walt.ingest.sources.items import Item, Refusal
from walt.media.images import Limits
from walt.media.kinds import kind_of
from walt.workers.execute import map_items

INLINE = compute_settings(workers=2)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are read in this process: what they say is the same in one that takes a second to start."""

    def map_here(
        function: Callable[[HeaderRequest], Header], items: Iterable[HeaderRequest], *_: Any, **__: Any
    ) -> Any:
        return map_items(function, items, INLINE)

    monkeypatch.setattr(headers, "map_items", map_here)


def item(path: Path) -> Item:
    return Item(path.name, str(path), kind_of(path.name), (Caption("", "a caption"),), False, None)


def read(paths: list[Path], limits: Limits = LIMITS, pictures: int = 0, timeout: float = 30) -> list[Header | Refusal]:
    items = [item(path) for path in paths]
    found = read_headers(
        items, limits, INLINE, pictures=pictures, picture_height=64, timeout_seconds=timeout, memory_mb=4096
    )
    return list(found)


def test_a_full_folder_for_copies_is_no_fault_of_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [f"{tmp_path}/a: {os.strerror(errno.ENOSPC)}", "https://example.org/a.mp4: 503"]

    @contextmanager
    def fails(*_: object) -> Iterator[Path]:
        raise StorageError(said[0])
        yield Path()

    monkeypatch.setattr(headers, "local_copy", fails)
    request = HeaderRequest(b"https://example.org/a.mp4", b"a.mp4", "video", None, None, os.fsencode(tmp_path))
    with pytest.raises(StorageError, match=said[0]):
        read_header(LIMITS, request)
    del said[0]
    assert read_header(LIMITS, request) == Refusal("a.mp4", "unreadable", said[0])


@pytest.mark.usefixtures("here")
def test_what_headers_say(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", counter(24, 32, 48), fps=16)
    Image.new("RGB", (40, 30)).save(tmp_path / "b.jpg")
    first, second = read([video, tmp_path / "b.jpg"])
    assert first == Header("a.mp4", "video", "h264", 48, 32, 16.0, 1.5, None)
    assert second == Header("b.jpg", "image", "jpeg", 40, 30, None, None, None)


@pytest.mark.usefixtures("here")
def test_headers_say_what_the_bytes_are(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", counter(24, 32, 48), fps=16).rename(tmp_path / "a.jpg")
    Image.new("RGB", (40, 30)).save(tmp_path / "b.mp4", "PNG")
    frames = [Image.new("RGB", (40, 30), (level, 0, 0)) for level in (0, 99)]
    frames[0].save(tmp_path / "c.webp", save_all=True, append_images=frames[1:])
    first, second, third = read([video, tmp_path / "b.mp4", tmp_path / "c.webp"])
    assert first == Header("a.jpg", "video", "h264", 48, 32, 16.0, 1.5, None)
    assert second == Header("b.mp4", "image", "png", 40, 30, None, None, None)
    assert third == Refusal("c.webp", "animated", "an animated WEBP, not a still; convert it to a video or GIF")


@pytest.mark.usefixtures("here")
def test_a_span_may_be_as_long_as_the_limit_in_a_file_that_is_longer(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", counter(48), fps=24)
    items = [item(path)._replace(span=span) for span in ((0.5, 1.5), (0.5, 1.6))]
    limits, compute = replace(LIMITS, max_seconds=1.0), INLINE
    fits, longer = read_headers(
        items, limits, compute, pictures=2, picture_height=32, timeout_seconds=30, memory_mb=4096
    )
    assert isinstance(fits, Header)
    assert fits.seconds == 1.0
    assert fits.picture is not None
    assert longer == Refusal("long.mp4", "too_long", "a span of 1.1 seconds, more than 1")


@pytest.mark.usefixtures("here")
def test_unusable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("#EXTM3U\n/etc/passwd")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n")
    Image.new("RGB", (40, 8)).save(tmp_path / "flat.png")
    Image.effect_noise((90, 90), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20])
    write_video(tmp_path / "long.mp4", counter(36), fps=24)
    names = ["empty.mp4", "text.mp4", "text.png", "flat.png", "cut.png", "long.mp4", "gone.mp4", "gone.png"]
    names.append("pointer.png")
    found = read([tmp_path / name for name in names], replace(LIMITS, max_seconds=1.0))
    codes = {refusal.source: refusal.code for refusal in found if isinstance(refusal, Refusal)}
    assert list(codes) == names
    assert list(codes.values()) == [
        "empty", "format", "format", "too_small", "format", "too_long", "unreadable", "unreadable",
        "not_fetched",
    ]  # fmt: skip
    assert all(isinstance(refusal, Refusal) and refusal.cause not in ("", "None") for refusal in found)


@pytest.mark.slow
def test_a_file_that_hangs_is_given_up_even_where_compute_is_inline(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")  # opening it waits for a writer
    good = write_video(tmp_path / "b.mp4", counter(8), fps=8)
    hanging, read_all_the_same = read([tmp_path / "a.mp4", good], timeout=2)
    assert isinstance(hanging, Refusal)
    assert hanging.code == "timeout"
    assert isinstance(read_all_the_same, Header)


@pytest.mark.slow
def test_first_pictures_of_some(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", counter(24, 32, 48), fps=24)
    others = []
    for number in range(3):
        Image.new("RGB", (400, 16), (number, 0, 0)).save(tmp_path / f"{number}.png")
        others.append(tmp_path / f"{number}.png")
    found = read([video, *others], pictures=2)
    pictures = [header.picture for header in found if isinstance(header, Header)]
    assert [picture is not None for picture in pictures] == [True, False, True, False]
    assert pictures[0] is not None
    assert pictures[0].shape == (64, 96, 3)
    assert read_counter(pictures[0][None]) == [0]
    assert pictures[2] is not None
    assert pictures[2].shape == (10, 256, 3), "a very wide one is not enlarged to the height"


@pytest.mark.usefixtures("here")
def test_a_header_is_read_even_if_the_first_picture_is_damaged(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", counter(24), fps=24, container={"movflags": "faststart"})
    data = bytearray(video.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    video.write_bytes(data)
    (header,) = read([video], pictures=1)
    assert isinstance(header, Header)
    assert (header.codec, header.picture) == ("h264", None)


@pytest.mark.slow
def test_real_files() -> None:
    folder = shared_data()
    with open(folder / "captions.csv", encoding="utf-8", newline="") as stream:
        names = [row["path"] for row in csv.DictReader(stream)]
    broken = sorted(path for path in (folder / "broken").iterdir() if path.is_file())
    found = read([*(folder / name for name in names), *broken], pictures=len(names) + len(broken))
    for header in found[: len(names)]:
        assert isinstance(header, Header), header
        assert header.fps is not None
        assert header.picture is not None
        assert header.picture.std() > 1, "a picture of something"
    refused = [refusal.code for refusal in found[len(names) :] if isinstance(refusal, Refusal)]
    assert refused == ["format"] * len(broken)


@pytest.mark.parametrize("count", [0, 3, 20, 50])
def test_the_choice_is_a_function_of_the_seed(count: int) -> None:
    items = [Item(f"{number:02d}.mp4", "", "video", (), False, None) for number in range(20)]
    chosen = choose(items, count, seed=1)
    assert len(chosen) == min(count, 20)
    assert chosen == choose(items, count, seed=1) == sorted(chosen, key=lambda item: item.source)
    if count == 3:
        assert len({tuple(item.source for item in choose(items, count, seed)) for seed in range(10)}) > 5
