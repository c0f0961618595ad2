"""What diffusers would load without a word: a folder that was damaged, or is loaded otherwise than it is made for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, T5EncoderModel

from tests.support.exported import write_project
from walt.hub import layout
from walt.hub.project_models import Request, export_model

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export_model(write_project(folder / "project"), Request(folder / "out"))
    return folder / "out"


@pytest.fixture
def out(exported: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(exported, tmp_path / "out")


def loaded(out: Path, **options: Any) -> Any:
    """The pipeline of an exported folder, part by part, by our classes in this process."""
    from walt.hub.diffusers_models import WaltAutoencoder, WaltPipeline, WaltScheduler, WaltTransformerModel

    pipeline = WaltPipeline(
        WaltTransformerModel.from_pretrained(out / "transformer", **options),
        WaltAutoencoder.from_pretrained(out / "vae"),
        WaltScheduler.from_pretrained(out / "scheduler"),
        T5EncoderModel.from_pretrained(out / "text_encoder"),
        AutoTokenizer.from_pretrained(out / "tokenizer"),
        WaltTransformerModel.from_pretrained(out / "super_resolution"),
        None,
        json.loads((out / layout.MODEL_INDEX).read_text())["sampling"],
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_weights_lie_in_memory_as_those_of_walt_sample(out: Path) -> None:
    """A matrix product may round otherwise where they begin elsewhere, and convolutions take longer."""
    pipeline = loaded(out)
    begun = [weight.data_ptr() % 64 for weight in pipeline.transformer.parameters()]
    assert any(begun), "diffusers leaves them where they are in the file"
    made = pipeline.sampling_pipeline()
    models = (made.base, *made.super_resolutions, made.autoencoder)
    assert not any(weight.data_ptr() % 64 for model in models for weight in model.parameters())
    kernels = [weight for weight in made.autoencoder.parameters() if weight.dim() == 5]
    assert kernels
    assert all(weight.is_contiguous(memory_format=torch.channels_last_3d) for weight in kernels)


def without_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[max(tensors)]


def with_another(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.another"] = torch.zeros(3)


@pytest.mark.parametrize(("change", "said"), [(without_one, "missing"), (with_another, "unexpected")])
@pytest.mark.parametrize("component", ["transformer", "vae"])
def test_a_model_is_whole_or_it_is_refused(
    out: Path, component: str, change: Callable[[dict[str, torch.Tensor]], None], said: str
) -> None:
    file = out / component / layout.WEIGHTS
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(ValueError, match=f"{said} weights, such as model\\..*: not those of its configuration"):
        loaded(out)


def test_other_weights_than_float32_and_another_tokenizer_are_refused_in_a_line(out: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^transformer: its weights are torch\.bfloat16, not float32; load it without"
    ):
        loaded(out, torch_dtype=torch.bfloat16)("a red circle", num_inference_steps=1)
    pipeline = loaded(out)
    pipeline.tokenizer = type(pipeline.tokenizer).from_pretrained(tmp_path)  # an empty folder
    with pytest.raises(ValueError, match=r"^tokenizer: \d+ pieces of words, not \d+$"):
        pipeline("a red circle", num_inference_steps=1)


def test_numbers_that_make_no_sense_and_saving_without_the_code_are_refused(out: Path, tmp_path: Path) -> None:
    pipeline = loaded(out)
    for name in ("guidance_scale", "frame_guidance_scale", "num_frames", "num_videos_per_prompt"):
        for number in (0, -1, float("nan")):
            with pytest.raises(ValueError, match=f"^{name}: .* is not a number above 0"):
                pipeline("a red circle", **{name: number})
    with pytest.raises(NotImplementedError, match="copy the folder that it was loaded from"):
        pipeline.save_pretrained(tmp_path / "saved")
