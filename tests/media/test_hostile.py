"""Files that are made to do harm, or by hands that did not know: each is refused with its code, or read by a stated
rule. Other refusals are tested in ``test_video.py``."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.media import LIMITS, counter, ffmpeg, read_counter, write_video
from tests.support.settings import compute_settings
from walt.media.images import Limits, SourceError
from walt.media.video import read_clips
from walt.workers.execute import map_items

SIZE = (32, 32)
ANY_SIZE = Limits(min_side=1, max_pixels=33_177_600, max_seconds=600)


def outcome(path: Path, limits: Limits = ANY_SIZE) -> list[int] | str:
    """The numbers of the frames of the first clip, or the code of the refusal."""
    try:
        (clip,) = read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=limits)
    except SourceError as error:
        return error.code if "\n" not in error.cause else "a cause of several lines"
    return read_counter(clip.frames[SIZE])


GOOD = [0, 3, 6, 9, 12]


def peak_of(path: Path) -> tuple[list[int] | str, int]:
    """``outcome``, and how many MiB reading took at its highest above what the process had."""
    before = _peak()
    return outcome(path), _peak() - before


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from Linux's /proc")
def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    """16384x8192 of nothing: 400 MB as RGB, less than 400 kB on disk."""
    Image.new("1", (16384, 8192)).save(tmp_path / "bomb.png")
    ffmpeg("-framerate", "24", "-i", tmp_path / "bomb.png", "-c", "copy", tmp_path / "png.mov")
    path = tmp_path / "png.mov"
    assert path.stat().st_size < 400_000
    ((result, megabytes),) = (
        found.value or ("", 0) for found in map_items(peak_of, [path], compute_settings(workers=1, backend="process"))
    )
    assert result == "too_large"
    assert megabytes < 150


def test_three_hours_are_refused_from_the_header(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 24), Fraction(3 * 3600)]
    for suffix in ("mp4", "mkv"):
        assert outcome(write_video(tmp_path / f"a.{suffix}", counter(3), times=times)) == "too_long"


def test_a_transport_stream_that_is_too_long_is_found_out(tmp_path: Path) -> None:
    """It has no duration, and time that goes ahead by more than 10 s begins again."""
    path = write_video(
        tmp_path / "a.mp4", np.zeros((70, 32, 32, 3), np.uint8), times=[Fraction(9 * i) for i in range(70)]
    )
    ffmpeg("-i", path, "-c", "copy", tmp_path / "a.ts")
    assert outcome(tmp_path / "a.ts") == "too_long"


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """(address, the requests that came)."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", requests
        listening.shutdown()
        thread.join()


def test_playlists_make_no_request(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, requests = server
    lists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{address}/a.ts\n#EXT-X-ENDLIST\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f'<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{address}/a.mp4</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "concat": f"ffconcat version 1.0\nfile '{address}/a.mp4'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video {address[-5:]} RTP/AVP 96\n",
        "asx": f'<asx version="3.0"><entry><ref href="{address}/a.wmv"/></entry></asx>',
    }
    for name, text in lists.items():
        for suffix in ("mp4", "mkv", "m3u8", "mpd"):
            (tmp_path / f"{name}.{suffix}").write_text(text)
            assert outcome(tmp_path / f"{name}.{suffix}") == "format"
    assert requests == []


def alias(name: str) -> bytes:
    """A data reference of a QuickTime file: its samples are those of another file in the same folder."""
    path = f"/{name}".encode()
    path += bytes(len(path) % 2)
    record = bytes(10) + bytes(28) + bytes(12) + bytes([len(name)]) + name.encode().ljust(63, b"\0") + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)  # from this folder, to a file of it
    record += struct.pack(">hH", 2, len(path)) + path + struct.pack(">hH", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def test_a_reference_to_another_file_is_not_followed(tmp_path: Path) -> None:
    """The file's own samples are blank; the file it refers to is valid, and would be shown if it were followed."""
    data = write_video(tmp_path / "inner.mov", counter(24)).read_bytes()
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    here, there = b"\0\0\0\x0curl \0\0\0\1", alias("inner.mov")
    moov = data[end:]
    assert begin < end
    assert moov.count(here) >= 1
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = moov.index(parent) - 4
        (size,) = struct.unpack_from(">I", moov, at)
        moov = moov[:at] + struct.pack(">I", size + len(there) - len(here)) + moov[at + 4 :]
    (tmp_path / "outer.mov").write_bytes(data[:begin] + bytes(end - begin) + moov.replace(here, there, 1))
    ffmpeg("-enable_drefs", "1", "-i", tmp_path / "outer.mov", "-c", "copy", tmp_path / "followed.mov")
    assert outcome(tmp_path / "followed.mov") == GOOD
    assert outcome(tmp_path / "outer.mov") == "decode"


def test_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.mp4", counter(24)).read_bytes()
    assert data.count(b"avc1") >= 1
    (tmp_path / "b.mp4").write_bytes(data.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    assert outcome(tmp_path / "b.mp4") == "codec"


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_frames_before_time_zero_are_not_shown(tmp_path: Path, suffix: str) -> None:
    """18 frames have negative times, which the file's edit list takes from what is shown."""
    path = write_video(tmp_path / "a.mp4", counter(48), options={"crf": "1", "bf": "0"})
    shifted = tmp_path / f"b.{suffix}"
    ffmpeg("-itsoffset", "-0.75", "-i", path, "-c", "copy", "-avoid_negative_ts", "disabled", shifted)
    with av.open(str(shifted)) as container:
        pts = next(container.demux(container.streams.video[0])).pts
    assert pts is not None
    assert pts < 0
    assert outcome(shifted) == [18, 21, 24, 27, 30]


def test_a_rate_of_zero(tmp_path: Path) -> None:
    """No rate in the header, and frames at odd times: timestamps rule."""
    times = [Fraction(0), Fraction(1, 8), Fraction(3, 8), Fraction(4, 8), Fraction(7, 8)]
    path = write_video(tmp_path / "a.webm", counter(5), times=times, codec="libvpx", pixel_format="yuv420p",
                       options={"crf": "4", "b": "1M"})  # fmt: skip
    assert outcome(path) == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (95, 127), (1, 300), (33, 20)])
@pytest.mark.parametrize("pixel_format", ["bgr0", "yuv420p", "yuv444p"])
def test_odd_and_tiny_pictures(tmp_path: Path, height: int, width: int, pixel_format: str) -> None:
    path = write_video(tmp_path / "a.mkv", counter(24, height, width), codec="ffv1", pixel_format=pixel_format)
    assert outcome(path) == GOOD
    if min(height, width) < 16:
        assert outcome(path, LIMITS) == "too_small"


def test_a_size_that_changes_within_an_mp4(tmp_path: Path) -> None:
    joined = b""
    for side in (32, 64):
        write_video(tmp_path / f"{side}.mp4", counter(24, side, side), pixel_format="yuv420p")
        ffmpeg("-i", tmp_path / f"{side}.mp4", "-c", "copy", "-bsf:v", "h264_mp4toannexb", tmp_path / f"{side}.h264")
        joined += (tmp_path / f"{side}.h264").read_bytes()
    (tmp_path / "joined.h264").write_bytes(joined)
    path = tmp_path / "joined.mp4"
    ffmpeg("-r", "24", "-f", "h264", "-i", tmp_path / "joined.h264", "-c", "copy", path)
    with pytest.raises(SourceError, match="size_changed"):
        read_clips(path, num_frames=13, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS)
    with pytest.raises(SourceError, match="size_changed"):
        read_clips(path, num_frames=2, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, starts=[1.5])


def with_aspects(folder: Path, name: str, *aspects: Fraction) -> Path:
    """A second of a counter for each aspect of pixels, one behind the other in one stream without any other mark."""
    whole = b""
    for number, aspect in enumerate(aspects):
        part = folder / f"{number}.h264"
        frames = counter(24 * len(aspects), 48, 64)[24 * number : 24 * number + 24]
        plain = {"crf": "1", "x264-params": "bframes=0:keyint=24:threads=1"}
        write_video(part.with_suffix(".mkv"), frames, pixel_format="yuv420p", aspect=aspect, options=plain)
        ffmpeg("-i", part.with_suffix(".mkv"), "-c", "copy", part)
        whole += part.read_bytes()
    (folder / "whole.h264").write_bytes(whole)
    ffmpeg("-r", "24", "-f", "h264", "-i", folder / "whole.h264", "-c", "copy", folder / name)
    return folder / name


def first_clip(path: Path, starts: float) -> list[int] | str:
    try:
        (clip,) = read_clips(path, num_frames=4, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS, starts=[starts])
    except SourceError as error:
        return error.code
    return read_counter(clip.frames[SIZE])


@pytest.mark.parametrize("name", ["a.ts", "a.avi", "a.flv"])
def test_pixels_that_change_their_aspect_are_refused(name: str, tmp_path: Path) -> None:
    """As broadcasts do between 4:3 and 16:9. The second half would be half as wide as it is."""
    wide = with_aspects(tmp_path, name, Fraction(1), Fraction(2))
    assert first_clip(wide, 1.25) == "size_changed"
    assert first_clip(wide, 0) == [0, 3, 6, 9], "what comes before it is as it should be"
    alike = with_aspects(tmp_path, name, Fraction(16, 11), Fraction(64, 45))
    assert first_clip(alike, 1.25) == [30, 33, 36, 39], "two ways to state 16:9"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_where_the_container_states_the_aspect_it_holds(name: str, tmp_path: Path) -> None:
    path = with_aspects(tmp_path, name, Fraction(1), Fraction(2))
    assert first_clip(path, 1.25) == [30, 33, 36, 39]


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [("libx264", "yuv420p10le"), ("libx264", "yuv444p10le"), ("libx265", "yuv420p12le"), ("ffv1", "gbrp10le"),
     ("ffv1", "gray16le"), ("ffv1", "yuva444p"), ("prores_ks", "yuva444p10le"),
     ("rawvideo", "nv12"), ("ffv1", "rgb48le"), ("mjpeg", "yuvj420p"), ("gif", "rgb8")],
)  # fmt: skip
def test_pixel_formats_of_all_kinds(tmp_path: Path, codec: str, pixel_format: str) -> None:
    path = tmp_path / {"gif": "a.gif", "rawvideo": "a.avi"}.get(codec, "a.mov" if codec == "prores_ks" else "a.mkv")
    options = {"x265-params": "log-level=none:crf=4"} if codec == "libx265" else {"crf": "1", "qmin": "1"}
    frames = (255 * np.indices((24, 64, 64))[0:1] // 23).astype(np.uint8)[0][..., None].repeat(3, -1)
    write_video(path, frames, codec=codec, pixel_format=pixel_format, options=options, fps=25 if codec == "gif" else 24)
    (clip,) = read_clips(path, num_frames=5, fps=8, sizes=[SIZE], max_clips=1, limits=LIMITS)
    found = [float(frame.mean()) for frame in clip.frames[SIZE]]
    expected = [255 * int(j * (25 if codec == "gif" else 24) / 8 + 0.03) / 23 for j in range(5)]
    assert np.abs(np.array(found) - expected).max() < (20 if codec == "gif" else 4)


def test_cover_art_of_another_size_first(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counter(24))
    Image.new("RGB", (600, 600), "white").save(tmp_path / "cover.jpg")
    ffmpeg("-i", tmp_path / "a.mp4", "-attach", tmp_path / "cover.jpg", "-metadata:s:t", "mimetype=image/jpeg",
           "-metadata:s:t", "filename=cover.jpg", "-c", "copy", tmp_path / "b.mkv")  # fmt: skip
    assert outcome(tmp_path / "b.mkv") == GOOD
