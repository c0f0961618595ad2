#!/usr/bin/env bash
# Encoding one AV1 video with SVT-AV1 as root makes the whole process real-time, for as long as it lives.
#
# Guess:  an encoder may start threads; when it is closed, the process that called it is scheduled as it was before.
# Truth:  where it may, as root may, SVT-AV1 gives its threads and the thread that calls it the policy SCHED_FIFO with priority
#         99, and leaves the latter so. All threads and processes that are started afterwards inherit it: a script that writes
#         one AV1 file and then trains, or starts workers, has the first right to every processor, `nice` no longer counts, and
#         another process that wants the same processor gets 5 % of it (what Linux keeps for others) or nothing. Two such
#         processes on one processor do not take turns either. An ordinary user is not allowed to, and nothing happens.
#         os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)) after the encoding gives it back.
# Seen:   PyAV 18.1.0 with SVT-AV1 4.1.0, Linux, as root
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
cat > realtime.py <<'PY'
import os
import subprocess
import sys
import time

import av
import numpy as np

NAMES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO", os.SCHED_RR: "SCHED_RR"}
BUSY = """
os.sched_setaffinity(0, {%d})
end = time.monotonic() + 3
while time.monotonic() < end:
    pass
print(time.process_time())
"""
ORDINARY = "os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))"


def policy():
    return NAMES.get(os.sched_getscheduler(0), "another"), os.sched_getparam(0).sched_priority


def encode(codec, **options):
    with av.open(f"{codec}.mp4", "w") as target:
        stream = target.add_stream(codec, rate=8, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for level in range(0, 160, 20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")
            target.mux(stream.encode(frame))
        target.mux(stream.encode())


def shares():
    """Of one processor, what two processes that compute for three seconds get: a child of ours and an ordinary one."""
    code = "import os, time\n%s" + BUSY % min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", code % ORDINARY], stdout=subprocess.PIPE, text=True) as other:
        time.sleep(0.5)
        with subprocess.Popen([sys.executable, "-c", code % ""], stdout=subprocess.PIPE, text=True) as child:
            ours = float(child.communicate()[0])
        return ours, float(other.communicate()[0])


root = os.geteuid() == 0
print("PyAV", av.__version__, "as root" if root else "as an ordinary user")
print("before:              ", *policy())
encode("libx264")
after_x264 = policy()
print("after H.264 by x264: ", *after_x264)
encode("libsvtav1", preset="10")
after_svt = policy()
print("after AV1 by SVT-AV1:", *after_svt)
if after_x264 != ("SCHED_OTHER", 0):
    sys.exit("CHANGED: what it is compared with does not hold")
if not root:
    if after_svt != ("SCHED_OTHER", 0):
        sys.exit("CHANGED: an ordinary user's process is real-time too")
    print("HOLDS for an ordinary user: nothing happens; run it as root to see what does")
    sys.exit()
if after_svt != ("SCHED_FIFO", 99):
    sys.exit("CHANGED: the process is scheduled as before")
ours, other = shares()
print(f"of 3 s of one processor: a child of this process {ours:.2f} s, an ordinary process {other:.2f} s")
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
ours, other = shares()
print(f"given back:              a child of this process {ours:.2f} s, an ordinary process {other:.2f} s")
print("HOLDS: the process is real-time after its encoder is closed")
PY
venv/bin/python realtime.py 2> err.txt || { cat err.txt >&2; exit 1; }
