#!/usr/bin/env bash
# Captions in SRT lose words when pysubs2 or ffmpeg only shifts or converts them.
#
# Guess:  SRT is text; what looks like one of its few tags (b, i, u, font) is a tag, all else stays: "{laughs}", "5 < 6 and 7 > 4",
#         "C:\new". Loading and saving it again, to shift it in time, leaves the words alone.
# Truth:  pysubs2 reads braces as commands of ASS: {laughs} and {red} are gone from plaintext and from the saved SRT, with nothing
#         in their place; "\n" becomes a line break, and of "a < b and c > d" is left "a  d". ffmpeg keeps braces, takes
#         "< b and c >" for bold, drops the words of "<3 b and c>", and breaks lines at "\n" as well. pysrt's text is what the
#         file says; its text_without_tags, and webvtt-py's from_srt, drop all between < and >.
# Seen:   pysubs2 1.8.1, pysrt 1.1.2, webvtt-py 0.6.0, FFmpeg 9.0.2 (imageio-ffmpeg 0.8.1)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pysubs2==1.8.1 pysrt==1.1.2 webvtt-py==0.6.0 imageio-ffmpeg==0.8.1
cat > captions.py <<'PY'
import subprocess
import sys
from importlib.metadata import version

import imageio_ffmpeg
import pysrt
import pysubs2
import webvtt

print(*(f"{name} {version(name)}" for name in ("pysubs2", "pysrt", "webvtt-py")), "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
captions = ["a {red} car stops", "{laughs} yes", "5 < 6 and 7 > 4", "a < b and c > d", "a <3 b and c> d", r"it says C:\new\Hall", "<i>a cat</i> sleeps"]
blocks = (f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{text}\n" for n, text in enumerate(captions, 1))
open("in.srt", "w").write("\n".join(blocks))


def texts(name):
    return [entry.text for entry in pysrt.open(name)]


subtitles = pysubs2.load("in.srt")
subtitles.shift(s=1)
subtitles.save("shifted.srt")
subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "in.srt", "ffmpeg.srt"], check=True)
seen = {
    "pysrt, text": texts("in.srt"),
    "pysrt, text_without_tags": [entry.text_without_tags for entry in pysrt.open("in.srt")],
    "webvtt-py, from_srt": [caption.text for caption in webvtt.from_srt("in.srt")],
    "pysubs2, plaintext": [event.plaintext for event in pysubs2.load("in.srt")],
    "pysubs2, saved as SRT": texts("shifted.srt"),
    "ffmpeg, SRT to SRT": texts("ffmpeg.srt"),
}
for name, found in seen.items():
    print(f"{name:25}", found)
if seen["pysrt, text"] != captions:
    sys.exit("CHANGED: what it is compared with does not hold")
for name in ("pysubs2, plaintext", "pysubs2, saved as SRT"):
    joined = " ".join(seen[name])
    if "red" in joined or "laughs" in joined:
        sys.exit(f"CHANGED: {name}: braces are kept")
    if "6 and 7" in joined and "\\new" in joined:
        sys.exit(f"CHANGED: {name}: comparisons and backslashes are kept")
if seen["ffmpeg, SRT to SRT"] == captions:
    sys.exit("CHANGED: ffmpeg keeps the words")
print("HOLDS: 'a {red} car stops' is shifted in time and becomes", repr(seen["pysubs2, saved as SRT"][0]))
PY
venv/bin/python captions.py
