"""Refuses MP4, MOV and FLV files of which FFmpeg shows something else than they hold, without an error.

- A pause in an edit list (an empty edit behind another): FFmpeg shows the video's beginning in its place. Another rate
  than 1 there (slow motion, time lapse, a frame that stays): FFmpeg shows the piece at its own rate.
- A second recording behind the first, as ``cat a.mp4 b.mp4`` or a recorder that began again leaves it: nothing of it is
  read. The same in FLV, where the second header is taken for a tag of 5 MB.
- Encrypted pictures (DRM): most are damage to a decoder, some come out as noise.
- A table of times that lets no time pass: FFmpeg shows one still picture, or frames as slow as it likes.
- A HEIF picture of several tiles, as phones write it: each tile is a stream of its own, and one of them is shown.
- A HEIF picture with transparency (AVIF without HDR is read by Pillow): only its colours are shown.

Sources: ISO/IEC 14496-12 (8.6.1.2 stts, 8.6.6 elst, 8.8.12 tfdt, 8.12 encv), ISO/IEC 23008-12 (6.5.8 auxC, 6.6.2 grid
and overlay), Adobe Flash Video File Format Specification 10.1 (E.2 to E.4).
"""

from __future__ import annotations

import struct
from typing import IO

from walt.media.boxes import boxes, is_mov
from walt.media.images import SourceError

_MOST_BYTES = 1 << 20
_DERIVED = (b"grid", b"iovl")
_ALPHA = (b"auxiliary:alpha", b"hevc:2015:auxid:1")
_PLAIN_RATE = 1 << 16
_OF_SEGMENTS = (b"styp", b"sidx", b"moof", b"prft", b"emsg")
"""Boxes with which pieces of a stream begin (DASH, HLS)."""
_FLV = b"FLV"
_FLV_TAG = 11


def check_parts(stream: IO[bytes]) -> None:
    """Raise SourceError (``edits``, ``joined``, ``format``, ``encrypted``, ``no_timestamps``). The stream is at its
    start before and afterwards."""
    try:
        begin = stream.read(12)
        if is_mov(begin):
            _Parts(stream).check(stream.seek(0, 2))
        elif begin.startswith(_FLV):
            _check_flv(stream, int.from_bytes(begin[5:9], "big"))
    except (struct.error, IndexError):
        pass  # a damaged header: FFmpeg says what is wrong with it
    finally:
        stream.seek(0)


def without_index(stream: IO[bytes]) -> str | None:
    """What an MP4 or MOV lacks that no decoder opens; None: it is none, or it has its index. The stream is moved."""
    stream.seek(0)
    begin = stream.read(12)
    if not is_mov(begin) and begin[4:8] not in _OF_SEGMENTS:
        return None
    try:
        kinds = {kind for kind, *_ in boxes(stream, 0, stream.seek(0, 2))}
    except struct.error:
        return None
    if kinds & {b"moov", b"meta"}:
        return None
    if b"moof" in kinds:
        return (
            "a piece of a stream without its header (moov): join it to the initialisation segment, cat init.mp4 a.m4s"
        )
    return "its index (moov) is missing, which is written at the end: the recording or the download was not finished"


class _Parts:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._videos: set[int] = set()  # ids of video tracks
        self._times: dict[int, int] = {}  # when the last fragment of each began
        self._described = False

    def check(self, end: int) -> None:
        """Look at the whole file."""
        for kind, begin, until in boxes(self._stream, 0, end):
            if kind == b"moov":
                self._moov(begin, until)
            elif kind == b"moof":
                self._moof(begin, until)
            elif kind == b"meta" and not self._described:
                self._items(begin, until)

    def _moov(self, begin: int, until: int) -> None:
        inside = list(boxes(self._stream, begin, until))
        if self._described and not any(kind == b"mvex" for kind, *_ in inside):
            raise _joined(begin)
        self._described = True
        for kind, first, last in inside:
            if kind == b"trak":
                self._track(first, last)

    def _track(self, begin: int, until: int) -> None:
        parts = {kind: (first, last) for kind, first, last in boxes(self._stream, begin, until)}
        media = {kind: first for kind, first, _ in boxes(self._stream, *parts.get(b"mdia", (0, 0)))}
        if self._read(media.get(b"hdlr", 0) + 8, 4) != b"vide" or b"tkhd" not in parts:
            return
        header = self._read(parts[b"tkhd"][0], 24)
        self._videos.add(int.from_bytes(header[20:24] if header[0] else header[12:16], "big"))
        self._check_samples(*parts[b"mdia"])
        for kind, first, last in boxes(self._stream, *parts.get(b"edts", (0, 0))):
            table = self._read(first, min(last - first, _MOST_BYTES)) if kind == b"elst" else b""
            if table and (found := _unread_edit(table)):
                raise SourceError(
                    "edits", f"{found} in its edit list, which is not read: write the file anew without it"
                )

    def _check_samples(self, begin: int, until: int) -> None:
        """Look at the descriptions of a track's samples, and at their times."""
        at = begin, until
        for wanted in (b"minf", b"stbl"):
            at = next(((first, last) for kind, first, last in boxes(self._stream, *at) if kind == wanted), (0, 0))
        tables = {kind: (first, last) for kind, first, last in boxes(self._stream, *at)}
        first, last = tables.get(b"stsd", (0, 0))
        if any(kind == b"encv" for kind, *_ in boxes(self._stream, first + 8, last)):
            raise SourceError("encrypted", "its pictures are encrypted, and cannot be read without the key")
        first, last = tables.get(b"stts", (0, 0))
        times = self._read(first, min(last - first, _MOST_BYTES))
        steps = [*struct.iter_unpack(">II", times[8 : len(times) // 8 * 8])]
        frames = sum(count for count, _ in steps)
        if frames > 1 and not any(ticks for _, ticks in steps):
            said = f"no time passes between its {frames} frames, by its table of times (stts)"
            raise SourceError("no_timestamps", f"{said}: write it anew with the rate that is meant")

    def _moof(self, begin: int, until: int) -> None:
        for kind, first, last in boxes(self._stream, begin, until):
            parts = {part: at for part, at, _ in boxes(self._stream, first, last)} if kind == b"traf" else {}
            if b"tfhd" not in parts or b"tfdt" not in parts:
                continue
            track = int.from_bytes(self._read(parts[b"tfhd"] + 4, 4), "big")
            stated = self._read(parts[b"tfdt"], 12)
            time = int.from_bytes(stated[4:12] if stated[0] else stated[4:8], "big")
            if track in self._videos and time < self._times.get(track, 0):
                raise _joined(begin)
            self._times[track] = time

    def _items(self, begin: int, until: int) -> None:
        """Look at the items of a HEIF file: whether they are put together to a picture, and their properties."""
        items = {kind: (first, last) for kind, first, last in boxes(self._stream, begin + 4, until)}
        table, properties = (
            self._read(first, min(last - first, _MOST_BYTES))
            for first, last in (items.get(b"iinf", (0, 0)), items.get(b"iprp", (0, 0)))
        )
        if any(b"infe" in table and kind in table for kind in _DERIVED):
            raise SourceError("format", "a HEIF picture of several tiles, not read: convert it to PNG or JPEG")
        if any(b"auxC" in properties and kind in properties for kind in _ALPHA):
            raise SourceError("colours", "a HEIF picture with transparency, not read: convert it to PNG")

    def _read(self, begin: int, count: int) -> bytes:
        self._stream.seek(begin)
        return self._stream.read(count)


def _check_flv(stream: IO[bytes], length: int) -> None:
    """Go from tag to tag; ``length`` is that of the file's header. Where no tag is, FFmpeg says what is wrong."""
    at = length + 4
    stream.seek(at)
    while len(tag := stream.read(_FLV_TAG)) == _FLV_TAG:
        if tag.startswith(_FLV):
            raise _joined(at)
        if tag[0] & 0x1F not in (8, 9, 18):  # sound, picture, data
            return
        at += _FLV_TAG + int.from_bytes(tag[1:4], "big") + 4
        stream.seek(at)


def _joined(begin: int) -> SourceError:
    said = f"a second recording begins near byte {begin}, and would not be read: split the file there"
    return SourceError("joined", said)


def _unread_edit(table: bytes) -> str | None:
    """What an edit list has that FFmpeg does not follow. The rate 0 of a single edit is its writer's mistake: a video
    that is one still picture from its beginning to its end has no other frames."""
    entry = ">QqI" if table[0] else ">IiI"
    (count,) = struct.unpack_from(">I", table, 4)
    shown = False
    for number in range(count):
        duration, start, rate = struct.unpack_from(entry, table, 8 + number * struct.calcsize(entry))
        if start == -1 and duration and shown:
            return "a pause"
        if start != -1 and duration and rate != _PLAIN_RATE and (rate or count > 1):
            return f"a rate of {rate / _PLAIN_RATE:g}"
        shown = shown or start != -1
    return None
