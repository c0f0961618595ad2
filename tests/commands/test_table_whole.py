"""A table whose stages are the real ones: only here do they find each other's artefacts through links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from walt.commands.table import grid
from walt.commands.table.table_file import Row, Scale, TableFile, TableScale, load_table
from walt.core.config import parse_section

SCALE = {
    "about": "As small as can be.",
    "recipe": "tiny",
    "settings": {
        "dataset": {"descriptor": "datasets/few.yaml", "path": "data/few"},
        "ingest": {"sizes": [[16, 16]]},
        "train_autoencoder": {
            "discriminator": None,
            "loss": {"adversarial": 0.0, "lecam": 0.0, "r1": 0.0},
            "forms": [{"resolution": [16, 16], "num_frames": 9, "batch_size": 2, "weight": 1}],
            "validation": None,
        },
        "train_base": {"steps": 2, "image_fraction": 0.0, "validation": None},
        **dict.fromkeys(
            ("aspect", "finetune_aspect", "sr_2x", "train_sr_2x", "sr_4x", "train_sr_4x"),
        ),
        "sample": {"count": 2, "cascade": False, "prompts": "held_out"},
        "compute": {"cpu_processes": 1, "backend": "inline"},
    },
    "metrics": [{"name": "held_out_loss/base", "title": "loss", "better": "lower"}],
}  # fmt: skip
DESCRIPTOR = """
name: few
summary: A few shapes.
licence: CC0-1.0
homepage: null
source: {kind: captioned_folder, captions: captions.csv, path_column: path, caption_column: caption}
classes: null
caption_required: true
images: true
held_out: 0.3
adherence: shapes
generator: {kind: shapes, videos: 12, images: 0, size: 16, num_frames: 9, fps: 8, seed: 0}
"""


@pytest.mark.slow
def test_a_small_table_from_the_videos_to_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_table("3a").model_copy(
        update={
            "rows": (
                Row(name="patch size 1", paper={"FVD": 60.7}),
                Row(name="patch size 2", settings=_TWO, paper={"FVD": 134.4}),
            ),
            "scales": {"demo": TableScale(cost="seconds")},
        }
    )
    assert isinstance(small, TableFile)
    monkeypatch.setattr(grid, "load_table", lambda _: small)
    monkeypatch.setattr(grid, "load_scale", lambda _: parse_section(SCALE, Scale, "test"))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/few.yaml").write_text(DESCRIPTOR)
    out = grid.run("3a", "demo", (0,), tmp_path)
    found = json.loads((out / "table.json").read_text())["rows"]
    losses = {name: row["seeds"]["0"]["held_out_loss/base"] for name, row in found.items()}
    assert losses["patch size 1"] != losses["patch size 2"]
    stages = [folder.name.rsplit("-", 1)[0] for folder in (tmp_path / "work/tables").iterdir() if folder.is_dir()]
    assert {name: stages.count(name) for name in ("ingest", "train-autoencoder", "train-base", "evaluate")} == {
        "ingest": 1, "train-autoencoder": 1, "train-base": 2, "evaluate": 2,
    }  # fmt: skip


_TWO = {"base": {"patch_size": 2, "spatial_window": [1, 1, 1], "spatiotemporal_window": [3, 1, 1]}}
