"""Where a stream's pictures do not follow one another: time that begins again, and damage that a decoder conceals.

Times here are in ticks of the stream's time base.

- Transport and programme streams that were joined, or whose clock wrapped, have timestamps that jump. From a jump on,
  packets get the timestamps that they would have if the rest followed at once.
- So have Matroska files that were joined, and FLV files whose recorder began again, at a key frame.
- A lost packet leaves few traces: a packet or a frame marked as corrupt, or in a stream of a constant rate a gap (in an
  MP4, whose frames last until the next, between fragments only). What is decoded afterwards shows remains of other
  pictures, until the next key frame.
- An AVI says only when packets are decoded. When their pictures are shown is FFmpeg's guess, which is wrong for
  B-frames of H.264 and of packed MPEG-4. Pictures come out of the decoder in the order in which they are shown, one for
  each packet: each is shown at the time of the packet with which it came out, as the ffmpeg command has it.
- A packet that cannot be decoded is damage up to the next key frame.
- A stream that was recorded from some moment on, or cut at an open group, begins with pictures that need others from
  before it. Decoders leave those out, and players show the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

RESTARTING = frozenset({"mpegts", "mpeg"})
"""Demuxers, by the first name of their format, of streams that have a clock but no table of times."""
JOINED_AT_KEYS = frozenset({"matroska", "flv"})
"""Demuxers of files in which time may go back at a key frame; a step ahead there is a pause."""
DECODING = frozenset({"avi"})
"""Demuxers of files that have times of decoding only."""
STATING = frozenset({"matroska"})
"""Demuxers of files that state how long a frame lasts apart from when the next one comes."""
FRAGMENTED = frozenset({"mov"})
"""Demuxers of files whose packets follow each other without a gap, except where a fragment is missing."""

_BACK, _AHEAD = Fraction(1, 10), 10
"""Seconds by which decoding times may go back or ahead from one packet to the next; beyond it, time begins again."""
_FEWEST = 25
"""Frames after which the rate may be called constant."""
_PENDING = 8
"""Key frames among which one that comes out of the decoder is looked for."""
_SHARE = 50
"""At most one step in so many may differ in a stream of a constant rate."""

Stretch = tuple[int, float]
"""Begin, and end or infinity, in ticks."""


class Continuity:
    """Follows the packets and the frames of one stream."""

    def __init__(self, demuxer: str, tick: Fraction) -> None:
        self.joins: list[int] = []
        """When the first picture after each join is shown."""
        self.clock: tuple[int, int] | None = None
        """The least and the greatest time of decoding that a packet has, as the file states it."""
        self.restarts = demuxer in RESTARTING and tick > 0
        self._states = demuxer in STATING and tick > 0
        self._joined_at_keys = demuxer in JOINED_AT_KEYS and tick > 0
        self._fragmented = demuxer in FRAGMENTED
        self.has_no_times = demuxer in DECODING
        """Whether the file says only when packets are decoded."""
        self._back, self._ahead = (-_BACK / tick, _AHEAD / tick) if tick > 0 else (Fraction(0), Fraction(0))
        self._until: int | None = None  # when the packet before ends, in its decoding time
        self._offset = self._end = self._lasts = 0
        self._decoding_time: int | None = None
        self._came_out: int | None = None
        self._marked, self._gaps = _Stretches(), _Stretches()
        self._corrupt = _Stretches()
        self._shown: tuple[int, int] | None = None  # pts and duration of the frame before
        self._steps = self._odd_steps = 0
        self._key: int | None = None  # when the first key frame is shown
        self._early = self._early_shown = 0
        self._latest: int | None = None  # when the last frame is shown that came out
        self._keys: deque[int] = deque(maxlen=_PENDING)  # when key frames should be shown, as their packets say
        self._came: set[int] = set()  # and those that came out

    def note_clock(self, packet: Packet[Stream]) -> None:
        """Note a packet's time of decoding, before ``follow`` moves it."""
        if packet.dts is not None:
            least, greatest = self.clock or (packet.dts, packet.dts)
            self.clock = min(least, packet.dts), max(greatest, packet.dts)

    def follow(self, packet: Packet[Stream]) -> None:
        """The next packet of the stream, in the file's order. Its timestamps are moved where time has begun again."""
        if packet.pts is None:  # Matroska's times before 0
            self._early += not packet.is_discard
            return
        step = None
        if packet.dts is not None and self._decoding_time is not None:
            step = packet.dts + self._offset - self._decoding_time
        joined = self.restarts and step is not None and not self._back <= step <= self._ahead
        if self._joined_at_keys and packet.is_keyframe:
            joined = packet.pts + self._offset < self._end + self._back
        if joined:
            self._offset = self._end - packet.pts
            self.joins.append(self._end)
        elif step is not None and step > 0 and not self._states:
            self._lasts = int(step) if self.restarts or not self._lasts else min(self._lasts, int(step))  # no pause
        if self._offset:
            packet.pts += self._offset
            packet.dts = None if packet.dts is None else packet.dts + self._offset
        if packet.dts is not None and (self.restarts or self._joined_at_keys):
            self._decoding_time = packet.dts
        self.between(packet)
        self._lasts = packet.duration or self._lasts  # packets of these streams may have none
        self._end = max(self._end, packet.pts + self._lasts)
        self._marked.add(packet.pts, packet.pts if packet.is_corrupt else None, packet.is_keyframe)
        if packet.is_keyframe:
            self._keys.append(packet.pts)
        if self._key is None and packet.is_keyframe:
            self._key = packet.pts
        elif (self._key is None or packet.pts < self._key) and not packet.is_discard:
            self._early += 1

    def fail(self, packet: Packet[Stream]) -> bool:
        """The packet of the last ``follow`` cannot be decoded. The frame that should come out with it is gone, too.

        Returns:
            Whether that is damage: before the first key frame a packet may only need what is not in the file.
        """
        if packet.pts is None or self._key is None:
            return self._key is not None
        if packet.is_discard or packet.pts < self._key:
            return False
        since = packet.pts if self._latest is None else min(packet.pts, self._latest + 1)
        self._marked.add(packet.pts, since, False)
        return True

    def is_first_key(self, packet: Packet[Stream]) -> bool:
        """Whether the packet of the last ``follow`` is the first key frame."""
        return packet.is_keyframe and packet.pts is not None and packet.pts == self._key

    @property
    def before(self) -> int:
        """Packets coded or shown before the first key frame that gave no picture: they need what is not in the file."""
        return max(0, self._early - self._early_shown)

    def between(self, packet: Packet[Stream]) -> None:
        """The next packet of a file whose packets follow each other: where a fragment is missing they do not."""
        if not self._fragmented or packet.pts is None or packet.dts is None:
            return
        duration = packet.duration or 0
        missing = 0 if self._until is None else packet.dts - self._until
        self._steps += 1
        self._odd_steps += abs(duration - self._lasts) > max(1, duration // 4)
        self._lasts, self._until = duration, packet.dts + duration
        broken = packet.pts - missing if missing * 2 > duration else None
        self._gaps.add(packet.pts, broken, packet.is_keyframe)

    def show(self, frame: VideoFrame) -> None:
        """The next decoded frame, in the order of display. Its timestamp is replaced where it is a guess."""
        if self.has_no_times:
            if frame.dts is not None:
                frame.pts = self._came_out = frame.dts
            elif self._came_out is not None:  # what the decoder still held at the end of the file
                frame.pts = self._came_out = self._came_out + (frame.duration or 1)
        self._early_shown += frame.pts is None or self._key is None or frame.pts < self._key
        if frame.pts is not None:
            self._latest = frame.pts
            if frame.pts in self._keys:
                self._came.add(frame.pts)
            self._corrupt.add(frame.pts, frame.pts if frame.is_corrupt else None, bool(frame.key_frame))
            self.step(frame.pts, frame.duration or 0, bool(frame.key_frame))

    def step(self, pts: int, duration: int, is_key: bool) -> None:
        """A frame that lasts as long as the file states, in the order of display."""
        if not self._states:
            return
        gap = None
        if self._shown is not None and self._shown[1]:
            stated, came = self._shown[1], pts - self._shown[0]
            self._steps += 1
            self._odd_steps += abs(came - stated) > max(1, stated // 4)
            if came * 2 > stated * 3:
                gap = self._shown[0] + stated
        self._gaps.add(pts, gap, is_key)
        self._shown = pts, duration

    @property
    def has_gaps(self) -> bool:
        """Whether there is a gap that would be damage if the rate, as far as it was read, is constant."""
        return bool(self._gaps.all())

    def damage(self) -> list[Stretch]:
        """Stretches whose pictures may show remains of others, or stand still in place of lost ones."""
        constant = self._steps >= _FEWEST and self._odd_steps <= max(1, self._steps // _SHARE)
        marked = self._marked.all()
        if marked and not self.has_no_times:  # a key frame that did not come out ends nothing
            came = [*sorted(self._came), math.inf]
            marked = [(since, came[bisect_left(came, end)]) for since, end in marked]
        return [*marked, *self._corrupt.all(), *(self._gaps.all() if constant else ())]


class _Stretches:
    """From where something broke to the next key frame."""

    def __init__(self) -> None:
        self._closed: list[Stretch] = []
        self._since: int | None = None

    def add(self, pts: int, broken_at: int | None, is_key: bool) -> None:
        """A packet or frame, and since when something is broken, if it breaks there."""
        if broken_at is not None:
            self._since = broken_at if self._since is None else min(self._since, broken_at)
        if self._since is None:
            return
        if is_key and broken_at != pts:
            self._closed.append((self._since, pts))
            self._since = None
        else:
            self._since = min(self._since, pts)  # coded later, shown earlier

    def all(self) -> list[Stretch]:
        """All of them; the last may have no end."""
        return self._closed + ([] if self._since is None else [(self._since, math.inf)])
