#!/usr/bin/env bash
# Readers of WebVTT in Python leave its escapes in the text: captions say "Tom &amp; Jerry".
#
# Guess:  WebVTT's text is markup (& and < must be written &amp; and &lt;), so the text that a reader gives, without its tags, is
#         what is shown: "Tom & Jerry", "5 < 6".
# Truth:  webvtt-py's caption.text and pysubs2's plaintext take tags away and leave the escapes; pysubs2 also leaves times within
#         a cue in the text. Writing them as SRT writes "&amp;" there, where it is no escape. ffmpeg undoes them, and makes "{red}"
#         into "\{{}red}" and a non-breaking space into "\h" in SRT. Captions from subtitles are full of "&amp;" and "&nbsp;",
#         which a tokenizer takes for words.
# Seen:   webvtt-py 0.6.0, pysubs2 1.8.1, FFmpeg 9.0.2 (imageio-ffmpeg 0.8.1)
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet webvtt-py==0.6.0 pysubs2==1.8.1 pysrt==1.1.2 imageio-ffmpeg==0.8.1
cat > captions.py <<'PY'
import subprocess
import sys
from importlib.metadata import version

import imageio_ffmpeg
import pysrt
import pysubs2
import webvtt

print(*(f"{name} {version(name)}" for name in ("webvtt-py", "pysubs2")), "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
cues = ["Tom &amp; Jerry run", "5 &lt; 6", "a&nbsp;cat", "a {red} car", "first <00:00:05.500>second", "<v Ann>a <c.loud>cat</c></v>"]
shown = ["Tom & Jerry run", "5 < 6", "a\u00a0cat", "a {red} car", "first second", "a cat"]
blocks = (f"00:00:0{n}.000 --> 00:00:0{n}.900\n{text}\n" for n, text in enumerate(cues, 1))
open("in.vtt", "w", encoding="utf-8").write("WEBVTT\n\n" + "\n".join(blocks))
webvtt.read("in.vtt").save_as_srt("webvtt.srt")
pysubs2.load("in.vtt").save("pysubs2.srt")
subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "in.vtt", "ffmpeg.srt"], check=True)
seen = {
    "webvtt-py, text": [caption.text for caption in webvtt.read("in.vtt")],
    "pysubs2, plaintext": [event.plaintext for event in pysubs2.load("in.vtt")],
    **{f"{name}, as SRT": [entry.text for entry in pysrt.open(f"{name}.srt")] for name in ("webvtt", "pysubs2", "ffmpeg")},
}
print(f"{'what is shown':20}", shown)
for name, found in seen.items():
    print(f"{name:20}", found)
if [seen["ffmpeg, as SRT"][n] for n in (0, 1, 5)] != [shown[n] for n in (0, 1, 5)] or seen["webvtt-py, text"][4:] != shown[4:]:
    sys.exit("CHANGED: what it is compared with does not hold")
for name in ("webvtt-py, text", "pysubs2, plaintext", "webvtt, as SRT", "pysubs2, as SRT"):
    if seen[name][:2] == shown[:2]:
        sys.exit(f"CHANGED: {name}: escapes are undone")
    if [text.strip() for text in seen[name][:3]] != cues[:3]:
        sys.exit(f"CHANGED: {name}: {seen[name][:3]}")
if seen["ffmpeg, as SRT"][3] == shown[3]:
    sys.exit("CHANGED: ffmpeg leaves braces alone")
print("HOLDS: the text of 'Tom &amp; Jerry' is", repr(seen["webvtt-py, text"][0]))
PY
venv/bin/python captions.py
