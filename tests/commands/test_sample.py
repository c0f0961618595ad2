"""``walt sample`` with options, on untrained models of a few thousand weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from tests.support.media import counter, read_counter, write_video
from tests.support.sample_project import sample_project
from walt.cli import app
from walt.commands.sample import generate
from walt.commands.sample.generate import Request, load_project, run
from walt.core.config import read_yaml
from walt.core.errors import ConfigurationError
from walt.core.left_out import METRICS_FILE
from walt.core.paths import Paths
from walt.core.storage import write_json
from walt.media.mp4 import decode_clip
from walt.media.playable import read_metadata
from walt.nn.pretrained import weights_digest
from walt.project.runner import load_params
from walt.sampling.long_video import last_frames, long_video


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def clip(file: Path) -> np.ndarray:
    return decode_clip(file.read_bytes())


@pytest.mark.slow
def test_prompts_and_seeds(plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a green square\n\n  a red circle \n")
    request = Request(prompts=("a red circle",), prompts_file=file, seed=7, count=2, steps=3, out=tmp_path / "out")
    written = run(request, plain)
    assert sorted(path.name for path in written) == names(tmp_path / "out") == [
        f"a-{subject}-seed{seed}.{kind}"
        for subject in ("green-square", "red-circle") for seed in (7, 8) for kind in ("mp4", "png")
    ]  # fmt: skip
    about = read_metadata(tmp_path / "out/a-red-circle-seed8.mp4")
    assert (about["prompt"], about["seed"], about["settings"]["steps"]) == ("a red circle", 8, 3)
    assert about["models"]["base"] == weights_digest(Paths(plain).base)
    assert set(about["models"]) == {"base", "sr_2x", "autoencoder", "text_encoder"}
    assert (about["frames"], about["size"], about["source"]) == (5, "32x32", None)
    assert clip(tmp_path / "out/a-red-circle-seed8.mp4").shape == (5, 32, 32, 3)

    first = content(tmp_path / "out")
    run(request, plain)
    assert content(tmp_path / "out") == first

    # what a video is depends on its prompt and its seed, not on what else was requested
    run(Request(prompts=("a red circle",), seed=8, steps=3, out=tmp_path / "alone"), plain)
    alone, together = (clip(tmp_path / name / "a-red-circle-seed8.mp4").astype(int) for name in ("alone", "out"))
    assert np.abs(alone - together).mean() < 0.5  # another batch size rounds otherwise
    other = clip(tmp_path / "out/a-red-circle-seed7.mp4").astype(int)
    assert np.abs(other - together).mean() > 2


def test_the_folder_is_samples_and_the_stages_files_stay(plain: Path) -> None:
    assert generate.FOLDER == "samples"
    (written,) = run(Request(prompts=("a cat",), formats=("gif",), cascade=False), plain)
    assert written == plain / "samples/a-cat-seed0.gif"
    assert not Paths(plain).samples.exists()
    with Image.open(written) as image:
        assert (image.n_frames, image.size) == (5, (16, 16))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_settings_reach_the_sampler(plain: Path, tmp_path: Path) -> None:
    def video(**changes: Any) -> np.ndarray:
        (file, _) = run(Request(prompts=("a cat",), out=tmp_path, cascade=False, **changes), plain)
        return clip(file).astype(int)

    usual = video()
    assert np.array_equal(usual, video())
    for changes in (
        {"steps": 2},
        {"guidance": 9.0},
        {"guidance": 9.0, "guidance_rescale": 1.0},
        {"seed": 1},
        {"guidance_schedule": "power_cosine"},
    ):
        changed = video(**changes)
        assert not np.array_equal(usual, changed), changes
    assert not np.array_equal(video(guidance=9.0), video(guidance=9.0, guidance_rescale=1.0))


def test_guidance_is_by_prompt_and_frames_unless_these_have_their_own(plain: Path) -> None:
    params = load_params(plain)
    for request, scales in (
        (Request(), (2.0, 2.0)),
        (Request(guidance=5.0), (5.0, 5.0)),
        (Request(guidance=5.0, frame_guidance=1.5), (5.0, 1.5)),
        (Request(frame_guidance=1.5), (2.0, 1.5)),
    ):
        settings = generate.settings_of(request, params)
        assert (settings.guidance_scale, settings.frame_guidance_scale) == scales
        assert settings.steps == params.sample.steps


@pytest.mark.slow
def test_the_bar_counts_model_evaluations(frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Request(prompts=("a cat", "a dog"), seconds=2.2, count=3, steps=2, formats=("grid",), out=tmp_path), frames)
    assert "sample: 48/48 model steps" in capsys.readouterr().out  # 6 videos, 2 parts, 2 models, 2 steps


def test_names_distinguish_prompts() -> None:
    def name(prompt: str | int, **rest: Any) -> str:
        return generate._name(Request(**rest), prompt, 3)

    assert name("a red circle") == "a-red-circle-seed3"
    assert name(12) == "class-12-seed3"
    assert name("", image=Path("x/my cat.png")) == "my-cat-seed3"
    assert name("it runs", continued=Path("x/cat.mp4")) == "cat-it-runs-seed3"
    long = "word " * 100
    odd = ["a red, circle", "a red circle.", "a/red/circle", long + "a", long + "b", "../..", "ein M\u00e4dchen!"]
    found = [name(prompt) for prompt in odd]
    assert len({*found, "a-red-circle-seed3"}) == len(odd) + 1
    assert all("/" not in text and not text.startswith(".") and len(text) < 90 for text in found)


@pytest.mark.slow
def test_an_image_is_brought_to_life(frames: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (4, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    Image.fromarray(picture).save(tmp_path / "in.png")
    request = Request(prompts=("it moves",), image=tmp_path / "in.png", out=tmp_path / "out", count=2)
    video = run(request, frames)[0]
    assert video.name == "in-it-moves-seed0.mp4"
    assert clip(video).shape == (17, 32, 32, 3)
    assert read_metadata(video)["source"]["file"] == "in.png"
    pipeline, settings = load_project(frames)
    beginning = generate.read_image(tmp_path / "in.png", pipeline, cascade=True)
    assert [frame.shape for frame in beginning.cascade] == [(1, 3, 1, side, side) for side in (16, 32)]
    rendered = pipeline.decode(pipeline.encode(beginning.cascade[-1]), "fp32")
    batch = pipeline(["it moves"], 0, settings, beginning=beginning)
    assert np.allclose(batch.videos[:, :, :1], rendered, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "added"), [(None, 12), (1.6, 24)])
def test_a_video_is_continued(frames: Path, tmp_path: Path, seconds: float | None, added: int) -> None:
    given = write_video(tmp_path / "given.mp4", counter(11, 32, 32), fps=8)
    (video,) = run(Request(continued=given, seconds=seconds, formats=("mp4",), out=tmp_path / "out"), frames)
    assert video.name == "given-seed0.mp4"
    made = clip(video)
    assert made.shape == (11 + added, 32, 32, 3)
    assert read_counter(made[:11]) == list(range(11))
    assert read_metadata(video)["frames"] == 11 + added


@pytest.mark.slow
def test_a_long_video_from_a_prompt_and_its_parts_in_python(frames: Path, tmp_path: Path) -> None:
    (video,) = run(Request(prompts=("a cat",), seconds=2.2, formats=("mp4",), out=tmp_path), frames)
    assert clip(video).shape == (29, 32, 32, 3)  # 2.2 s are 18 frames
    pipeline, settings = load_project(frames)
    batch = pipeline(["a cat"], 0, settings)
    more = list(long_video(pipeline, ["a cat"], 0, settings, parts=1, beginning=last_frames(pipeline, batch.cascade)))
    assert more[0].videos.shape == (1, 3, 12, 32, 32)


def test_without_frame_prediction_the_setting_is_named(plain: Path, tmp_path: Path) -> None:
    given = write_video(tmp_path / "given.mp4", counter(11), fps=8)
    Image.new("RGB", (20, 20)).save(tmp_path / "in.png")
    for request in (
        Request(continued=given),
        Request(image=tmp_path / "in.png"),
        Request(prompts=("a cat",), seconds=9),
    ):
        with pytest.raises(ConfigurationError, match=r"^base\.frame_prediction is false [^\n]*$"):
            run(request, plain)


@pytest.mark.slow
def test_stills_are_pictures_of_what_the_images_were(frames: Path, tmp_path: Path) -> None:
    (file,) = run(Request(prompts=("a cat",), seed=3, stills=True, out=tmp_path), frames)
    assert file == tmp_path / "a-cat-seed3.png"
    with Image.open(file) as image:
        assert image.size == (32, 32)
        about = json.loads(image.info["comment"])
    assert (about["prompt"], about["seed"], about["frames"]) == ("a cat", 3, 1)
    first = file.read_bytes()
    run(Request(prompts=("a cat", "a dog"), seed=3, count=2, stills=True, out=tmp_path / "more"), frames)
    assert len(names(tmp_path / "more")) == 4
    with Image.open(file) as one, Image.open(tmp_path / "more/a-cat-seed3.png") as other:
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean() < 0.5
    run(Request(prompts=("a cat",), seed=3, stills=True, out=tmp_path), frames)
    assert file.read_bytes() == first


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seconds": 2.0}, r"^--stills: --seconds is for videos$"),
        ({"formats": ("mp4",)}, r"^--stills: --format is for videos$"),
        ({"image": Path("a.png")}, r"^--stills: --image is for videos$"),
    ],
)
def test_what_is_for_videos_is_refused_for_stills(frames: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run(Request(prompts=("a cat",), stills=True, **given), frames)


@pytest.mark.slow
def test_a_model_of_videos_only_makes_no_stills(tmp_path: Path) -> None:
    root = sample_project(tmp_path)
    file = root / "params.yaml"
    content = read_yaml(file)
    content["train_sr_2x"]["image_fraction"] = 0.0
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=r"train_sr_2x\.image_fraction is 0: sr_2x was trained on videos only"):
        run(Request(prompts=("a cat",), stills=True), root)
    assert run(Request(prompts=("a cat",), stills=True, cascade=False), root)
    write_json(Paths(root).base / METRICS_FILE, {"images": 0})  # its section asked for images; there were none
    with pytest.raises(ConfigurationError, match="no clip was an image when base was trained"):
        run(Request(prompts=("a cat",), stills=True, cascade=False), root)


@pytest.mark.slow
def test_guidance_that_was_not_trained_for_is_refused(tmp_path: Path) -> None:
    root = sample_project(tmp_path)
    file = root / "params.yaml"
    content = read_yaml(file)
    for section in ("train_base", "finetune_aspect"):
        content[section]["condition_dropout"] = 0.0
    content["sample"]["guidance_scale"] = 1.0
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=r"sample.guidance_scale is 3, but finetune_aspect.condition_dropout"):
        run(Request(prompts=("a cat",), guidance=3.0, cascade=False), root)
    assert run(Request(prompts=("a cat",), cascade=False), root)


@pytest.mark.slow
def test_another_aspect(frames: Path, tmp_path: Path) -> None:
    (video,) = run(Request(prompts=("a cat",), aspect="1:2", formats=("mp4",), out=tmp_path), frames)
    assert clip(video).shape == (17, 64, 32, 3)
    assert read_metadata(video)["size"] == "64x32"
    Image.new("RGB", (20, 20)).save(tmp_path / "in.png")
    (video,) = run(
        Request(image=tmp_path / "in.png", aspect="2:1", cascade=False, formats=("mp4",), out=tmp_path), frames
    )
    assert clip(video).shape == (17, 16, 32, 3)


@pytest.mark.slow
def test_classes(tmp_path: Path) -> None:
    update = {"conditioning": "class", "num_classes": 3, "text_width": None, "cross_attention": None}
    root = sample_project(tmp_path, update, update)
    request = Request(classes=(2, 0), formats=("mp4",), out=tmp_path / "out")
    run(request, root)
    assert names(tmp_path / "out") == ["class-0-seed0.mp4", "class-2-seed0.mp4"]
    for wrong, message in (
        (Request(classes=(3,)), "classes are 0 to 2"),
        (Request(prompts=("a cat",)), "base.conditioning is class"),
        (Request(seed=1), "give --class"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            run(wrong, root)


def broken(root: Path) -> Path:
    (root / "broken.mp4").write_bytes(b"no video")
    return root / "broken.mp4"


def short(root: Path) -> Path:
    return write_video(root / "short.mp4", counter(4), fps=8)


def picture(root: Path) -> Path:
    Image.new("RGB", (20, 20)).save(root / "in.png")
    return root / "in.png"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: Request(seed=1), r"^nothing to show: .* give --prompt or --prompts-file$"),
        (lambda root: Request(prompts=("a",), steps=1001), r"^--steps: 1001 is more than diffusion\.num_steps 1000"),
        (lambda root: Request(prompts=("a",), steps=0), r"^--steps: 0 is not a number above 0$"),
        (lambda root: Request(prompts=("a",), guidance_rescale=1.5), r"^--guidance-rescale: 1\.5 is not from 0 to 1$"),
        (lambda root: Request(prompts=("a",), guidance_rescale=math.nan), r"^--guidance-rescale: nan"),
        (lambda root: Request(prompts=("a",), count=0), r"^--count: 0"),
        (lambda root: Request(prompts=("a",), seconds=math.nan), r"^--seconds: nan"),
        (lambda root: Request(prompts=("a",), guidance=math.inf), r"^--guidance: inf is not a number above 0$"),
        (lambda root: Request(prompts=("a",), frame_guidance=0.0), r"^--frame-guidance: 0\.0"),
        (lambda root: Request(prompts=("a",), seed=-1), r"^--seed: -1 is below 0$"),
        (lambda root: Request(classes=(3, -1)), r"^--class: -1 is below 0$"),
        (lambda root: Request(prompts=("a",), formats=("avi",)), r"^--format: 'avi' is not one of mp4, gif, grid$"),
        (lambda root: Request(prompts=("a",), aspect="wide"), r"^--aspect: 'wide'"),
        (lambda root: Request(prompts=("a",), out=root / "results/samples/mine"), r"^--out: results/samples belongs"),
        (lambda root: Request(prompts_file=root / "none.txt"), r"^--prompts-file: .*none\.txt: No such file"),
        (lambda root: Request(classes=(1,)), r"^base\.conditioning is text: the model takes a text, not 'class 1'$"),
        (lambda root: Request(image=picture(root), continued=short(root)), r"^--image and --continue"),
        (lambda root: Request(image=root / "none.png"), r"^no file '.*none\.png'$"),
        (lambda root: Request(image=short(root)), r"short\.mp4: by its name not an image"),
        (lambda root: Request(continued=picture(root)), r"in\.png: by its name not a video"),
        (lambda root: Request(continued=broken(root)), r"broken\.mp4: format: "),
        (lambda root: Request(continued=short(root)), r"short\.mp4: 4 frames at 8 per second, but 5 are needed"),
    ],
)
def test_wrong_options_are_one_line(frames: Path, make: Callable[[Path], Request], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        run(make(frames), frames)
    assert "\n" not in str(caught.value)
    assert not (frames / "samples").exists()


def test_the_command(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plain)
    options = ["--prompt", "a dog", "--prompt", "a cow", "--seed", "4", "--no-cascade", "--format", "gif"]
    result = CliRunner().invoke(app, ["sample", *options, "--steps", "2", "--out", "mine"])
    assert result.exit_code == 0, result.output
    assert names(plain / "mine") == ["a-cow-seed4.gif", "a-dog-seed4.gif"]
    assert "mine/a-dog-seed4.gif" in result.output


@pytest.mark.slow
def test_a_number_that_makes_no_sense_ends_the_command_with_2(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plain)
    for option in ("--seed=-1", "--steps=-3", "--guidance=nan"):
        result = CliRunner().invoke(app, ["sample", "--prompt", "a dog", option, "--out", "senseless"])
        assert isinstance(result.exception, ConfigurationError)
        assert result.exception.exit_status == 2
        assert str(result.exception).startswith(option.partition("=")[0])
    assert not (plain / "senseless").exists()


def test_the_command_without_options_is_the_stage(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plain)
    stages: list[str] = []

    def run_stage(stage: Any, root: Path, choice: None) -> dict[str, Any]:
        stages.append(stage.name)
        return {"videos": 1}

    monkeypatch.setattr("walt.project.runner.run_stage", run_stage)
    assert CliRunner().invoke(app, ["sample"]).exit_code == 0
    assert stages == ["sample"]
