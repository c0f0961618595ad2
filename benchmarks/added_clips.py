"""What a retraining costs before it trains: ingest and encoding after 1 % of clips came, against doing all of it.

    python -m benchmarks.added_clips [--clips 1000] [--added 10] [--rounds 1] [--stages ingest ...] [--out FILE]

The generated shapes, each video one clip, with the demo's settings; the stages as ``walt <stage>`` runs them, in one
process, counted in CPU seconds of the stage's work: what a process takes to start is not in it, and printed apart. The
autoencoder has the demo's size and was not trained; it and the text encoder stay, as in a retraining.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.measure import machine, markdown_table
from walt.autoencoder.io import save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.ingest.shapes_files import generate
from walt.ingest.sources.kinds import ShapesGenerator
from walt.project.params import Params
from walt.project.recipes import load_recipe
from walt.project.registry import get_stage
from walt.project.runner import load_params, run_stage

STAGES = ("ingest", "caption", "encode-text", "encode-video")
_DESCRIPTOR = "datasets/shapes.yaml"
_FROZEN = "release/text-encoder"


def make_project(root: Path, videos: int) -> tuple[Params, list[list[str]]]:
    """A project with all the videos on disk and none of them listed; its parameters, and the rows of its captions."""
    data: dict[str, Any] = load_recipe("demo").model_dump(mode="json")
    data["dataset"] = {"descriptor": _DESCRIPTOR, "path": "videos"}
    data["compute"] |= {"backend": "inline", "workers": 1, "device": "cpu", "devices": 1}
    write_json(root / "params.yaml", data)
    (root / "datasets").mkdir()
    source = {
        "kind": "captioned_folder",
        "captions": "captions.csv",
        "path_column": "path",
        "caption_column": "caption",
    }
    about: dict[str, object] = {
        "name": "shapes",
        "summary": "Shapes.",
        "licence": "CC0-1.0",
        "homepage": None,
        "source": source,
    }
    about |= {"classes": None, "caption_required": True, "images": False, "held_out": 0.05, "adherence": None}
    write_json(root / _DESCRIPTOR, about | {"generator": None})
    params = load_params(root)
    shapes = ShapesGenerator(kind="shapes", videos=videos, images=0, size=64, num_frames=17, fps=8, seed=0)
    generate(shapes, root / "videos", params.compute)
    with open(root / "videos/captions.csv", encoding="utf-8", newline="") as stream:
        _, *rows = csv.reader(stream)
    torch.manual_seed(0)
    width = params.autoencoder.latent_channels
    untrained = LatentStatistics(torch.zeros(width), torch.ones(width), 100)
    save_autoencoder(Paths(root).autoencoder, CausalAutoencoder(params.autoencoder), untrained)
    return params, rows


def list_videos(root: Path, rows: list[list[str]]) -> None:
    """Have the dataset be these; the files of others wait beside it."""
    (root / "later/videos").mkdir(parents=True, exist_ok=True)
    listed = {name for name, _ in rows}
    for here, there in ((root / "videos", root / "later"), (root / "later", root / "videos")):
        for file in (here / "videos").iterdir():
            name = f"videos/{file.name}"
            if (name in listed) is (here == root / "later"):
                file.rename(there / name)
    with open(root / "videos/captions.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["path", "caption"], *rows])


def run_stages(root: Path, names: Sequence[str]) -> dict[str, float]:
    """CPU seconds of each stage."""
    spent = {}
    for name in names:
        before = _cpu()
        run_stage(get_stage(name), root)
        spent[name] = _cpu() - before
    return spent


def measure(clips: int, added: int, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """CPU seconds by stage: of all, after some came, and where nothing changed."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _, rows = make_project(root, clips + added)
        list_videos(root, rows[:clips])
        found = {"all": run_stages(root, names)}
        if "encode-text" in names:
            _keep_text_encoder(root)
            run_stages(root, ["encode-text"])  # the same embeddings, under that setting
        found["nothing came"] = run_stages(root, names)
        list_videos(root, rows)
        found["some came"] = run_stages(root, names)
    return found


def _keep_text_encoder(root: Path) -> None:
    """As a retraining keeps the release's, which else would be built of other captions."""
    shutil.copytree(Paths(root).text_encoder, root / _FROZEN)
    data = json.loads((root / "params.yaml").read_text(encoding="utf-8"))
    data["text"]["tiny"]["frozen"] = _FROZEN
    write_json(root / "params.yaml", data)


def starting(names: Sequence[str]) -> float:
    """CPU seconds until a stage's work begins, of these stages together."""
    spent = 0.0
    for name in names:
        code = f"import walt.cli, walt.project.runner, {get_stage(name).module}"
        before = os.times()
        subprocess.run([sys.executable, "-c", code], check=True)
        after = os.times()
        spent += after.children_user + after.children_system - before.children_user - before.children_system
    return spent


def _cpu() -> float:
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def main() -> None:
    """Measure, print, and keep the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.added_clips", description="What added clips cost.")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--added", type=int, default=10)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured = [measure(options.clips, options.added, options.stages) for _ in range(options.rounds)]
    median = {
        what: {name: statistics.median(one[what][name] for one in measured) for name in options.stages}
        for what in ("all", "nothing came", "some came")
    }
    rows = []
    for name in (*options.stages, "together"):
        all_, nothing, some = (
            sum(of.values()) if name == "together" else of[name]
            for of in (median[what] for what in ("all", "nothing came", "some came"))
        )
        rows.append([name, f"{all_:.2f}", f"{nothing:.2f}", f"{some:.2f}", f"{some / all_:.1%}"])
    head = ["stage", f"{options.clips} clips, all", "nothing came", f"{options.added} came", "share of all"]
    text = f"{markdown_table(head, rows)}\n\nCPU seconds; medians of {options.rounds} rounds. {machine('cpu')}.\n"
    text += f"Before their work begins the processes take {starting(options.stages):.1f} CPU s together.\n"
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
