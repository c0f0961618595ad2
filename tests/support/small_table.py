"""A table of two rows whose stages are the real ones, on a dozen generated videos.

Run as a module, this makes it in the folder where it is started.
"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from walt.commands.table import grid
from walt.commands.table.table_file import Row, Scale, TableScale, load_table
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
        "train_base": {"steps": 30, "checkpoint_every": 2, "image_fraction": 0.0, "validation": None},
        **dict.fromkeys(
            ("aspect", "finetune_aspect", "sr_2x", "train_sr_2x", "sr_4x", "train_sr_4x"),
        ),
        "sample": {"count": 2, "cascade": False, "prompts": "held_out"},
        "compute": {"cpu_processes": 1, "backend": "inline"},
    },
    "metrics": [{"name": "held_out_loss/base", "title": "loss", "better": "lower"}],
}  # fmt: skip
_DESCRIPTOR = """
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
_TWO = {"base": {"patch_size": 2, "spatial_window": [1, 1, 1], "spatiotemporal_window": [3, 1, 1]}}


def make(root: Path) -> Path:
    """As ``walt table 3a --scale demo --seeds 0``."""
    rows = (
        Row(name="patch size 1", paper={"FVD": 60.7}),
        Row(name="patch size 2", settings=_TWO, paper={"FVD": 134.4}),
    )
    small = load_table("3a").model_copy(update={"rows": rows, "scales": {"demo": TableScale(cost="seconds")}})
    (root / "datasets").mkdir(exist_ok=True)
    (root / "datasets/few.yaml").write_text(_DESCRIPTOR)
    with (
        patch.object(grid, "load_table", lambda _: small),
        patch.object(grid, "load_scale", lambda _: parse_section(SCALE, Scale, "test")),
    ):
        return grid.run("3a", "demo", (0,), root)


if __name__ == "__main__":
    make(Path.cwd())
