#!/usr/bin/env bash
# A frame that is made an I picture by PyAV's pict_type is no place to seek to in x265.
#
# Guess:  pict_type = I makes a key frame in every encoder, so that a video can be cut or joined there and a reader can start there.
# Truth:  x264, SVT-AV1, VP9, VP8, MPEG-4 and MPEG-2 make a key frame. x265 makes an I picture that later frames may look past:
#         its packet is not marked as a key frame, the whole video has one, and a seek to the frame goes to the beginning. With
#         x265's option forced-idr=1 it is a key frame. Beside it: gop_size=0 means that every frame is a key frame in all of
#         them but SVT-AV1, where only the first is.
# Seen:   av 18.1.0 (x265, x264, SVT-AV1, libvpx), numpy 2.4.6
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
SVT_LOG=1 venv/bin/python - <<'PY'
import sys

import av
import numpy as np

print("av", av.__version__)
av.logging.set_level(av.logging.ERROR)
blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
pictures = [np.kron(np.roll(blocks, count // 4, 1), np.ones((16, 16, 1), np.uint8)) for count in range(40)]
FORCED, FPS = (7, 21), 24
quick = {"deadline": "realtime", "cpu-used": "8"}
encoders = {
    "libx264": {}, "libsvtav1": {"preset": "10"}, "libvpx-vp9": quick, "libvpx": quick, "mpeg4": {}, "mpeg2video": {},
    "libx265": {"x265-params": "log-level=0"},
}


def encode(name, codec, options, forced, gop):
    with av.open(name, "w") as file:
        stream = file.add_stream(codec, rate=FPS, options=options, width=128, height=128, pix_fmt="yuv420p")
        stream.gop_size = gop
        for count, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = count
            if count in forced:
                frame.pict_type = av.video.frame.PictureType.I
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def look(name):
    """Numbers of the key frames by the packets, of the I pictures, and of the frame where a seek to frame 21 arrives."""
    with av.open(name) as file:
        stream = file.streams.video[0]
        number = lambda pts: round(float(pts * stream.time_base) * FPS)
        keys = sorted(number(packet.pts) for packet in file.demux(stream) if packet.pts is not None and packet.is_keyframe)
        file.seek(0)
        intra = [number(frame.pts) for frame in file.decode(stream) if frame.pict_type == av.video.frame.PictureType.I]
        file.seek(round(21.5 / FPS / stream.time_base), stream=stream)
        return keys, intra, number(next(file.decode(stream)).pts)


seen = {}
for codec, options in encoders.items():
    encode("a.mkv", codec, options, FORCED, 250)
    encode("b.mkv", codec, options, (), 0)
    seen[codec] = *look("a.mkv"), len(look("b.mkv")[0])
    print(f"{codec:10} key frames {seen[codec][0]}, I pictures {seen[codec][1]}, a seek to 21 arrives at {seen[codec][2]}; gop_size=0: {seen[codec][3]} of 40")
encode("a.mkv", "libx265", encoders["libx265"] | {"forced-idr": "1"}, FORCED, 250)
whole = look("a.mkv")
print("libx265 with forced-idr=1: key frames", whole[0])
keyed = {codec for codec, one in seen.items() if one[0] == [0, 7, 21] and one[2] == 21}
if keyed | {"libx265"} != set(encoders) or whole[0] != [0, 7, 21] or seen["libx265"][1] != [0, 7, 21]:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["libx265"][0] != [0] or seen["libx265"][2] == 21:
    sys.exit("CHANGED: x265 makes a key frame of it")
if seen["libsvtav1"][3] != 1 or any(one[3] != 40 for codec, one in seen.items() if codec != "libsvtav1"):
    sys.exit("CHANGED: gop_size=0 means something else")
print("HOLDS: no key frame in x265, and one key frame with gop_size=0 in SVT-AV1")
PY
