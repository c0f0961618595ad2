"""A project of drawn videos with one tiny transformer, whose stages run in this process: for cycles of retraining."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.project import ROOT, look_like_a_clone
from tests.support.settings import compute_settings
from walt.commands.promote.champion import measure_champion
from walt.core.config import yaml_data
from walt.core.paths import Paths
from walt.core.storage import replace_file
from walt.ingest.prepare import prepare
from walt.project import retraining
from walt.project.recipes import recipe_data
from walt.project.registry import STAGES
from walt.project.retraining import Plan
from walt.project.runner import load_params, run_stage
from walt.project.yaml_values import Plain, with_values
from walt.tracking.models import promote_newest

_WITHOUT = ("aspect", "finetune_aspect", "sr_2x", "train_sr_2x", "sr_4x", "train_sr_4x")
_CHANGES: dict[str, dict[str, Any]] = {
    "ingest": {"sizes": [[16, 16]], "clips_per_shard": 4},
    "train_autoencoder": {
        "forms": [{"resolution": [16, 16], "num_frames": 9, "batch_size": 2, "weight": 1}],
        "discriminator": None,
    },
    "evaluate": {"held_out_batches": 16},
    "sample": {"cascade": False, "count": 2, "steps": 2},
    "train_base": {"skip_non_finite": 0, "log_every": 50, "checkpoint_every": 200},
    "promotion": {"metric": "held_out_loss/base", "better": "lower", "guards": [], "floor": None},
    "retrain": {"new_clips": 6, "steps": 200},
    "compute": compute_settings(workers=1).model_dump(mode="json"),
    "resume": {"if_different": "refuse"},
}


def make_project(root: Path) -> None:
    """A clone's files, without videos yet."""
    look_like_a_clone(root)
    (root / "datasets").mkdir()
    data: dict[str, Any] = {**recipe_data("tiny"), **dict.fromkeys(_WITHOUT)}
    for section, changes in _CHANGES.items():
        data[section] |= changes
    data["train_autoencoder"]["loss"] |= {"adversarial": 0.0, "lecam": 0.0, "r1": 0.0}
    data["train_autoencoder"]["joint"] = False
    (root / "params.yaml").write_text(json.dumps(data, indent=1))


def draw_videos(root: Path, most: int) -> None:
    """Draw videos and pictures, of which ``list_videos`` takes some into the dataset."""
    text = (ROOT / "datasets/shapes-few.yaml").read_text(encoding="utf-8").replace("held_out: 0.3", "held_out: 0.4")
    drawn = text.replace("videos: 12, images: 8", f"videos: {most}, images: 8")
    assert drawn != text
    (root / "datasets/shapes-few.yaml").write_text(drawn, encoding="utf-8")
    params = load_params(root)
    prepare(params.dataset, params.compute, Paths(root))
    (root / "data/shapes").rename(root / "drawn")
    text = re.sub(r"^generator: .*$", "generator: null", text, flags=re.MULTILINE)
    (root / "datasets/shapes-few.yaml").write_text(text, encoding="utf-8")


def list_videos(root: Path, count: int) -> None:
    """Have the dataset consist of the first so many videos, and of all pictures."""
    head, *rows = (root / "drawn/captions.csv").read_text(encoding="utf-8").splitlines()
    files = {row: row.split(",")[0] for row in rows}
    videos = [row for row in rows if files[row].endswith(".mp4")]
    listed = [*videos[:count], *(row for row in rows if row not in videos)]
    for row in listed:
        target = root / "data/shapes" / files[row]
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.hardlink_to(root / "drawn" / files[row])
    (root / "data/shapes/captions.csv").write_text("\n".join([head, *listed, ""]), encoding="utf-8")


def set_values(root: Path, **values: Plain) -> None:
    """Change settings; two underscores in a name are the dot of a key."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    text = with_values(text, {name.replace("__", "."): value for name, value in values.items()}, "params.yaml")
    replace_file(root / "params.yaml", text.encode())


def settings(root: Path) -> dict[str, Any]:
    """The content of ``params.yaml``."""
    data: dict[str, Any] = yaml_data((root / "params.yaml").read_text(encoding="utf-8"))
    return data


def cycle(root: Path) -> tuple[Plan, str]:
    """What the deployment ``retrain`` does, without DVC and Prefect; the plan, and what was decided."""
    try:
        ingest, *others = STAGES
        run_stage(ingest, root)
        plan = retraining.begin(root)
        if not plan.go:
            return plan, ""
        for stage in others:
            if stage.name != "report":
                run_stage(stage, root)
        params = load_params(root)
        said = promote_newest(params.tracking, params.promotion, root, partial(measure_champion, params, root))
        retraining.end(root)
        return plan, said
    except BaseException:
        retraining.restore(root)
        raise
