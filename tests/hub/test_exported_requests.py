"""What is asked of an exported folder where there is no ``walt``: all that `walt sample` makes, in the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.diffusers_vaes import write_wan
from tests.support.exported import CLASSES, FRAMES, Elsewhere, content, elsewhere, write_project
from tests.support.tiny_models import AUTOENCODER, SECOND, drawn
from walt.autoencoder.diffusers_vae import read_foreign
from walt.autoencoder.io import save_foreign
from walt.autoencoder.statistics import LatentStatistics
from walt.commands.sample.generate import Request as Sampled
from walt.commands.sample.generate import run as sample
from walt.core.paths import Paths
from walt.hub.project_models import Request, export_model, import_model
from walt.media.images import Limits
from walt.media.playable import read_metadata
from walt.sampling.given_files import GivenFile, read_file
from walt.sampling.output import write_sample, write_still
from walt.transformer.model import WaltTransformer, save_transformer

pytestmark = pytest.mark.slow  # diffusers takes seconds to import, here and in the other process

PROMPT = "a red circle"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Which has no ``walt``."""
    with elsewhere(tmp_path_factory.mktemp("elsewhere")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Frame prediction, and 17 frames: parts of long videos."""
    return write_project(tmp_path / "project", FRAMES, FRAMES | {"latent_grid": (5, 4, 4)})


def photo(file: Path) -> Path:
    """A picture that lies on its side, in a shape of its own."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file, exif=exif)
    return file


def test_stills_long_videos_given_frames_and_other_shapes(process: Elsewhere, project: Path, tmp_path: Path) -> None:
    export_model(project, Request(tmp_path / "out"))
    image = photo(tmp_path / "photo.png")
    (clip,) = made_here(project, tmp_path / "clip", Sampled(prompts=(PROMPT,), seed=1))
    frames, small = (frames_of(clip, side) for side in (32, 16))
    cases: dict[str, tuple[Sampled, dict[str, Any]]] = {
        "stills": (Sampled(stills=True), {"stills": True}),
        "long": (Sampled(seconds=3.0), {"num_frames": 24}),
        "image": (Sampled(image=image, count=2), {"image": image, "num_videos_per_prompt": 2}),
        "continued": (Sampled(continued=clip, seconds=2.0), {"video": frames, "num_frames": 16}),
        "aspect": (Sampled(aspect="2:1"), {"aspect": "2:1"}),
        "all": (
            Sampled(image=image, aspect="2:1", seconds=3.0, guidance=2.0, guidance_schedule="power_cosine"),
            {"image": image, "aspect": "2:1", "num_frames": 24, "guidance_scale": 2.0}
            | {"guidance_schedule": "power_cosine"},
        ),
        "alone": (Sampled(continued=clip, cascade=False), {"video": small, "cascade": False}),
    }  # fmt: skip
    for name, (request, call) in cases.items():
        videos = process.frames(tmp_path / "out", {"prompt": PROMPT, "seed": 7, **call})
        ours = made_here(project, tmp_path / name, request, prompts=(PROMPT,), seed=7)
        assert len(ours) == len(videos), name
        for file, video in zip(ours, videos, strict=True):
            again = rewritten(tmp_path / f"{name} elsewhere", file, video)
            assert again.read_bytes() == file.read_bytes(), file


def test_two_super_resolution_models_go_out_and_come_back(process: Elsewhere, tmp_path: Path) -> None:
    """Of classes, each with its own noise."""
    project, out, other = write_project(tmp_path / "project", CLASSES, CLASSES), tmp_path / "out", tmp_path / "other"
    shutil.rmtree(Paths(project).sr_4x)  # it says that the model is left out
    save_transformer(Paths(project).sr_4x, drawn(WaltTransformer(SECOND.model_copy(update=CLASSES)), 4))
    assert {"super_resolution", "super_resolution_2"} <= export_model(project, Request(out)).components.keys()
    (ours,) = made_here(project, tmp_path / "here", Sampled(classes=(2,), seed=5))
    found = process.frames(out, {"prompt": 2, "seed": 5})
    assert found.shape[2:4] == (64, 64)
    assert rewritten(tmp_path / "elsewhere", ours, found[0]).read_bytes() == ours.read_bytes()
    other.mkdir()
    shutil.copy(project / "params.yaml", other)
    import_model(other, str(out))
    assert content(Paths(other).sr_4x) == content(Paths(project).sr_4x)
    (again,) = made_here(other, tmp_path / "again", Sampled(classes=(2,), seed=5))
    assert again.read_bytes() == ours.read_bytes()


def test_a_project_on_an_autoencoder_of_diffusers_goes_out_and_comes_back(
    process: Elsewhere, project: Path, tmp_path: Path
) -> None:
    place = Paths(project).autoencoder
    shutil.rmtree(place)
    write_wan(tmp_path / "wan")
    statistics = LatentStatistics(torch.linspace(-0.2, 0.3, 4), torch.linspace(0.5, 2, 4), 8)
    save_foreign(place, *read_foreign(tmp_path / "wan", AUTOENCODER, "cpu"), statistics)
    out = tmp_path / "out"
    exported = export_model(project, Request(out))
    assert "| `vae` | `AutoencoderKLWan` of diffusers, as it was given" in (out / "README.md").read_text()
    from diffusers import AutoencoderKLWan  # here: each process of pytest-xdist would load it to collect these tests

    theirs, given = AutoencoderKLWan.from_pretrained(out / "vae"), AutoencoderKLWan.from_pretrained(tmp_path / "wan")
    assert all(torch.equal(theirs.state_dict()[name], weight) for name, weight in given.state_dict().items())
    (ours,) = made_here(project, tmp_path / "here", Sampled(prompts=(PROMPT,), seed=7))
    found = process.frames(out, {"prompt": PROMPT, "seed": 7})
    assert rewritten(tmp_path / "elsewhere", ours, found[0]).read_bytes() == ours.read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(project / "params.yaml", other)
    assert import_model(other, str(out)).folders.keys() >= {"base", "sr-2x", "autoencoder"}
    assert content(Paths(other).autoencoder) == content(place)
    (again,) = made_here(other, tmp_path / "again", Sampled(prompts=(PROMPT,), seed=7))
    assert again.read_bytes() == ours.read_bytes()
    assert exported.components["vae"] == place


def frames_of(clip: Path, side: int) -> Path:
    """A video's frames in a size, as `walt sample --continue` reads them."""
    file = clip.with_name(f"{side}.npy")
    np.save(file, read_file(GivenFile(clip, ((side, side),), 8.0, Limits(1, 10**6, 60.0)))[0])
    return file


def made_here(root: Path, out: Path, request: Sampled, **also: Any) -> list[Path]:
    """The files of ``walt sample``: mp4, or png of stills, in the order of their seeds."""
    formats = () if request.stills else ("mp4",)
    return sample(Sampled(**{**vars(request), "out": out, "formats": formats, **also}), root)


def rewritten(folder: Path, file: Path, video: np.ndarray[Any, Any]) -> Path:
    """Frames from elsewhere as a file with the metadata of one of ours."""
    if file.suffix == ".png":
        with Image.open(file) as picture:
            about = json.loads(picture.text["comment"])  # type: ignore[attr-defined]
        return write_still(folder, file.stem, video, about)
    return write_sample(folder, file.stem, video, 8.0, read_metadata(file), ("mp4",))[0]
