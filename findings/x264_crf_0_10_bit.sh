#!/usr/bin/env bash
# x264 with crf=0 is lossless at 8 bits and not at 10.
#
# Guess:  crf=0 is lossless, as everywhere said; 10 bits only make the numbers larger.
# Truth:  at 10 bits the scale begins at -12, so that 0 is a quantizer like any other: each frame comes back changed, by up to 7 of
#         1023, without a word. qp=0 is lossless at both. (x265's crf=0 is lossless at neither; VP9's at 8 bits
#         is.) Masters, depth maps and latents kept as 10-bit video that pass through this are not what they were.
# Seen:   av 18.1.0 (x264 and x265 in its wheel)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
venv/bin/python - 2> encoders.txt <<'PY' || { tail -n 3 encoders.txt; exit 1; }
import sys

import av
import numpy as np

print("av", av.__version__)
noise = np.random.default_rng(0)


def clip(bits, count=8):
    """Frames as planes of 4:2:0, (96, 64) each: a picture that moves, with some noise."""
    kind, low, high = (np.uint16, 64, 940) if bits == 10 else (np.uint8, 16, 235)
    picture = noise.integers(low, high, (96, 64))
    return [(np.roll(picture, step, axis=0) + noise.integers(0, 3, (96, 64))).astype(kind) for step in range(count)]


def error(codec, bits, options):
    form = "yuv420p10le" if bits == 10 else "yuv420p"
    frames = clip(bits)
    with av.open("out.mkv", "w") as container:
        stream = container.add_stream(codec, rate=8, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = form
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=form)))
        container.mux(stream.encode())
    with av.open("out.mkv") as container:
        back = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(back) == len(frames)
    changed = sum(bool((a != b).any()) for a, b in zip(frames, back))
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(frames, back)), changed


seen = {}
for codec, options in (("libx264", {"crf": "0"}), ("libx264", {"qp": "0"}), ("libx265", {"crf": "0"}), ("libvpx-vp9", {"crf": "0", "b:v": "0"})):
    for bits in (8, 10) if codec != "libvpx-vp9" else (8,):
        name = (codec, bits, *options)
        seen[name] = error(codec, bits, options)
        print(f"{codec:11} {bits:2} bits {str(options):26} largest error {seen[name][0]}, {seen[name][1]} of 8 frames changed")
if seen["libx264", 8, "crf"][0] or seen["libx264", 8, "qp"][0] or seen["libx264", 10, "qp"][0]:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["libx264", 10, "crf"][0] < 2:
    sys.exit("CHANGED: crf=0 is lossless at 10 bits")
print("HOLDS: crf=0 changes 10-bit frames by up to", seen["libx264", 10, "crf"][0])
PY
