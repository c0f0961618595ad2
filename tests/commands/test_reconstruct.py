"""``walt reconstruct``: any files in, both halves and their figures out, in memory that does not grow with length."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchmetrics.functional.image import structural_similarity_index_measure
from transformers import ResNetConfig, ResNetForImageClassification
from typer.testing import CliRunner

from tests.support.media import Frames, counter, shared_data, write_video
from tests.support.pretrained import FakeI3D
from tests.support.tiny_models import AUTOENCODER
from tests.support.tracking import CONFIG
from walt.autoencoder.io import load_autoencoder, save_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.cli import app
from walt.commands.reconstruct.files import _LIMITS, LONGEST_SIDE, Reconstruction, Request, parse_size, run
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError, RejectLimitError, StorageError, WaltError
from walt.data.clip_pixels import pixels
from walt.media.mp4 import decode_clip
from walt.media.playable import read_metadata
from walt.media.video import probe, read_clips
from walt.nn.pretrained import weights_digest
from walt.project.recipes import recipe_text
from walt.tracking import server


@pytest.fixture
def autoencoder(tmp_path: Path) -> Path:
    """Untrained; what it makes is far from the original, but not flat."""
    torch.manual_seed(0)
    model = CausalAutoencoder(AUTOENCODER)
    save_autoencoder(tmp_path / "model", model, LatentStatistics(torch.ones(4), 2 * torch.ones(4), 8))
    return tmp_path / "model"


def reconstruct(autoencoder: Path, *files: Path, **options: object) -> list[Reconstruction]:
    return run(Request(files, autoencoder, autoencoder.parent / "out", **options))  # type: ignore[arg-type]


def scene(num_frames: int, height: int = 32, width: int = 48) -> Frames:
    """A smooth coloured picture that moves: a codec keeps it."""
    t, y, x = np.mgrid[:num_frames, :height, :width].astype(float)
    waves = [np.sin(x / 9 + t / 3), np.cos(y / 7 - t / 5), np.sin((x + y) / 11)]
    return (127 + 100 * np.stack(waves, -1)).astype(np.uint8)


def whole_clip(autoencoder: Path, frames: Frames) -> tuple[Frames, float, float]:
    """(reconstruction, PSNR, SSIM) of a clip at once, without the code under test."""
    model, _ = load_autoencoder(autoencoder)
    video = pixels([np.concatenate([frames, frames[-1:].repeat(-(len(frames) - 1) % 4, 0)])])
    with torch.no_grad():
        made = model.decode(model.encode(video)[0])[0, :, : len(frames)].clamp(-1, 1)  # (3, T, H, W)
    made = (made.double().transpose(0, 1) + 1) / 2  # (T, 3, H, W)
    real = torch.from_numpy(frames).double().permute(0, 3, 1, 2) / 255
    _, places = structural_similarity_index_measure(made, real, data_range=1.0, return_full_image=True)
    ssim = places[..., 5:-5, 5:-5].mean()  # where the window of 11 is whole
    shown = (made * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return shown, -10 * math.log10(float((made - real).square().mean())), float(ssim)


# ------------------------------------------------------------------------------------------------ what comes out


@pytest.mark.slow
def test_an_autoencoder_of_the_registry(
    autoencoder: Path, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").write_text(recipe_text("tiny"))
    shutil.copy(empty_database, project / "mlflow.db")
    server.register(server.connect(CONFIG, project), None, autoencoder, "autoencoder")
    path = write_video(tmp_path / "a.mkv", scene(5), fps=24, codec="ffv1", pixel_format="bgr0")
    monkeypatch.chdir(project)
    digests = set()
    for named in (str(autoencoder), "autoencoder/1", "models:/walt-autoencoder/1"):
        result = CliRunner().invoke(app, ["reconstruct", str(path), "--autoencoder", named, "--out", "out"])
        assert result.exit_code == 0, result.output
        digests.add(sha256_file(project / "out/a.mp4"))
    assert len(digests) == 1
    for wrong in ("autoencoder/7", "nowhere"):
        result = CliRunner().invoke(app, ["reconstruct", str(path), "--autoencoder", wrong, "--out", "out"])
        assert isinstance(result.exception, ConfigurationError)
        assert wrong.split("/")[0] in str(result.exception)


@pytest.mark.slow
@pytest.mark.usefixtures("bf16_on_any_processor")
def test_precision_and_pixels_at_once_are_options(autoencoder: Path, tmp_path: Path) -> None:
    """bf16 differs a little; the number of pixels at once by nothing that is shown."""
    path = write_video(tmp_path / "a.mkv", scene(9), fps=24, codec="ffv1", pixel_format="bgr0")
    shown = {}
    for name, options in (("fp32", []), ("bf16", ["--precision", "bf16"]), ("less", ["--megapixels-at-once", "1e-6"])):
        out = tmp_path / name
        arguments = ["reconstruct", str(path), "--autoencoder", str(autoencoder), "--out", str(out), *options]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        shown[name] = decode_clip((out / "a.mp4").read_bytes())
        assert read_metadata(out / "a.mp4")["precision"] == ("bf16" if name == "bf16" else "fp32")
    assert np.array_equal(shown["less"], shown["fp32"])
    left, right = (np.split(shown[name], 2, axis=2)[1].astype(int) for name in ("fp32", "bf16"))
    assert 0 < np.abs(left - right).mean() < 10  # weights are not trained, so that roundings show
    with pytest.raises(ConfigurationError, match=r"--megapixels-at-once: 0\.0 is not a number above 0"):
        reconstruct(autoencoder, path, megapixels_at_once=0.0)


@pytest.mark.slow
def test_three_seconds_give_both_halves_and_the_whole_clips_figures(autoencoder: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", scene(71), fps=24, codec="ffv1", pixel_format="bgr0")
    (row,) = reconstruct(autoencoder, path)
    made, psnr, ssim = whole_clip(autoencoder, scene(71))
    assert row.quality.num_frames == 71
    assert row.quality.psnr == pytest.approx(psnr, abs=1e-3)
    assert row.quality.ssim == pytest.approx(ssim, abs=1e-5)
    assert row.compression == pytest.approx(71 * 32 * 48 * 3 / (19 * 4 * 6 * 4))
    video = decode_clip(row.video.read_bytes())
    assert video.shape == (71, 32, 96, 3)
    left, right = np.split(video, 2, axis=2)
    assert np.abs(left.astype(int) - scene(71)).mean() < 4
    assert np.abs(luma(right) - luma(made)).mean() < 4  # it looks like noise, whose colours 4:2:0 does not keep
    assert np.abs(luma(right) - luma(left)).mean() > 20


def test_the_video_plays_in_browsers_and_says_what_it_is(autoencoder: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "ü.mkv", scene(7), fps=24, codec="ffv1", pixel_format="bgr0")
    (row,) = reconstruct(autoencoder, path, fps=12.5)
    assert row.video == tmp_path / "out/ü.mp4"
    data = row.video.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    info = probe(row.video)
    assert (info.codec, info.pixel_format, info.num_frames, info.average_fps) == ("h264", "yuv420p", 4, 12.5)
    assert read_metadata(row.video) == {
        "source": "ü.mkv", "left": "original", "right": "reconstruction",
        "autoencoder_sha256": weights_digest(autoencoder), "precision": "fp32",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((36, 50), {}, (32, 48)),
        ((36, 50), {"size": (24, 16)}, (24, 16)),
        ((32, 1040), {}, (16, 512)),  # halved nearly: 15.75 rows of 512 pixels
        ((17, 18), {}, (16, 16)),
    ],
)
def test_sizes(
    autoencoder: Path, tmp_path: Path, shape: tuple[int, int], options: dict[str, object], expected: tuple[int, int]
) -> None:
    path = write_video(tmp_path / "a.mkv", counter(2, *shape), codec="ffv1", pixel_format="bgr0")
    (row,) = reconstruct(autoencoder, path, **options)
    assert row.size == expected
    assert max(row.size) <= LONGEST_SIDE
    assert decode_clip(row.video.read_bytes()).shape == (2, expected[0], 2 * expected[1], 3)


def test_the_centre_is_cropped_and_not_resampled(autoencoder: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", scene(3, 37, 51), codec="ffv1", pixel_format="bgr0")
    (row,) = reconstruct(autoencoder, path)
    _, psnr, ssim = whole_clip(autoencoder, np.ascontiguousarray(scene(3, 37, 51)[:, 2:34, 1:49]))
    assert (row.quality.psnr, row.quality.ssim) == (pytest.approx(psnr, abs=1e-4), pytest.approx(ssim, abs=1e-6))


def test_only_the_first_seconds_if_wanted(autoencoder: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter(48), fps=24)
    (row,) = reconstruct(autoencoder, path, seconds=0.5)
    assert row.quality.num_frames == 12


def test_an_image_is_a_video_of_one_frame(autoencoder: Path, tmp_path: Path) -> None:
    Image.fromarray(scene(1)[0]).save(tmp_path / "a.png")
    (row,) = reconstruct(autoencoder, tmp_path / "a.png")
    _, psnr, _ = whole_clip(autoencoder, scene(1))
    assert row.quality.num_frames == 1
    assert row.quality.psnr == pytest.approx(psnr, abs=1e-4)
    assert decode_clip(row.video.read_bytes()).shape == (1, 32, 96, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fps", "size"),
    [
        ("clips/misc/ios9.mov", 30, (512, 288)),  # stored lying, shown upright
        ("clips/kinetics/arm wrestling/demo.mp4", 28, (256, 424)),  # 340 x 256 pixels that are wider than high
        ("clips/misc/var_fps_video.mp4", 30, (128, 128)),
        ("clips/ucf101/Basketball/v_Basketball_g01_c01.avi", Fraction(30000, 1001), (240, 320)),
        ("images/wnid/n02123045/chelsea.png", 1, (296, 448)),
    ],
)
def test_real_files(autoencoder: Path, name: str, fps: Fraction | int, size: tuple[int, int]) -> None:
    path = shared_data() / name
    (row,) = reconstruct(autoencoder, path, seconds=0.03)  # its first frame: these are large
    assert (row.size, row.quality.num_frames) == (size, 1)
    assert probe(row.video).average_fps == fps
    if path.suffix != ".png":
        (clip,) = read_clips(path, num_frames=1, fps=8, sizes=[size], max_clips=1, limits=_LIMITS)
        upright = luma(clip.frames[size][0])
        left = luma(decode_clip(row.video.read_bytes())[0, :, : size[1]])
        assert np.abs(left - upright).mean() < 6  # cropped where that was resampled: nearly the same picture
        assert np.abs(left[::-1, ::-1] - upright).mean() > 20


def luma(frames: Frames) -> NDArray[np.float64]:
    """What 4:2:0 keeps of a picture that is sharp or noisy."""
    return frames @ np.array([0.299, 0.587, 0.114])


# ------------------------------------------------------------------------------------------------ learned distances


def test_a_classifiers_logits_are_compared(
    autoencoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1], layer_type="basic", num_labels=5)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "resnet")
    path = write_video(tmp_path / "a.mp4", scene(5))
    (row,) = reconstruct(autoencoder, path, perceptual=tmp_path / "resnet")
    assert row.quality.perceptual is not None
    assert row.quality.perceptual > 0
    assert f"{row.quality.perceptual:.4g}" in capsys.readouterr().out


@pytest.mark.slow
def test_the_frechet_distance_is_over_all_good_files(
    autoencoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that breaks off after a whole clip leaves no trace in it."""
    network = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(FakeI3D()), str(network))
    good = [write_video(tmp_path / "a.mp4", scene(40)), write_video(tmp_path / "b.mp4", scene(60, 48, 32)[20:])]
    i3d = {"i3d": network, "i3d_sha256": sha256_file(network)}

    def line(*files: Path) -> str:
        reconstruct(autoencoder, *files, **i3d)
        return next(text for text in capsys.readouterr().out.splitlines() if text.startswith("reconstruction FVD"))

    expected = line(*good)
    assert "(4 clips of 17 frames; too few for 400 features" in expected
    too_short = "left out, as it needs two clips of 17 frames, and there are 0"
    assert too_short in line(write_video(tmp_path / "c.mp4", scene(9)))
    with pytest.raises(RejectLimitError):
        reconstruct(autoencoder, good[0], cut_file(tmp_path), good[1], **i3d)
    assert expected in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ what goes wrong


def cut_file(folder: Path) -> Path:
    """A video whose header promises 72 frames, of which about 40 are there."""
    noise = np.random.default_rng(0).integers(0, 256, (72, 32, 32, 3), dtype=np.uint8)
    whole = write_video(folder / "whole.mp4", noise, container={"movflags": "+faststart"}, options={"bf": "0"})
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    return folder / "cut.mp4"


@pytest.mark.slow
def test_bad_files_are_named_and_the_others_are_done(autoencoder: Path, tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mkv", scene(5))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.png").write_text("no picture")
    write_video(tmp_path / "small.mkv", counter(2, 10, 64), codec="ffv1", pixel_format="bgr0")
    names = ["empty.mp4", "text.png", "small.mkv"]
    files = [*(tmp_path / name for name in names), cut_file(tmp_path), good]
    result = CliRunner().invoke(
        app, ["reconstruct", *map(str, files), "--autoencoder", str(autoencoder), "--out", str(tmp_path / "out")]
    )
    assert isinstance(result.exception, RejectLimitError)
    assert result.exception.exit_status == 3
    assert "4 of 5 files" in str(result.exception)
    warnings = [line for line in result.output.splitlines() if line.startswith("warning:")]
    assert [line.split(": ")[2] for line in warnings] == ["empty", "format", "too_small", "truncated"]
    assert [line.split("/")[-1].split(":")[0] for line in warnings] == [*names, "cut.mp4"]
    assert any(line.split()[:3] == ["good.mkv", "32x48", "5"] for line in result.output.splitlines())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.mp4"]


def test_a_file_without_a_rate_needs_one(
    autoencoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from walt.commands.reconstruct import files as stage

    path = write_video(tmp_path / "a.mp4", scene(5))
    monkeypatch.setattr(stage, "probe", lambda file: replace(probe(file), constant_fps=None))
    with pytest.raises(RejectLimitError):
        reconstruct(autoencoder, path)
    assert "a.mp4: no_rate: " in capsys.readouterr().out
    assert reconstruct(autoencoder, path, fps=24)[0].quality.num_frames == 5


def test_files_of_one_name_are_numbered(autoencoder: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    files = [tmp_path / "a.mp4", tmp_path / "sub/a.mp4", tmp_path / "a-2.mp4"]
    for file in files:
        write_video(file, scene(1))
    assert [row.video.name for row in reconstruct(autoencoder, *files)] == ["a.mp4", "a-2.mp4", "a-2-2.mp4"]


def test_a_source_is_never_overwritten(autoencoder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = write_video(tmp_path / "out/a.mp4", scene(1))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is one of the files"):
        reconstruct(autoencoder, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fps": 0.0}, ConfigurationError, "--fps: 0.0 is not a number above 0"),
        ({"fps": 1e9}, ConfigurationError, r"--fps: 1000000000\.0 is more than 1000"),
        ({"fps": math.inf}, ConfigurationError, "--fps"),
        ({"seconds": -1.0}, ConfigurationError, "--seconds"),
        ({"size": (12, 16)}, ConfigurationError, "--size: 12x16: sides must be multiples of 8"),
        ({"size": (8, 16)}, ConfigurationError, "11 at least"),
        ({"i3d": Path("i3d.pt")}, ConfigurationError, "belong together"),
        ({"i3d": Path("absent.pt"), "i3d_sha256": "0"}, ConfigurationError, "no file 'absent.pt'"),
        ({"i3d": Path(__file__), "i3d_sha256": "0"}, CorruptArtifactError, "sha256"),
        ({"perceptual": Path("absent")}, ConfigurationError, "absent"),
        ({"autoencoder": Path("absent")}, StorageError, "no model here"),
        ({"files": [Path("absent.mp4")]}, ConfigurationError, "no file 'absent.mp4'"),
    ],
)
def test_wrong_arguments_are_found_before_any_work(
    autoencoder: Path, tmp_path: Path, options: dict[str, object], error: type[WaltError], message: str
) -> None:
    path = write_video(tmp_path / "a.mp4", scene(1))
    arguments = {"files": [path], "autoencoder": autoencoder, "out": tmp_path / "out"} | options
    with pytest.raises(error, match=message):
        run(Request(**arguments))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_size_is_height_times_width() -> None:
    assert parse_size("128x96") == (128, 96)
    for text in ("128", "128x", "x96", "0x8", "128*96", "-8x8", "8x8x8", ""):
        with pytest.raises(ConfigurationError, match="--size"):
            parse_size(text)


# ------------------------------------------------------------------------------------------------ memory

MEASURE = """
import json, resource, sys
from pathlib import Path
from walt.core import environment
environment.set_defaults()
import torch
from walt.evaluation import reconstruction
from walt.commands.reconstruct.files import Request, run

def peak():
    # not getrusage: its maximum begins with the size of the process that started this one, a test run of gigabytes
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

def measure(file):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before = peak()
    (row,) = run(Request([Path(file)], Path(model), Path(out)))
    ffmpeg = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"before": before, "peak": peak(), "frames": row.quality.num_frames, "ffmpeg": ffmpeg}

model, out, first, *files, last = sys.argv[1:]
measure(first)  # one frame: what is loaded and set up on first use
found = [measure(file) for file in files]
reconstruction.chunk_frames = lambda config, size, megapixels: 10**6
print(json.dumps([*found, measure(last)]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """From file to side-by-side video: 60 seconds take no more than 1.2 times what 5 seconds take.

    That holds of the peak; and what is above the process's size before grows by less than a tenth of what 40 seconds at
    once add, which show that the measurement sees the activations. One process does all, since most of its time goes
    into its imports.
    """
    model = CausalAutoencoder(AUTOENCODER.model_copy(update={"base_channels": 16}))
    save_autoencoder(tmp_path / "model", model, LatentStatistics(torch.zeros(4), torch.ones(4), 8))
    frames = np.tile(scene(48, 32, 32), (10, 1, 1, 1))
    lengths = (1, 8 * 5, 8 * 60, 8 * 40)
    files = [tmp_path / f"{length}.mp4" for length in lengths]
    for file, length in zip(files, lengths, strict=True):
        write_video(file, frames[:length], fps=8, pixel_format="yuv420p")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "model"), str(tmp_path / "out"), *map(str, files)]
    settled = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "1"}  # what is freed goes back at once
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | settled)
    measured: list[dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
    assert tuple(figures["frames"] for figures in measured) == lengths[1:]
    short, long, whole = measured
    above = {name: run["peak"] - run["before"] for name, run in (("short", short), ("long", long), ("whole", whole))}
    print({"peak": (short["peak"], long["peak"], whole["peak"]), "above": above})
    assert long["peak"] <= 1.2 * short["peak"]
    assert long["ffmpeg"] <= 1.2 * short["ffmpeg"]
    assert above["long"] - above["short"] <= 0.1 * (above["whole"] - above["short"])
    assert above["whole"] > 2 * above["short"]
