"""Opens and decodes any video: from a file's bytes to timed frames, and from those to upright pictures.

``walt.media.mp4`` and ``walt.media.playable``, which also use PyAV and ffmpeg, are for this project's own files. To get
a file's clips or pictures, use ``walt.media.video``.

Files are opened by ``walt.media.containers``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import IO, Any

import av
from av.container import InputContainer
from av.packet import PktSideDataT
from av.stream import Discard, Stream
from av.video.frame import VideoFrame

from walt.core.sizes import Size
from walt.media.containers import demuxed, open_video
from walt.media.continuity import Continuity
from walt.media.cropping import Cropping, croppings
from walt.media.decoders import check_of_pictures, colours_of_container, make_decoder
from walt.media.h264_fields import FieldPairs
from walt.media.images import Limits, SourceError
from walt.media.key_frames import classifier_by_key_frames
from walt.media.scaling import Scaler, deinterlace, orientation, shown_size
from walt.media.skipping import CONTAINERS, Packet, Plan, Unfit, check, classifier, make_plan
from walt.media.streams import describe, picture_stream

_PROGRESSIVE = (0, 1)
"""Field orders: unknown, progressive. Each frame that is shown is checked again."""
_CHANGES: tuple[PktSideDataT, ...] = ("new_extradata", "param_change")

TimedPacket = tuple[Fraction, Fraction, int]
"""(seconds on the file's clock, duration in seconds, pts)"""
TimedFrame = tuple[Fraction, Fraction, VideoFrame]
"""(seconds on the file's clock, duration in seconds, frame)"""

_HELD_BYTES = 64 << 20
"""Packets of larger files are read twice instead of being kept in memory."""
_TOGETHER = Fraction(1, 20)
"""A picture stream that starts at most this many seconds after the file, as coders of sound delay, starts with it."""
_STATING_ASPECT = frozenset({"mov", "matroska", "asf", "gif", "apng"})
"""Containers that state one aspect of pixels, which players take whatever the pictures say."""
_ASPECTS_ALIKE = Fraction(1, 20)
"""Broadcasters state 16:9 as pixels of 16:11 and of 64:45: a change like that is none."""
_ENDLESS = Fraction(10**9)
_ROUNDING = 1e-6  # seconds, of sums of floats
_SHORTEST, _FASTEST = Fraction(1, 10), 5000
"""Seconds, and frames per second: a shorter video of more frames than that has no clock that anybody meant."""


class VideoReader:
    """Decodes one picture stream and counts what was read, to compare it with what the header says."""

    def __init__(
        self,
        container: InputContainer,
        limits: Limits,
        croppings: Sequence[Cropping | None] = (),
        *,
        strict: bool = False,
    ) -> None:
        """Args: croppings: of each video track, see ``walt.media.cropping``. strict: see ``make_decoder``."""
        self.stream = picture_stream(container)
        self.info = describe(container, self.stream)
        limits.check_size(self.info.width, self.info.height)
        number = [stream.index for stream in container.streams.video].index(self.stream.index)
        self.cropping = croppings[number] if number < len(croppings) else None
        if self.cropping is not None:
            limits.check_size(self.cropping.width, self.cropping.height)
            self.info = replace(self.info, pixel_aspect=self.cropping.pixel_aspect)
        self.continuity = Continuity(container.format.name.split(",")[0], self.stream.time_base or Fraction(0))
        too_long = self.info.seconds is not None and self.info.seconds > limits.max_seconds
        if too_long and not self.continuity.restarts:  # there the length is the difference of two timestamps
            raise SourceError("too_long", f"{self.info.seconds or 0:.0f} seconds, more than {limits.max_seconds:g}")
        self._aspect: Fraction | None = None  # of pixels, by the decoder, since the first frame
        self._states_aspect = container.format.name.split(",")[0] in _STATING_ASPECT
        self._is_mov = container.format.name.startswith("mov")  # an edit list may show less than all frames
        self._decoder, self._strict = make_decoder(self.stream, limits, strict=strict), strict
        self._check_whole = check_of_pictures(self._decoder)
        self._complete = colours_of_container(self.stream)
        self._fields = FieldPairs(self._decoder.extradata or b"") if self._decoder.name == "h264" else None
        self._limits, self._container = limits, container
        # whether the header has the stream's own duration; otherwise it is the file's, which all streams share
        self._of_stream = self.stream.duration is not None
        if self._of_stream:
            for other in container.streams:
                if other is not self.stream:
                    other.discard = Discard.all
        self._packets = demuxed(container)
        self._ticks: dict[int, tuple[int, int]] = {}  # numerator and denominator of seconds, of each stream
        self._first, self._last = float("inf"), float("-inf")  # seconds
        self._exhausted = False
        self.packets = self.decoded = self._discarded = self._undecodable = self._held_bytes = self._second_fields = 0
        self._facts: list[Packet] = []
        self._held: list[av.Packet[Stream]] | None = None
        self._zero = self.late = Fraction(0)
        """When the first frame is shown, on the file's clock; known once frames or packets have been read."""

    def _start(self, first: Fraction) -> None:
        """Note how long after the file's start its first frame is shown, in whole milliseconds. Players and ffmpeg
        count time from the start of the stream that starts first, which may be the sound."""
        begin = self._container.start_time
        late = Fraction(0) if begin is None else first - Fraction(begin, av.time_base)
        self.late = Fraction(round(late * 1000), 1000) if late > _TOGETHER else Fraction(0)
        self._zero = first - self.late

    def joins(self) -> list[Fraction]:
        """When time began again, in seconds on the file's clock; after ``frames``."""
        return [self._on_clock(ticks) for ticks in self.continuity.joins]

    def damage(self) -> list[tuple[Fraction, Fraction]]:
        """Stretches to which damage spread, begin and end in seconds on the file's clock; after ``frames``."""
        return [
            (self._on_clock(begin), _ENDLESS if end == math.inf else self._on_clock(int(end)))
            for begin, end in self.continuity.damage()
        ]

    def lasted(self) -> float:
        """Seconds from the first packet's picture to the end of the last one's, of those that were read."""
        return self._last - self._first

    def _on_clock(self, ticks: int) -> Fraction:
        return ticks * (self.stream.time_base or Fraction(0)) - self._zero

    def frames(self) -> Iterator[TimedFrame]:
        """All frames in display order; seconds never decrease."""
        first = last = None
        spare = 1 / self.info.average_fps if self.info.average_fps else Fraction(1, 25)
        for frame in deinterlace(self._decode()):
            if frame.pts is None and last is None:
                raise SourceError("no_timestamps", "the first frame has no timestamp")
            self._check(frame)
            tick = frame.time_base or Fraction(0)
            at = frame.pts * tick if frame.pts is not None else (last or Fraction(0)) + spare
            last = at if last is None else max(last, at)
            if first is None:
                first = last
                self._start(first)
            yield last - first + self.late, frame.duration * tick or spare, frame

    def scan(self) -> list[TimedPacket]:
        """Read the file to its end without decoding: when each frame is shown, as (seconds, duration, pts).

        Raises Unfit where every packet must be decoded.
        """
        tick, codec = self.stream.time_base, self.stream.codec_context
        if self._container.format.name.split(",")[0] not in CONTAINERS or not tick:
            raise Unfit("a container whose timestamps may be guesses")
        if self._decoder is not codec or codec.field_order not in _PROGRESSIVE:
            raise Unfit("interlaced or with alpha")
        classify = classifier_by_key_frames(codec.name) or classifier(codec.name, codec.extradata or b"")
        self._facts = []
        held: list[av.Packet[Stream]] | None = []
        for packet in self._packets:
            self._count(packet)
            if packet.stream is not self.stream or not packet.size:
                continue
            if packet.pts is None or packet.is_discard or packet.is_corrupt or any(map(packet.has_sidedata, _CHANGES)):
                raise Unfit("packets without timestamps, to be discarded, or that change the decoder")
            self.continuity.note_clock(packet)
            self.continuity.between(packet)
            self._facts.append(Packet(packet.pts, packet.duration or 0, *classify(memoryview(packet))))
            if held is not None:
                held.append(packet)
                self._held_bytes += packet.size
                held = held if self._held_bytes <= _HELD_BYTES else None
        check(self._facts, codec.reorder_depth)
        self._held = held
        spare = 1 / self.info.average_fps if self.info.average_fps else Fraction(1, 25)
        shown = sorted(self._facts, key=lambda fact: fact.pts)
        seconds = {ticks: ticks * tick or spare for ticks in {fact.duration for fact in shown}}  # few distinct values
        for fact in shown:
            self.continuity.step(fact.pts, fact.duration, False)
        if self.continuity.damage() or self.continuity.has_gaps:  # what is damage then depends on what was read
            raise Unfit("a gap in a constant rate")
        self._start(shown[0].pts * tick)
        first = shown[0].pts - self.late / tick if self.late else shown[0].pts  # fractions take twice as long
        return [((fact.pts - first) * tick, seconds[fact.duration], fact.pts) for fact in shown]

    def frames_at(self, wanted: frozenset[int]) -> Iterator[TimedFrame]:
        """After ``scan``: only the frames with the wanted pts, each shown until the next one.

        Raises Unfit unless the decoder gives exactly these, as intact, progressive frames.
        """
        plan = make_plan(self._facts, wanted)
        missing, tick = set(wanted), self.stream.time_base or Fraction(0)
        for frame in self._decode_planned(plan):
            self._check(frame)
            if frame.pts not in missing:
                continue
            if frame.is_corrupt or frame.interlaced_frame:
                raise Unfit("a damaged or an interlaced frame")
            missing.remove(frame.pts)
            self.decoded += 1
            yield (frame.pts - plan.origin) * tick + self.late, _ENDLESS, frame
        if missing:
            raise Unfit("not all frames came out of the decoder")

    def _decode_planned(self, plan: Plan) -> Iterator[VideoFrame]:
        feed = iter(plan.feed)
        number = next(feed, None)
        started = False
        try:
            for at, packet in enumerate(self._again()):
                if number is None:
                    break
                if at != number:
                    continue
                if packet.pts != self._facts[at].pts:
                    raise Unfit("the second reading differs from the first")
                if started and number in plan.fresh:
                    yield from self._decoder.decode(None)
                    self._decoder.flush_buffers()
                started = True
                yield from self._decoder.decode(packet)
                number = next(feed, None)
            yield from self._decoder.decode(None)
        except av.InvalidDataError:
            raise Unfit("a packet that cannot be decoded") from None

    def _again(self) -> Iterator[av.Packet[Any]]:
        if self._held is not None:
            return iter(self._held)
        self._container.seek(self._facts[0].pts, stream=self.stream)
        return (packet for packet in self._container.demux(self.stream) if packet.size)

    def _check(self, frame: VideoFrame) -> None:
        self._complete(frame)
        if (frame.width, frame.height) != (self.info.width, self.info.height):
            was = f"{self.info.width}x{self.info.height}"
            raise SourceError("size_changed", f"{was} became {frame.width}x{frame.height}")
        if self._states_aspect:
            return
        aspect = self._decoder.sample_aspect_ratio or Fraction(1)
        self._aspect = self._aspect or aspect
        if abs(aspect - self._aspect) > _ASPECTS_ALIKE * aspect:
            cause = f"pixels of {self._aspect} became pixels of {aspect}: split the file there"
            raise SourceError("size_changed", cause)

    def _decode(self) -> Iterator[VideoFrame]:
        for packet in self._packets:  # the last one of each stream is empty and drains its decoder
            self._follow(packet)
            if packet.stream is not self.stream:
                continue
            try:
                decoded = self._decoder.decode(packet)
            except av.InvalidDataError:
                if self._strict and self.continuity.is_first_key(packet):
                    raise Unfit("what a strict decoder refuses from the first picture on may not be damage") from None
                self._undecodable += self.continuity.fail(packet)  # checked at the end: the last may be incomplete
                continue
            for frame in decoded:
                self._check_whole(frame)
                self.decoded += 1
                self.continuity.show(frame)
                yield frame
        self._exhausted = True

    def _follow(self, packet: av.Packet[Stream]) -> None:
        if packet.stream is self.stream and packet.size:
            self.continuity.note_clock(packet)
            self.continuity.follow(packet)
            self._second_fields += self._fields is not None and self._fields.is_second(bytes(packet))
        self._count(packet)

    def _count(self, packet: av.Packet[Stream]) -> None:
        ours = packet.stream is self.stream
        if ours and packet.size:
            self.packets += 1
            self._discarded += packet.is_discard
        if packet.pts is not None and (ours or not self._of_stream):
            tick = self._ticks.get(packet.stream_index)
            if tick is None:  # its first packet; streams may come late
                tick = self._ticks[packet.stream_index] = packet.time_base.as_integer_ratio()
            self._first = min(self._first, packet.pts * tick[0] / tick[1])
            self._last = max(self._last, (packet.pts + (packet.duration or 0)) * tick[0] / tick[1])
            if self._last - self._first > self._limits.max_seconds + _ROUNDING:
                raise SourceError("too_long", f"more than {self._limits.max_seconds:g} seconds")

    def check_complete(self) -> None:
        """Raise SourceError when less was read than the header says: a file that was cut keeps its header.

        The rest of the file is read to its end, not decoded. Both the number of frames (where the header has one) and
        the time must be too small: AVI files may count frames that are empty, and repeat the one before.
        """
        for packet in self._packets:
            self._follow(packet)
        if not self.packets or (self._exhausted and not self.decoded):
            raise SourceError("decode", "no frame could be decoded")
        self._check_clock()
        promised, seconds = self.info.num_frames, self.info.seconds
        if self.continuity.joins:  # the length is the difference of two timestamps, which says nothing
            promised = seconds = None
        if promised and self.info.average_fps and not self._is_mov:  # an AVI's duration is guessed from its size
            seconds = max(seconds or 0.0, float(promised / self.info.average_fps))
        came = min(self.packets, self.decoded + self._discarded) if self._exhausted else self.packets
        frames_short = promised is None or promised - came > max(2, promised // 20)
        lasted = self._last - (self._first if self._of_stream else min(self._first, 0.0))  # a file's time starts at 0
        # the last packet of an FLV does not say how long it lasts; those of an AVI may have the time of the next one
        frames = 2 if self.continuity.has_no_times else 1
        unknown = frames * lasted / max(1, self.packets - frames) + _ROUNDING
        time_short = seconds is not None and seconds - lasted > max(seconds / 20, 0.1, unknown)
        if frames_short and (time_short or (seconds is None and promised is not None)):
            header = f"the header promises {promised or 'some'} frames in {seconds or 0:.2f} s"
            raise SourceError("truncated", f"{header}, {came} in {lasted:.2f} s are there")
        known = self.decoded + self._discarded + self.continuity.before + self._second_fields
        lost = self.packets - known if self._exhausted else 0
        if self.continuity.damage():  # clips that it touches are left out; decoders drop frames, too
            return
        if self._undecodable or lost > max(2, self.packets // 20):
            raise SourceError("decode", f"{max(lost, self._undecodable)} of {self.packets} frames could not be decoded")

    def _check_clock(self) -> None:
        """Raise SourceError where no time passes between frames, as writers leave it that know no rate: an MP4 of
        one tick a frame, an FLV without times. What FFmpeg makes of it is one still picture."""
        passed = self.continuity.clock
        lasts = (passed[1] - passed[0]) * (self.stream.time_base or Fraction(0)) if passed else _ENDLESS
        if lasts < _SHORTEST and self.packets - self._second_fields - 1 > lasts * _FASTEST:
            said = f"all of its {self.packets} frames come within {float(lasts) * 1000:.3g} ms"
            raise SourceError("no_timestamps", f"{said}: write it anew with the rate that is meant")

    def upright_size(self, frame: VideoFrame) -> Size:
        """(height, width) of a frame as it is shown: rotated, with square pixels."""
        height, width = shown_size(frame, self.cropping)
        size = (height, max(1, round(width * self.info.pixel_aspect)))
        return (size[1], size[0]) if orientation(frame)[0] else size

    def convert(self, sizes: Sequence[Size]) -> Scaler:
        """A function from a VideoFrame to {size: upright picture}."""
        return Scaler(sizes, float(self.info.pixel_aspect), self.cropping)


@contextmanager
def open_reader(stream: IO[bytes], limits: Limits, *, strict: bool = False) -> Iterator[VideoReader]:
    """Open a video for decoding. Raises SourceError, also while it is open; with ``strict`` Unfit as well."""
    crops = croppings(stream)
    with open_video(stream) as container:
        yield VideoReader(container, limits, crops, strict=strict)
