"""The folder that ``walt export model`` writes: what is in it, and what diffusers makes of it without ``walt``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from tests.support.exported import CLASSES, FRAMES, content, frames_elsewhere, write_project
from tests.support.settings import changed
from walt.commands.sample.generate import Request as Sampled
from walt.commands.sample.generate import load_project
from walt.commands.sample.generate import run as sample
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.left_out import leave_out
from walt.core.own_digest import read_json_with_digest
from walt.core.paths import Paths
from walt.hub import layout
from walt.hub.exporting import Exported, export_models
from walt.hub.tensors import tensor_bytes
from walt.media.playable import read_metadata
from walt.nn.pretrained import weights_digest
from walt.project.params import Params
from walt.project.runner import load_params
from walt.sampling.beginnings import beginning_of
from walt.sampling.output import to_frames, write_sample
from walt.text import encoder as encoders
from walt.text.encoder import TINY_FOLDER, open_text_encoder
from walt.tracking.releases import release_folders


def export(root: Path, target: Path, change: Callable[[Params], Params] = lambda params: params) -> Exported:
    return export_models(release_folders(Paths(root)), change(load_params(root)), root, target, lambda _: "A card.\n")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("plain") / "project")


@pytest.fixture(scope="module")
def folder(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "folder"
    export(plain, target)
    return target


def test_a_folder_a_component_with_its_code(folder: Path) -> None:
    index = json.loads((folder / layout.MODEL_INDEX).read_text())
    code, pipeline = index["_class_name"]
    assert pipeline == "WaltPipeline"
    for component in ("transformer", "super_resolution", "vae", "scheduler"):
        assert index[component][0] == code
        assert (folder / component / f"{code}.py").read_bytes() == (folder / f"{code}.py").read_bytes()
    assert index["super_resolution_2"] == [None, None]
    assert index["text_encoder"] == ["transformers", "T5EncoderModel"]
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".py", ".json", ".safetensors", ".md"}


def test_weights_are_the_projects_and_say_so(plain: Path, folder: Path) -> None:
    for component, name in (("transformer", "base"), ("super_resolution", "sr_2x"), ("vae", "autoencoder")):
        own, file = getattr(Paths(plain), name), folder / component / layout.WEIGHTS
        with safe_open(file, "pt") as opened:
            assert opened.metadata() == {"format": "pt", "walt.weights_sha256": weights_digest(own)}
        exported, original = load_file(file), load_file(own / "model.safetensors")
        assert exported.keys() == {f"model.{key}" for key in original}
        assert all(torch.equal(exported[f"model.{key}"], tensor) for key, tensor in original.items())


def test_the_same_models_give_the_same_bytes(plain: Path, folder: Path, tmp_path: Path) -> None:
    export(plain, tmp_path / "again")
    assert content(tmp_path / "again") == content(folder)
    export(plain, tmp_path / "again")  # in place of an earlier export
    assert content(tmp_path / "again") == content(folder)


def test_metadata_are_in_one_order() -> None:
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.bfloat16)}
    first = tensor_bytes(tensors, {"x": "1", "w": "é"})
    assert first == tensor_bytes(dict(reversed(tensors.items())), {"w": "é", "x": "1"})
    assert int.from_bytes(first[:8], "little") % 8 == 0


def test_every_file_is_named_by_its_digest(folder: Path) -> None:
    named, checked = read_json_with_digest(folder / layout.MANIFEST)
    assert checked
    assert named["files"].keys() == content(folder).keys() - {layout.MANIFEST}
    assert named["settings"]["normalize_latents"] is True


def test_what_is_there_is_not_written_over(plain: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for target, said in ((own, "did not write; choose a new folder"), (tmp_path / "file", "a file; choose a new")):
        with pytest.raises(ConfigurationError, match=said):
            export(plain, target)
    assert content(own) == {"thesis.txt": b"years of work"}


def test_a_damaged_model_leaves_nothing_behind(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    file = Paths(root).sr_2x / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptArtifactError, match="sr-2x"):
        export(root, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_models_that_make_no_video_are_refused(plain: Path, tmp_path: Path) -> None:
    folders = release_folders(Paths(plain))
    for missing, said in (("base", "make no video"), ("autoencoder", "make no video"), ("text-encoder", "take text")):
        some = {name: folder for name, folder in folders.items() if name != missing}
        with pytest.raises(ConfigurationError, match=said):
            export_models(some, load_params(plain), plain, tmp_path / "out", lambda _: "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written(plain: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError):
        export(plain, tmp_path / "out")


def with_own_encoder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose text encoder lies elsewhere, and is so large that it is held in bf16."""
    monkeypatch.setattr(encoders, "LARGE_PARAMETERS", 1)
    folder = Paths(root).text_encoder
    (folder / TINY_FOLDER).rename(root / "own-t5")
    open_text_encoder("own-t5", 8, "cpu", folder, root).describe(folder)
    return root


def with_bf16(params: Params) -> Params:
    return params.model_copy(update={"sample": changed(params.sample, precision="bf16", eta=0.5, guidance_rescale=0.7)})


@pytest.mark.slow
def test_diffusers_makes_the_same_videos_without_walt(
    plain: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts, classes, nothing and given frames; several folders in one process; a text encoder in bf16."""
    frames = write_project(tmp_path / "frames", FRAMES, FRAMES | {"latent_grid": (5, 4, 4)})
    classes = write_project(tmp_path / "classes", CLASSES, CLASSES)
    alone = write_project(tmp_path / "alone", CLASSES | {"conditioning": "none", "num_classes": None})
    leave_out(Paths(alone).sr_2x, "sr_2x")
    large = with_own_encoder(write_project(tmp_path / "large"), monkeypatch)
    changes = {large: with_bf16, alone: lambda p: p.model_copy(update={"sample": changed(p.sample, cascade=False)})}
    calls: list[tuple[Path, dict[str, Any]]] = []
    expected = []
    prompts = ["a red circle", "a green square"]
    requests: list[tuple[Path, list[Any], dict[str, Any]]] = [
        (large, prompts, {"num_inference_steps": 3}), (classes, [2, 0], {"guidance_scale": 3.0}), (alone, [None], {}),
        (frames, prompts, {"cascade": False}),
    ]  # fmt: skip
    for root, asked, options in requests:
        monkeypatch.setattr(encoders, "LARGE_PARAMETERS", 1 if root == large else 500_000_000)
        own = changes.get(root, lambda params: params)
        export(root, tmp_path / f"{root.name}-out", own)
        call = {"prompt": asked, "seed": 5, "num_videos_per_prompt": 2, "output_type": "np", **options}
        calls.append((tmp_path / f"{root.name}-out", call))
        settings = own(load_params(root)).sample
        update = {"steps": options.get("num_inference_steps", settings.steps)}
        if "guidance_scale" in options:
            update |= {"guidance_scale": 3.0, "frame_guidance_scale": 3.0}
        settings = settings.model_copy(update=update | ({"cascade": False} if "cascade" in options else {}))
        pipeline, _ = load_project(root, settings.cascade)
        jobs = [(prompt, seed) for prompt in asked for seed in (5, 6)]
        made = pipeline(
            [prompt for prompt, _ in jobs], [seed for _, seed in jobs], settings, indices=[0] * len(jobs)
        )  # fmt: skip
        expected.append(np.stack([to_frames(video) for video in made.videos]))
    monkeypatch.undo()
    written = sample(Sampled(prompts=("a red circle",), seed=7, steps=3, out=tmp_path / "videos"), plain)
    found = frames_elsewhere(
        tmp_path, (folder, {"prompt": "a red circle", "seed": 7, "num_inference_steps": 3}), *calls
    )
    video = next(path for path in written if path.suffix == ".mp4")
    write_sample(tmp_path / "elsewhere", video.stem, found[0][0], 8.0, read_metadata(video))
    assert (tmp_path / "elsewhere" / video.name).read_bytes() == video.read_bytes()
    for (_, call), ours, theirs in zip(calls, expected, found[1:], strict=True):
        assert ours.shape == theirs.shape
        assert np.array_equal(ours, theirs), call


def without_images_for_details(params: Params) -> Params:
    assert params.train_sr_2x is not None
    return params.model_copy(update={"train_sr_2x": changed(params.train_sr_2x, image_fraction=0.0)})


@pytest.mark.slow
def test_given_frames_in_this_process(tmp_path: Path) -> None:
    from walt.hub.diffusers_models import WaltAutoencoder, WaltPipeline, WaltScheduler, WaltTransformerModel

    root = write_project(tmp_path / "project", FRAMES, FRAMES | {"latent_grid": (5, 4, 4)})
    export(root, tmp_path / "out", without_images_for_details)
    out = tmp_path / "out"
    pipeline, settings = load_project(root)
    encoder = pipeline.text_encoder
    assert encoder is not None
    theirs = WaltPipeline(
        WaltTransformerModel.from_pretrained(out / "transformer"), WaltAutoencoder.from_pretrained(out / "vae"),
        WaltScheduler.from_pretrained(out / "scheduler"), encoder._model, encoder._tokenizer,
        WaltTransformerModel.from_pretrained(out / "super_resolution"), None,
        json.loads((out / layout.MODEL_INDEX).read_text())["sampling"],
    )  # fmt: skip
    theirs.set_progress_bar_config(disable=True)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    given = beginning_of(picture[None], pipeline.resolutions(cascade=True))
    made = pipeline(["a red circle"], [3], settings, indices=[0], beginning=given)
    found = theirs("a red circle", generator=torch.Generator().manual_seed(3), image=picture, output_type="pt")
    assert torch.equal(found.frames[0], made.videos[0])
    pictures = [Image.fromarray(picture)] * 6
    longer = theirs("a red circle", video=pictures, output_type="np").frames[0]
    assert len(longer) == 6 + 12
    assert np.array_equal(longer[:6], [picture] * 6)
    assert not torch.equal(theirs("a red circle", seed=3, output_type="pt").frames[0], made.videos[0])
    for error, said, wrong in (
        (ValueError, "'gif' is not pil, np or pt", {"output_type": "gif"}),
        (ValueError, "image and video both say how", {"image": picture, "video": pictures}),
        (ValueError, "image: float32 of 3 x 8 x 8; a frame is", {"image": torch.rand(3, 8, 8)}),
        (ValueError, "video: 4 frames, but 5 are needed", {"video": pictures[:4]}),
        (ValueError, "stills: num_frames is for videos", {"stills": True, "num_frames": 5}),
        (ValueError, "guidance_schedule: 'linear' is not", {"guidance_schedule": "linear"}),
        (ConfigurationError, "stills: super_resolution was trained on videos only", {"stills": True}),
        (ConfigurationError, "no shape near 5:1", {"aspect": "5:1"}),
    ):
        with pytest.raises(error, match=said):
            theirs("a red circle", **wrong)
    video = torch.rand(1, 3, 5, 16, 16)
    with torch.inference_mode():
        latents = theirs.vae.encode(video)
        assert torch.equal(latents, pipeline.encode(video))
        assert theirs.vae.decode(latents).shape == video.shape
