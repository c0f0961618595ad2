#!/usr/bin/env bash
# PyAV reads HEVC with transparency as opaque; the ffmpeg command of the next version keeps it.
#
# Guess:  what `ffmpeg -c:v libx265 -pix_fmt yuva420p out.mov` wrote (x265 codes the alpha plane as a second layer, as
#         Apple's encoder does) is read with its alpha by PyAV, or refused, as VP9's and ProRes 4444's are read.
# Truth:  FFmpeg 8.1, which PyAV 18.1 carries, leaves the layer out in decoding: pixels that should not be seen are in the
#         pictures, their format is yuv420p, nothing is said. FFmpeg 9.0 decodes it, although its header says yuv420p,
#         too. The file says that it has the layer: SEI 165, alpha channel information, in the codec's extradata.
# Seen:   av 18.1.0 (FFmpeg 8.1), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2, x265 4.3)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
import sys

import av
import imageio_ffmpeg
import numpy as np

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]
source = ["-f", "lavfi", "-i", "color=white:s=64x64:r=24:d=0.2,format=yuva444p,geq=lum=200:cb=128:cr=128:a=255*lt(X\\,32)"]
coders = {"hevc.mov": ["libx265", "-x265-params", "log-level=none:pools=1", "-pix_fmt", "yuva420p", "-tag:v", "hvc1"],
          "prores.mov": ["prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"]}  # fmt: skip
print("av", av.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
alpha, forms = {}, {}
for name, coder in coders.items():
    subprocess.run([*ffmpeg, *source, "-c:v", *coder, name], check=True)
    with av.open(name) as container:
        layers = bytes(container.streams.video[0].codec_context.extradata or b"").count(b"\x4e\x01\xa5")
        form = next(container.decode(video=0)).format.name
    raw = subprocess.run([*ffmpeg, "-i", name, "-frames:v", "1", "-pix_fmt", "rgba", "-f", "rawvideo", "-"],
                         capture_output=True, check=True)  # fmt: skip
    found = np.frombuffer(raw.stdout, np.uint8).reshape(64, 64, 4)[..., 3]
    alpha[name] = float(found[:, :30].mean()), float(found[:, 34:].mean())
    print(f"{name}: says {layers} time(s) that it has a layer of alpha; PyAV {form}; ffmpeg's alpha {alpha[name]}, "
          f"stderr {raw.stderr.decode()!r}")  # fmt: skip
    if name == "hevc.mov" and not layers:
        sys.exit("CHANGED: x265 no longer writes the layer")
    forms[name] = form
if forms["hevc.mov"] != "yuv420p" or alpha["hevc.mov"][1] > 5:
    sys.exit("CHANGED: PyAV decodes the alpha of HEVC, or ffmpeg does not")
PY
