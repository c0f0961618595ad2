#!/usr/bin/env bash
# pycaption reads the times of a TTML file without the beginning of the part that they are in.
#
# Guess:  where a TTML (DFXP) file has begin="100s" on its body or on a div, as files cut from a longer programme have, its
#         paragraphs are read 100 seconds later than they say by themselves: the standard adds the times of what is nested.
# Truth:  pycaption takes each paragraph's own times and drops the rest without a word, in the times and in the SRT or WebVTT
#         that it writes: every caption lies on the picture of 100 seconds earlier. pysubs2 adds them. Times of a span within a
#         paragraph are dropped by both: its words are shown for the paragraph's whole time.
# Seen:   pycaption 2.3.14, pysubs2 1.8.1
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pycaption==2.3.14 pysubs2==1.8.1
venv/bin/python -W ignore - <<'PY'
import importlib.metadata
import sys

import pycaption
import pysubs2

print(*(f"{name} {importlib.metadata.version(name)}" for name in ("pycaption", "pysubs2")))
PARTS = {
    "paragraph": '<body><div><p begin="102s" end="103s">a cat</p></div></body>',
    "body": '<body begin="100s"><div><p begin="2s" end="3s">a cat</p></div></body>',
    "div": '<body><div begin="100s"><p begin="2s" end="3s">a cat</p></div></body>',
    "span": '<body><div><p begin="100s" end="110s"><span begin="2s" end="3s">a cat</span></p></div></body>',
}


def by_pycaption(text):
    captions = pycaption.DFXPReader().read(text)
    (caption,) = captions.get_captions(captions.get_languages()[0])
    return caption.start / 1e6, caption.end / 1e6


def by_pysubs2(text):
    (event,) = pysubs2.SSAFile.from_string(text)
    return event.start / 1e3, event.end / 1e3


seen = {}
for name, part in PARTS.items():
    text = f'<?xml version="1.0" encoding="UTF-8"?><tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en">{part}</tt>'
    seen[name] = by_pycaption(text), by_pysubs2(text)
    print(f"times on {name:10} meant (102.0, 103.0), pycaption {seen[name][0]}, pysubs2 {seen[name][1]}")
    if name == "body":
        written = pycaption.WebVTTWriter().write(pycaption.DFXPReader().read(text))
        print("   WebVTT of it:", next(line for line in written.splitlines() if "-->" in line))
right = (102.0, 103.0)
if seen["paragraph"] != (right, right) or seen["body"][1] != right or seen["div"][1] != right:
    sys.exit("CHANGED: what it is compared with does not hold")
if seen["body"][0] != (2.0, 3.0) or seen["div"][0] != (2.0, 3.0):
    sys.exit("CHANGED: pycaption adds the beginning of body or div")
if seen["span"] != ((100.0, 110.0), (100.0, 110.0)):
    sys.exit("CHANGED: the times of spans are read")
print("HOLDS: captions are 100 seconds early")
PY
