#!/usr/bin/env bash
# The transparent part of a GIF is black in Pillow and white in PyAV.
#
# Guess:  a GIF with a transparent background (a sticker, a cut-out object) gives the same RGB frames in each reader, or at least in one
#         library: what is transparent has one colour, that of the file's palette.
# Truth:  FFmpeg fills it with white before any reader of it drops alpha: PyAV's rgb24 and cv2.VideoCapture show the object on
#         white. Pillow's convert("RGB") and cv2.imreadmulti show it on what the palette has there, mostly black. The file says neither.
#         The same pictures as APNG are black in all. A dataset of GIFs that is read by one, and evaluated or captioned by
#         another, has two backgrounds.
# Seen:   pillow 13.0.0, av 18.1.0, opencv-python-headless 5.0.0.93
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PY'
import sys

import av
import cv2
import numpy as np
import PIL
from PIL import Image

print("pillow", PIL.__version__, "av", av.__version__, "opencv", cv2.__version__)
pictures = []
for number in range(4):
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[8:16, 4 + 4 * number : 12 + 4 * number] = (255, 0, 0, 255)
    pictures.append(Image.fromarray(picture))
for name, options in {"a.gif": {"disposal": 2}, "a.png": {"disposal": 1, "blend": 0}}.items():
    pictures[0].save(name, save_all=True, append_images=pictures[1:], duration=100, loop=0, **options)


def by_pillow(name):
    with Image.open(name) as image:
        for number in range(image.n_frames):
            image.seek(number)
            yield np.asarray(image.convert("RGB"))


def by_pyav(name):
    with av.open(name) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def by_capture(name):
    capture = cv2.VideoCapture(name)
    while (read := capture.read())[0]:
        yield read[1][..., ::-1]


def by_pictures(name):
    yield from (picture[..., ::-1] for picture in cv2.imreadmulti(name, flags=cv2.IMREAD_COLOR)[1])


readers = {"Pillow": by_pillow, "cv2.imreadmulti": by_pictures, "PyAV": by_pyav, "cv2.VideoCapture": by_capture}
seen = {}
for name in ("a.gif", "a.png"):
    for reader, frames in readers.items():
        found = list(frames(name))
        seen[name, reader] = found[-1][0, 0].tolist(), found[-1][12, 20].tolist(), len(found), [round(float(f.mean())) for f in found]
        print(f"{name} {reader:16} background {seen[name, reader][0]}, object {seen[name, reader][1]}, means {seen[name, reader][3]}")
if any(found[1:3] != ([255, 0, 0], 4) for found in seen.values()):
    sys.exit("CHANGED: the object or the number of frames is another")
if any(seen["a.png", reader][0] != [0, 0, 0] for reader in readers):
    sys.exit("CHANGED: APNG differs, too")
white = [reader for reader in readers if seen["a.gif", reader][0] == [255, 255, 255]]
black = [reader for reader in readers if seen["a.gif", reader][0] == [0, 0, 0]]
if white != ["PyAV", "cv2.VideoCapture"] or black != ["Pillow", "cv2.imreadmulti"]:
    sys.exit(f"CHANGED: white in {white}, black in {black}")
print("HOLDS: one GIF has a black background in Pillow and a white one in PyAV")
PY
