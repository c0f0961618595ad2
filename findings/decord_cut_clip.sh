#!/usr/bin/env bash
# decord counts the frames before the cut of an MP4 that was cut without encoding, and repeats the last frame for them.
#
# Guess:  of an MP4 cut by `ffmpeg -ss 1.4 -i full.mp4 -t 1.6 -c copy` decord gives the frames that are shown, or all that are
#         coded.
# Truth:  the file begins at the key frame before the cut, and its edit list hides what comes before 1.4 s. decord decodes what is
#         shown, 42 frames, and has the length of what is coded, 53: the last 11 are its last frame again, from get_batch as well
#         as by index. Frames sampled evenly over len() end in a still. OpenCV's CAP_PROP_FRAME_COUNT says 53, too, but read()
#         ends after 42, as in PyAV and ffmpeg.
# Seen:   decord 0.6.0, av 18.1.0, opencv 5.0.0.93, FFmpeg 9.0.2
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet decord==0.6.0 av==18.1.0 opencv-python-headless==5.0.0.93 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
import sys

import av
import cv2
import decord
import imageio_ffmpeg
import numpy as np

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print("decord", decord.__version__, "av", av.__version__, "opencv", cv2.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
with av.open("full.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=25, options={"g": "25", "crf": "10"})
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for index in range(100):  # a frame's number is its brightness
        picture = np.full((64, 64, 3), 20 + 2 * index, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
subprocess.run([ffmpeg, "-v", "error", "-ss", "1.4", "-i", "full.mp4", "-t", "1.6", "-c", "copy", "cut.mp4"], check=True)


def number(picture):
    return round((float(np.asarray(picture)[8:56, 8:56].mean()) - 20) / 2)


def read(name):
    with av.open(name) as container:
        by_av = [number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    capture = cv2.VideoCapture(name)
    count, by_cv = round(capture.get(cv2.CAP_PROP_FRAME_COUNT)), []
    while True:
        found, picture = capture.read()
        if not found:
            break
        by_cv.append(number(picture))
    raw = subprocess.run([ffmpeg, "-v", "error", "-i", name, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    by_ffmpeg = [number(picture) for picture in np.frombuffer(raw, np.uint8).reshape(-1, 64, 64, 3)]
    reader = decord.VideoReader(name)
    by_index = [number(reader[index].asnumpy()) for index in range(len(reader))]
    batch = decord.VideoReader(name).get_batch(list(range(len(reader)))).asnumpy()
    return {"PyAV": by_av, "ffmpeg": by_ffmpeg, "OpenCV": by_cv, "decord": by_index, "decord, get_batch": [number(one) for one in batch]}, count


seen = {}
for name in ("full.mp4", "cut.mp4"):
    seen[name], count = read(name)
    for reader, numbers in seen[name].items():
        print(f"{name:9} {reader:18} {len(numbers):3} frames: {numbers[:3]} .. {numbers[-4:]}, the last one {numbers.count(numbers[-1])} times")
    print(f"{name:9} CAP_PROP_FRAME_COUNT {count}")
full, cut = seen["full.mp4"], seen["cut.mp4"]
if any(len(numbers) != 100 for numbers in full.values()) or not len(cut["PyAV"]) == len(cut["ffmpeg"]) == len(cut["OpenCV"]) <= 44:
    sys.exit("CHANGED: what it is compared with does not hold")
more = len(cut["decord"]) - len(cut["PyAV"])
if more < 5 or any(cut[name][: -more] != cut["PyAV"] or len(set(cut[name][-more - 1 :])) != 1 for name in ("decord", "decord, get_batch")):
    sys.exit(f"CHANGED: decord has {more} frames more")
print(f"HOLDS: {more} frames of {len(cut['decord'])} are the last one again")
PY
