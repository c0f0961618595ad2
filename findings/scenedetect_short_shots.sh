#!/usr/bin/env bash
# PySceneDetect's ContentDetector finds no cut at all in a video whose shots are short.
#
# Guess:  min_scene_len=15 (the default) keeps scenes from being shorter than 15 frames: of a montage with a cut every 10 frames, every
#         second cut is reported, as the documentation of the length says and AdaptiveDetector and HistogramDetector do.
# Truth:  ContentDetector's filter merges cuts that follow each other within 15 frames until 15 come without one: a montage
#         with a cut every 10 or every 14 frames is one scene, however long, and the list of scenes is empty. Between two long
#         shots six short ones are one scene, so that clips made by the list hold many shots. FlashFilter.Mode.SUPPRESS does
#         what one would guess.
# Seen:   scenedetect 0.7.2 (0.6.7 does the same), opencv 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps scenedetect==0.7.2 opencv-python-headless==5.0.0.93 numpy==2.4.6 click==8.5.1 platformdirs==4.14.7 \
    tqdm==4.70.1 imageio-ffmpeg==0.8.1
venv/bin/python - <<'PY'
import subprocess
import sys

import cv2
import imageio_ffmpeg
import numpy as np
import scenedetect
from scenedetect import AdaptiveDetector, ContentDetector, HistogramDetector, detect
from scenedetect.detector import FlashFilter

print("scenedetect", scenedetect.__version__, "opencv", cv2.__version__)
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]
raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "128x96", "-r", "24", "-i", "-"]
noise = np.random.default_rng(0)


def made(name, shots):
    """A video of shots with these numbers of frames, each of another picture."""
    pictures = [np.kron(noise.integers(0, 256, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in shots]
    frames = b"".join(picture.tobytes() * count for picture, count in zip(pictures, shots))
    coder = ["-c:v", "libx264", "-crf", "10", "-pix_fmt", "yuv420p"]
    subprocess.run([*ffmpeg, *raw, *coder, name], input=frames, check=True)
    return name


def starts(name, detector):
    return [start.frame_num for start, _ in detect(name, detector)]


videos = {
    "20 frames a shot": made("long.mp4", [20] * 12),
    "14 frames a shot": made("short.mp4", [14] * 20),
    "10 frames a shot": made("shorter.mp4", [10] * 24),
    "60, six of 10, 60": made("mixed.mp4", [60, 10, 10, 10, 10, 10, 10, 60]),
}
seen = {}
for what, name in videos.items():
    detectors = {
        "content": ContentDetector(),
        "suppress": ContentDetector(filter_mode=FlashFilter.Mode.SUPPRESS),
        "adaptive": AdaptiveDetector(),
        "histogram": HistogramDetector(),
    }
    seen[what] = {kind: starts(name, detector) for kind, detector in detectors.items()}
    print(f"{what:18} scenes begin at", {kind: found[:6] for kind, found in seen[what].items()})
every = list(range(0, 240, 20))
if any(found != every for found in seen["20 frames a shot"].values()):
    sys.exit("CHANGED: what it is compared with does not hold")
for what, length in (("14 frames a shot", 28), ("10 frames a shot", 20)):
    if any(seen[what][kind] != list(range(0, 280 if length == 28 else 240, length)) for kind in ("suppress", "histogram")):
        sys.exit("CHANGED: the others do not report every second cut")
    if seen[what]["content"]:
        sys.exit(f"CHANGED: ContentDetector reports {seen[what]['content']}")
if seen["60, six of 10, 60"]["content"] != [0, 60, 120]:
    sys.exit(f"CHANGED: six short shots between long ones: {seen['60, six of 10, 60']['content']}")
print("HOLDS: with a cut every 10 or 14 frames it finds none")
PY
