"""What the stages that train a transformer check before the first step, and a model that cannot be put in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.text_folder import write_text
from tests.support.tiny_latents import ROWS, batch_maker, write_latents
from tests.support.tiny_models import BASE, DIFFUSION
from tests.support.training_stages import COMMON, SHORT, follow
from tests.support.trainings import diffusion_training
from walt.core.errors import ConfigurationError, StorageError
from walt.core.paths import Paths
from walt.core.transformers import get_transformer
from walt.data.conditions import NoConditions, open_conditions
from walt.diffusion.schedule import Schedule
from walt.stages import train_transformer
from walt.stages.train_transformer import _trained_on, check_text_width
from walt.training.diffusion_objective import DiffusionObjective
from walt.transformer.model import WaltTransformer


def test_text_of_another_width_is_named(tmp_path: Path) -> None:
    """A real encoder's width is known from its embeddings only."""
    write_text(tmp_path, {}, {}, torch.zeros(8, 24), 8)
    text = open_conditions(tmp_path, "text", None)
    check_text_width(text, BASE.model_copy(update={"text_width": 24}), "sr_2x")
    with pytest.raises(ConfigurationError, match=r"^sr_2x\.text_width is 16, but text\.encoder .* width 24$"):
        check_text_width(text, BASE, "sr_2x")
    check_text_width(NoConditions(), BASE, "sr_2x")


@pytest.mark.parametrize(
    ("kinds", "fraction", "found", "said"),
    [
        (("video", "image"), 0.25, {"videos": 6, "images": 5}, False),
        (("video",), 0.25, {"videos": 6, "images": 0}, True),
        (("video", "image"), 0.0, {"videos": 6, "images": 0}, False),
        (("video", "image"), 1.0, {"videos": 0, "images": 5}, False),
    ],
)
def test_images_that_are_asked_for_and_not_there_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kinds: tuple[str, ...], fraction: float,
    found: dict[str, int], said: bool,
) -> None:  # fmt: skip
    write_latents(tmp_path, tuple(row for row in ROWS if row.kind in kinds))
    training, maker = diffusion_training(image_fraction=fraction), batch_maker(tmp_path, BASE, write=False)
    objective = DiffusionObjective(WaltTransformer(BASE), Schedule.from_config(DIFFUSION), maker, training, seed=0)
    assert _trained_on(objective, "train_base.image_fraction") == found
    expected = "train_base.image_fraction is 0.25, but no training clip is an image"
    assert (expected in " ".join(capsys.readouterr().out.split())) is said


@pytest.mark.slow
def test_a_model_that_cannot_be_put_in_its_place_costs_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may become read-only, or something come in the way, in the weeks that a training takes."""
    write_latents(tmp_path / "data")
    config = train_transformer.Config(
        **COMMON, diffusion=DIFFUSION, architecture=BASE, training=diffusion_training(**SHORT)
    )
    paths, steps = Paths(tmp_path), follow(monkeypatch, None)
    paths.base.parent.mkdir()
    paths.base.touch()
    for _ in range(2):
        with pytest.raises(StorageError, match=rf"^{paths.base}: a file is where a folder is to be") as error:
            train_transformer.run(config, paths, get_transformer("base"))
        assert error.value.exit_status == 4
    paths.base.unlink()
    train_transformer.run(config, paths, get_transformer("base"))
    assert steps == [0, 1, 2, 3]
    assert (paths.base / "model.safetensors").is_file()
