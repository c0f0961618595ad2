"""Projects with untrained models of a few thousand weights, for what makes videos from prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny_models import BASE, SUPER_RESOLUTION, drawn, write_models
from tests.support.tracking import CONFIG
from walt.core.paths import Paths
from walt.evaluation.resampling import share_figure
from walt.project.recipes import recipe_text
from walt.tracking.models import promote
from walt.tracking.promotion import BetterBeyondChance
from walt.tracking.releases import release_digests, release_folders
from walt.transformer.model import WaltTransformer, save_transformer

FRAMES = {"frame_prediction": True, "spatiotemporal_window": (5, 2, 2)}
"""Of models that continue videos, beside their ``latent_grid``."""
_RULE = BetterBeyondChance(
    rule="better_beyond_chance", alias="champion", metric="adherence/both", better="higher", margin=1.5, guards=(),
    floor=None,
)  # fmt: skip


def sample_project(root: Path, base: dict[str, Any] | None = None, high: dict[str, Any] | None = None) -> Path:
    """A project with settings and models that are as small as they can be: 5 frames of 16x16, then of 32x32.

    Args:
        base, high: what differs in the two transformers' configurations.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(recipe_text("tiny"))
    write_models(root)
    save_transformer(Paths(root).base, drawn(WaltTransformer(BASE.model_copy(update=base or {})), 2))
    save_transformer(Paths(root).sr_2x, drawn(WaltTransformer(SUPER_RESOLUTION.model_copy(update=high or {})), 3))
    return root


def frames_project(root: Path) -> Path:
    """One whose models make 17 frames and were trained with frame prediction."""
    return sample_project(root, FRAMES | {"latent_grid": (5, 2, 2)}, FRAMES | {"latent_grid": (5, 4, 4)})


def register_release(root: Path, matches: int) -> None:
    """Register the project's models as they are now; they become the champion where clearly more of 64 videos match."""
    folders = release_folders(Paths(root))
    figure = share_figure([place < matches for place in range(64)], {"prompts and seeds": "the same"})
    evaluation = {"models": release_digests(folders), "figures": {"adherence/both": figure.as_json()}}

    def measure(_: object) -> dict[str, Any]:
        raise AssertionError("all figures are of the same")

    promote(CONFIG, _RULE, root, folders, evaluation, measure)
