"""What ``benchmarks.ingest`` runs in our pool of processes; in its own file, so that the processes import nothing
else."""

from __future__ import annotations

from pathlib import Path

import av

from walt.media import mp4, video
from walt.media.images import Limits

NUM_FRAMES, FPS, SIDE, CRF = 17, 8, 128, 16
LIMITS = Limits(min_side=16, max_pixels=4096 * 4096, max_seconds=600)


def pyav_decode(path: Path) -> int:
    """Decode all frames of a file, and nothing else."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def middle_clip(path: Path) -> int:
    """One clip from the middle of a file, encoded."""
    (clip,) = video.read_clips(
        path, num_frames=NUM_FRAMES, fps=FPS, sizes=[(SIDE, SIDE)], max_clips=1, limits=LIMITS, starts=[4.0]
    )
    return len(mp4.encode_clip(clip.frames[SIDE, SIDE], FPS, CRF))
