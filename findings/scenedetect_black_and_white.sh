#!/usr/bin/env bash
# In black and white, PySceneDetect's ContentDetector and AdaptiveDetector miss most cuts that they find in colour.
#
# Guess:  a cut between two shots of a black-and-white film counts as one between the same shots in colour; a threshold is one.
# Truth:  the content value is the mean of the differences of hue, saturation and brightness, and without colour the first two are
#         0: it is a third of the difference of brightness, at most 85 of 255, against the same threshold of 27. Of five cuts
#         ContentDetector finds one and AdaptiveDetector three; shots are merged without a word. HashDetector finds all in both.
#         luma_only=True, which looks at brightness alone, finds four here, and two in colour.
# Seen:   scenedetect 0.7.2, opencv 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet scenedetect==0.7.2 opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import av
import cv2
import numpy as np
import scenedetect
from scenedetect import AdaptiveDetector, ContentDetector, HashDetector, detect

print("scenedetect", scenedetect.__version__, "opencv", cv2.__version__)
noise = np.random.default_rng(0)
colours = [(200, 60, 50), (50, 110, 190), (90, 190, 80), (170, 90, 170), (60, 70, 40), (150, 160, 60)]
shots = [cv2.resize(noise.normal(0, 25, (12, 16, 3)), (160, 120)) + colour for colour in colours]
cuts = [48 * index for index in range(1, len(shots))]


def write(name, grey):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "14"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for shot in shots:
            for step in range(48):
                picture = np.clip(np.roll(shot, step // 4, axis=1), 0, 255).astype(np.uint8)
                if grey:
                    picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())


detectors = {
    "ContentDetector": ContentDetector, "AdaptiveDetector": AdaptiveDetector, "HashDetector": HashDetector,
    "luma_only": lambda: ContentDetector(luma_only=True),
}
seen = {}
for name, grey in (("colour.mp4", False), ("grey.mp4", True)):
    write(name, grey)
    for detector, make in detectors.items():
        seen[detector, grey] = [round(start.seconds * 24) for start, _ in detect(name, make())][1:]
        print(f"{name:10} {detector:17} cuts found {seen[detector, grey]} of {cuts}")
usual = ("ContentDetector", "AdaptiveDetector")
if any(seen[name, False] != cuts for name in usual) or seen["HashDetector", True] != cuts:
    sys.exit("CHANGED: what it is compared with does not hold")
if any(len(seen[name, True]) > 3 for name in usual):
    sys.exit("CHANGED: they find the cuts in black and white")
print("HOLDS: of five cuts", [len(seen[name, True]) for name in usual], "are found")
PY
