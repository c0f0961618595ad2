#!/usr/bin/env bash
# Colours that a file states only in its container are printed by FFmpeg, and are gone from its pictures.
#
# Guess:  an MP4 or Matroska file whose header says BT.2020 and PQ is HDR, whether the coded stream repeats that or not:
#         players show it so, ffprobe and `ffmpeg -i` print it, and PyAV's codec context has it before decoding.
# Truth:  the decoders of H.264 and HEVC put "unspecified" in its place where the stream states no colours of its own:
#         frames are taken for BT.601 or BT.709 without a curve, in filters (zscale, tonemap, showinfo) and in PyAV. Those
#         of VP9, AV1, ProRes and FFV1 keep what the container says. Read the codec's values before the first frame is
#         decoded, and fill them in.
# Seen:   av 18.1.0 (FFmpeg 8.1), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 imageio-ffmpeg==0.8.1
venv/bin/python - <<'PY'
import re
import subprocess
import sys

import av
import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-hide_banner"]
PQ, BT2020, UNSPECIFIED = 16, 9, 2
source = ["-f", "lavfi", "-i", "testsrc2=s=320x192:r=24:d=0.2"]
params = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc,format=yuv420p10le"
tags = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-movflags", "write_colr"]
coders = {"h264.mp4": ["libx264"], "hevc.mkv": ["libx265", "-x265-params", "log-level=none:pools=1"], "vp9.mkv": ["libvpx-vp9"]}
print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
lost = {}
for name, coder in coders.items():
    subprocess.run([*ffmpeg, "-v", "error", *source, "-vf", params, "-c:v", *coder, "both-" + name], check=True)
    bare = ["-bsf:v", f"{name[:4]}_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"]
    command = ["-i", "both-" + name, "-c", "copy", *(bare if name[0] == "h" else []), *tags, name]
    subprocess.run([*ffmpeg, "-v", "error", *command], check=True)
    with av.open(name) as container:
        codec = container.streams.video[0].codec_context
        before = codec.color_trc, codec.colorspace
        frame = next(container.decode(video=0))
    shown = subprocess.run([*ffmpeg, "-i", name, "-vf", "showinfo", "-f", "null", "-"], capture_output=True, check=True)
    text = shown.stderr.decode()
    header = re.search(r"Video: .*?\((?:tv|pc), ([^,)]+)", text)[1]
    filtered = re.findall(r"color_trc:(\S+)", text)[-1]
    print(f"{name}: header {header}; PyAV before decoding {before}, its frames {(frame.color_trc, frame.colorspace)}; "
          f"ffmpeg's filters {filtered}")  # fmt: skip
    if before != (PQ, BT2020) or "smpte2084" not in header:
        sys.exit("CHANGED: what it is compared with does not hold")
    lost[name] = frame.color_trc == UNSPECIFIED and filtered == "unknown"
if lost != {"h264.mp4": True, "hevc.mkv": True, "vp9.mkv": False}:
    sys.exit("CHANGED: which decoders drop the container's colours")
PY
