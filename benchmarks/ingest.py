"""Our ingest against decoding alone, plain ffmpeg, PyAV and video2dataset, in the same run, two processes each.

    python -m benchmarks.ingest --help

Ours is the real stage, from a folder of videos to tars, manifest and rejects table: hashing, decoding, screening,
encoding, shards. The others stop earlier: ffmpeg and PyAV write no shards. The floor only decodes. CPU seconds are
those of all processes of a contestant, from start to end.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from benchmarks.ingest_workers import CRF, FPS, LIMITS, NUM_FRAMES, SIDE, middle_clip, pyav_decode
from benchmarks.measure import machine, markdown_table
from walt.core.paths import Paths
from walt.data.manifest import read_manifest
from walt.media import video
from walt.project.recipes import load_recipe
from walt.project.runner import load_params
from walt.stages import ingest
from walt.workers.execute import map_items

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
REAL = Path(__file__).resolve().parents[1].parent / "shared/data/clips"
REAL_CLIPS = (
    "misc/bikes.mp4", "kinetics/abseiling/abseiling_k400.mp4", "misc/nasa_13013.mp4", "kinetics/cleaning pool/test.mp4",
    "misc/flipping_a_pancake.mkv", "kinetics/arm wrestling/demo.mp4", "misc/v_GGSY1Qvo990.mp4",
)  # fmt: skip
LAUNCHER = Path(__file__).with_name("video2dataset_launcher.py")
PROCESSES = 2
VIDEO = "854x480"
SECONDS = NUM_FRAMES / FPS
COMPUTE = load_recipe("demo").compute.model_copy(update={"workers": PROCESSES, "device": "cpu"})
FLOOR, OURS, OURS_SPARSE, PEER = "ffmpeg, decoding alone", "W.A.L.T", "W.A.L.T, one clip per video", "video2dataset"
MIDDLE = "W.A.L.T, one clip from the middle, no shards"


@dataclass
class Costs:
    """What a contestant took, one value per round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    """Make the videos, measure, print the table, and write it where ``--out`` says."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "videos"
        files = make_videos(folder, arguments.videos, arguments.seconds)
        verified = verify(files)
        costs = measure(files, Path(scratch), arguments)
    text = render(costs, files, verified, arguments)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    if arguments.json:
        rows = {name: asdict(cost) for name, cost in costs.items()}
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=10, help="length of each video")
    parser.add_argument("--clips", type=int, default=4, help="clips per video, for the dense contestants")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the videos here, and use those that are there")
    parser.add_argument(
        "--video2dataset", type=Path, metavar="VENV", help="environment that has, or gets, it; runs once"
    )
    parser.add_argument("--out", type=Path, help="write the table here too")
    parser.add_argument("--json", type=Path, help="write the seconds here")
    return parser.parse_args()


# ------------------------------------------------------------------------------------------------------------- videos


def make_videos(folder: Path, count: int, seconds: float) -> list[Path]:
    """``VIDEO`` at 30 frames per second, H.264 as x264 does it by default (B-frames in pyramids, crf 23), AAC sound.

    In turns from the real clips, where they are there (repeated, each from another moment on, scaled), and from two of
    ffmpeg's generators: a test picture with noise, and a zoom into a fractal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generators = [
        ("-f", "lavfi", "-i", f"testsrc2=size={VIDEO}:rate=30,noise=alls=6:allf=t"),
        ("-f", "lavfi", "-i", f"mandelbrot=size={VIDEO}:rate=30"),
    ]
    clips = [("-stream_loop", "-1", "-i", str(REAL / name)) for name in REAL_CLIPS if (REAL / name).is_file()]
    sources = [*clips, *generators]
    files = [folder / f"video-{number:02d}.mp4" for number in range(count)]
    commands = [
        [*sources[number % len(sources)], "-f", "lavfi", "-i", f"sine=frequency={200 + 10 * number}", "-map", "0:v:0",
         "-map", "1:a", "-ss", f"{0.7 * (number // len(sources)):.1f}", "-t", f"{seconds:g}", "-vf",
         f"scale={VIDEO.replace('x', ':')},setsar=1",
         "-r", "30", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", str(file)]
        for number, file in enumerate(files) if not file.is_file()
    ]  # fmt: skip
    run_side_by_side(commands)
    return files


def run_side_by_side(commands: Iterable[list[str]]) -> None:
    """ffmpeg with each list of arguments, as many at a time as there are processes."""

    def run(arguments: list[str]) -> None:
        command = [FFMPEG, "-y", "-nostdin", "-loglevel", "error", *arguments]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(run, commands))


# -------------------------------------------------------------------------------------------------------- contestants


def decode_only(files: list[Path]) -> None:
    """The floor."""
    run_side_by_side([["-threads", "1", "-i", str(file), "-f", "null", "-"] for file in files])


_FILTERS = f"fps={FPS},scale=-2:{SIDE},crop={SIDE}:{SIDE}"
_TO_H264 = ("-an", "-filter_threads", "1", "-c:v", "libx264", "-threads", "1")


def one_command_per_clip(files: list[Path], folder: Path, clips: int) -> None:
    """What a shell script would do."""
    run_side_by_side(
        ["-threads", "1", "-ss", f"{k * SECONDS}", "-i", str(file), "-vf", _FILTERS, "-frames:v", str(NUM_FRAMES),
         *_TO_H264, str(folder / f"{file.stem}-{k}.mp4")]
        for file in files for k in range(clips)
    )  # fmt: skip


def a_pass_with_segments(files: list[Path], folder: Path, clips: int) -> None:
    """What a good shell script would do."""
    times = ",".join(f"{k * SECONDS}" for k in range(1, clips)) or f"{SECONDS}"
    run_side_by_side(
        ["-threads", "1", "-i", str(file), "-vf", _FILTERS, "-frames:v", str(clips * NUM_FRAMES), *_TO_H264,
         "-force_key_frames", times, "-f", "segment", "-segment_times", times, "-reset_timestamps", "1",
         str(folder / f"{file.stem}-%d.mp4")]
        for file in files
    )  # fmt: skip


def in_our_pool(function: Callable[[Path], int], files: list[Path]) -> None:
    """A function of a file on each, in the processes in which our stage decodes."""
    for outcome in map_items(function, files, COMPUTE):
        if outcome.failure:
            raise RuntimeError(outcome.failure.cause)


def make_project(root: Path, files: list[Path]) -> None:
    """A project of ours with these videos, by ``walt init``."""
    root.mkdir()
    for file in files:
        os.link(file, root / file.name) if root.stat().st_dev == file.stat().st_dev else shutil.copy(file, root)
    with open(root / "captions.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "caption"), *((file.name, "a video") for file in files)])
    command = [sys.executable, "-m", "walt.cli", "init", "--recipe", "demo", "--videos", ".", "--name", "bench"]
    here = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))
    subprocess.run(command, cwd=root, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": here})


def run_stage(root: Path, clips: int) -> None:
    """Our stage, from nothing; checks what it made."""
    params = load_params(root)
    limits = {"min_side": LIMITS.min_side, "max_pixels": LIMITS.max_pixels, "max_seconds": LIMITS.max_seconds}
    rule = {"num_frames": NUM_FRAMES, "fps": float(FPS), "sizes": ((SIDE, SIDE),), "max_clips_per_video": clips}
    nothing = {"cuts": "ignore", "min_motion": None, "max_black": None, "max_frozen": None, "duplicate_bits": None}
    screen = params.ingest.screen.model_copy(update=nothing)  # all is measured, and nothing refused
    settings = params.ingest.model_copy(update=rule | limits | {"crf": CRF, "screen": screen})
    sections: dict[str, Any] = {"dataset": params.dataset, "ingest": settings, "compute": COMPUTE}
    config = ingest.Config.model_construct(**{name: sections[name] for name in ingest.Config.model_fields})
    ingest.run(config, Paths(root))
    rows = read_manifest(Paths(root).manifest)
    videos = sum(1 for _ in root.glob("*.mp4"))
    assert len(rows) == clips * videos, f"{len(rows)} clips of {videos} videos"
    assert {row.num_frames for row in rows} == {NUM_FRAMES}


def run_video2dataset(files: list[Path], folder: Path, clips: int, venv: Path) -> None:
    """video2dataset cutting the same clips: exact cuts, then size, then rate, each an ffmpeg of its own."""
    python = venv / "bin/python"
    spec = {"files": [str(file) for file in files], "clips": [[k * SECONDS, (k + 1) * SECONDS] for k in range(clips)],
            "side": SIDE, "fps": FPS, "processes": PROCESSES, "folder": str(folder)}  # fmt: skip
    (folder / "bin").mkdir()
    (folder / "bin/ffmpeg").symlink_to(FFMPEG)
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": ""}
    subprocess.run([python, LAUNCHER, json.dumps(spec)], check=True, env=environment, capture_output=True, cwd=folder)
    made = sum(1 for _ in (folder / "out").rglob("*.tar"))
    assert made, "video2dataset wrote no tar"


def install_video2dataset(venv: Path) -> bool:
    """Make the environment, unless it is there; returns whether it worked.

    Its pinned torch is left out: cutting clips does not use it.
    """
    if (venv / "installed").is_file():
        return True
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet"]
    needed = "fsspec pyarrow webdataset yt-dlp requests omegaconf pandas ffmpeg-python fire webvtt-py tqdm braceexpand"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([*pip, "--no-deps", "video2dataset==1.3.0"], check=True)
        subprocess.run([*pip, *needed.split()], check=True)
    except subprocess.CalledProcessError as error:
        print(f"video2dataset is left out, as it cannot be installed: {error}", file=sys.stderr)
        return False
    (venv / "installed").touch()
    return True


# ---------------------------------------------------------------------------------------------------------- measuring


def measure(files: list[Path], scratch: Path, arguments: argparse.Namespace) -> dict[str, Costs]:
    """All contestants in turns, ``--rounds`` times; video2dataset once."""
    clips = arguments.clips
    contestants: dict[str, Callable[[Path], None]] = {
        FLOOR: lambda _: decode_only(files),
        OURS: lambda folder: run_stage(folder / "project", clips),
        "ffmpeg, one command per clip": lambda folder: one_command_per_clip(files, folder, clips),
        "ffmpeg, a pass with segments": lambda folder: a_pass_with_segments(files, folder, clips),
        "PyAV, decoding all": lambda _: in_our_pool(pyav_decode, files),
        OURS_SPARSE: lambda folder: run_stage(folder / "project", 1),
    }
    if arguments.seconds > 4 + SECONDS:
        contestants[MIDDLE] = lambda _: in_our_pool(middle_clip, files)
    costs = {name: Costs() for name in contestants}
    if arguments.video2dataset and install_video2dataset(arguments.video2dataset):
        venv = arguments.video2dataset.absolute()
        contestants[PEER] = lambda folder: run_video2dataset(files, folder, clips, venv)
        costs[PEER] = Costs()
    for number in range(arguments.rounds):
        for name, work in contestants.items():
            if name == PEER and number:
                continue
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                if name in (OURS, OURS_SPARSE):
                    make_project(Path(folder) / "project", files)
                wall, cpu = time.perf_counter(), cpu_seconds()
                work(Path(folder))
                costs[name].wall.append(time.perf_counter() - wall)
                costs[name].cpu.append(cpu_seconds() - cpu)
                print(f"{name}: {costs[name].wall[-1]:.1f} s, {costs[name].cpu[-1]:.1f} CPU s", file=sys.stderr)
    return costs


def cpu_seconds() -> float:
    """Of this process and of all that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def verify(files: list[Path]) -> tuple[int, int]:
    """How many frames our reader gives of the first two clips of all files, and how many of these are bit-identical to
    those of decoding everything."""
    moments = [Fraction(number, FPS) for number in range(2 * NUM_FRAMES)]
    frames = identical = 0
    for file in files:
        with open(file, "rb") as stream:
            read = video._read_all(stream, lambda late: [late + at for at in moments], lambda _: [(SIDE, SIDE)], LIMITS)
        clips = video.read_clips(file, num_frames=NUM_FRAMES, fps=FPS, sizes=[(SIDE, SIDE)], max_clips=2, limits=LIMITS)
        ours = np.concatenate([clip.frames[SIDE, SIDE] for clip in clips])
        frames += len(ours)
        pairs = zip(ours, read.pictures.values(), strict=False)
        identical += sum(np.array_equal(one, other[SIDE, SIDE]) for one, other in pairs)
    return frames, identical


def render(costs: dict[str, Costs], files: list[Path], verified: tuple[int, int], arguments: argparse.Namespace) -> str:
    """The table, and under it the ratios of CPU time."""
    count = len(files)
    cells = [
        [name, f"{statistics.median(cost.wall):.1f} ({min(cost.wall):.1f} to {max(cost.wall):.1f})",
         f"{count / statistics.median(cost.wall):.2f}",
         f"{statistics.median(cost.cpu) / count:.3f} ({min(cost.cpu) / count:.3f} to {max(cost.cpu) / count:.3f})",
         f"{ratio(costs[FLOOR], cost):.2f}"]
        for name, cost in costs.items()
    ]  # fmt: skip
    real = sum(1 for name in REAL_CLIPS if (REAL / name).is_file())
    lines = [
        f"{count} videos of {arguments.seconds:g} s, {VIDEO}, 30 frames per second, H.264 with B-frames and AAC, from "
        f"{real} real clips and 2 generators, {sum(f.stat().st_size for f in files) / count / 1e6:.2f} MB each; "
        f"{arguments.clips} clips of {NUM_FRAMES}x{SIDE}x{SIDE} at {FPS} frames per second of each; {PROCESSES} "
        f"processes; median (lowest to highest) of {arguments.rounds} rounds in turns. {machine('cpu')}.",
        "",
        markdown_table(["what", "seconds", "videos/s", "CPU s per video", "CPU time of the floor / its own"], cells),
        "",
        f"- {verified[1]} of {verified[0]} frames are bit-identical to those of decoding everything; all clips have "
        f"{NUM_FRAMES} frames",
        f"- dense: {ratio(costs[FLOOR], costs[OURS]):.2f} x the decode-only floor",
        f"- sparse: {ratio(costs[FLOOR], costs[OURS_SPARSE]):.2f} x the floor",
    ]
    if MIDDLE in costs:
        lines.append(f"- sparse, from the middle, without shards: {ratio(costs[FLOOR], costs[MIDDLE]):.2f} x the floor")
    if arguments.video2dataset and PEER not in costs:
        lines.append("- video2dataset could not be installed")
    if PEER in costs:
        lines.append(f"- dense: {ratio(costs[PEER], costs[OURS]):.1f} x video2dataset")
    return "\n".join(lines)


def ratio(other: Costs, ours: Costs) -> float:
    """How many times less CPU time ours takes: the median of the rounds' own ratios, as both ran under the same
    load."""
    pairs = zip(other.cpu, ours.cpu, strict=False)
    return statistics.median(theirs / mine for theirs, mine in pairs)


if __name__ == "__main__":
    main()
