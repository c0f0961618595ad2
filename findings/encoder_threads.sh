#!/usr/bin/env bash
# The number of threads, by default that of the machine's cores, is part of what video encoders write.
#
# Guess:  the same frames, encoder and settings with -fflags +bitexact -flags +bitexact give the same bytes everywhere.
# Truth:  libx264 writes its thread count into the stream (a message with its settings, which bitexact leaves in), and
#         from some count on the pictures differ as well; libx265 writes it and keeps the pictures; mpeg4, libvpx (VP8)
#         and libaom-av1 give other pictures. VP9, SVT-AV1, FFV1, ProRes and MJPEG do not depend on it. So a data set
#         that is made twice, on 1 and on 8 cores, has other hashes, unless -threads is given.
# Seen:   FFmpeg 9.0.2, the binary of imageio-ffmpeg 0.8.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet imageio-ffmpeg==0.8.1
venv/bin/python - <<'PY'
import hashlib
import subprocess
import sys

import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
print("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact"]
encoders = {  # encoder: options, and what differs between one thread and eight
    "libx264": ("-crf 23", ("file", "pictures")),
    "libx265": ("-crf 28 -x265-params log-level=none", ("file",)),
    "mpeg4": ("-q:v 4", ("file", "pictures")),
    "libvpx": ("-crf 10 -b:v 1M", ("file", "pictures")),
    "libaom-av1": ("-crf 40 -cpu-used 8", ("file", "pictures")),
    "libvpx-vp9": ("-crf 30 -b:v 0 -cpu-used 4", ()),
    "libsvtav1": ("-crf 35", ()),
    "ffv1": ("", ()),
    "prores_ks": ("", ()),
    "mjpeg": ("-q:v 3", ()),
}


def digest(data):
    return hashlib.md5(data).hexdigest()[:8]


def encoded(encoder, options, threads):
    source = ["-f", "lavfi", "-i", "testsrc2=s=320x256:r=24:d=1"]
    count = ["-svtav1-params", f"lp={threads}"] if encoder == "libsvtav1" else ["-threads", str(threads)]
    command = [*ffmpeg, *source, "-c:v", encoder, *options.split(), *count, *exact]
    pixels = "yuv422p10" if encoder == "prores_ks" else "yuv420p"
    subprocess.run([*command, "-pix_fmt", pixels, "out.mkv"], capture_output=True, check=True)
    raw = subprocess.run([*ffmpeg, "-i", "out.mkv", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    return {"file": digest(open("out.mkv", "rb").read()), "pictures": digest(raw)}


wrong = []
for encoder, (options, expected) in encoders.items():
    one, eight = encoded(encoder, options, 1), encoded(encoder, options, 8)
    differs = tuple(what for what in one if one[what] != eight[what])
    print(f"{encoder:11} 1 thread {one}  8 threads {eight}  differs: {' and '.join(differs) or 'nothing'}")
    if differs != expected:
        wrong.append(encoder)
if wrong:
    sys.exit(f"CHANGED: {', '.join(wrong)}")
print("HOLDS: five of ten encoders write other files with eight threads than with one, four of them other pictures")
PY
