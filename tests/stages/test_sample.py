"""The stage sample, on untrained models of a few thousand weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.settings import compute_settings
from tests.support.text_project import rows
from tests.support.tiny_clips import ROWS, picture, write_clips
from tests.support.tiny_models import BASE, DIFFUSION, ENCODE_VIDEO, SAMPLE, drawn, write_models
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.data.captions import Caption
from walt.data.clip_pixels import pixels
from walt.data.manifest import write_manifest
from walt.data.shapes import prompts
from walt.ingest.config import DatasetConfig
from walt.media.mp4 import decode_clip
from walt.media.playable import read_metadata
from walt.nn.pretrained import weights_digest
from walt.project.registry import get_stage
from walt.sampling.samples import read_samples, sets_of
from walt.sampling.sets import seed_of_set
from walt.stages.sample import Beginnings, Config, choose_prompts, load_pipeline, run
from walt.transformer.model import WaltTransformer, save_transformer

COMPUTE = compute_settings(workers=1)
REPOSITORY = Path(__file__).resolve().parents[2]


def config(**changes: Any) -> Config:
    return Config(
        seed=0,
        diffusion=DIFFUSION,
        dataset=DatasetConfig(descriptor=str(REPOSITORY / "datasets/shapes.yaml"), path="data/shapes"),
        encode_video=ENCODE_VIDEO,
        sample=SAMPLE.model_copy(update=changes),
        compute=COMPUTE,
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    root = tmp_path_factory.mktemp("project")
    write_models(root)
    return Paths(root)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_config_has_what_the_registry_declares() -> None:
    stage = get_stage("sample")
    assert set(Config.model_fields) == {*stage.params, *stage.settings}


@pytest.mark.slow
def test_files_and_metadata(paths: Paths) -> None:
    result = run(config(prompts="adherence", count=3), paths)
    assert result == {"videos": 3, "steps": 4, "size": "32x32"}
    names = ["00000", "00001", "00002"]
    assert set(content(paths.samples)) == {
        "grid.png", "samples.json",
        *(f"{folder}{name}.{kind}" for folder in ("", "base/") for name in names for kind in ("mp4", "png")),
        *(f"{folder}lossless/{name}.mp4" for folder in ("", "base/") for name in names),
    }  # fmt: skip
    samples = read_json(paths.samples / "samples.json")
    assert [sample["prompt"] for sample in samples] == prompts(3, 0)
    for sample in samples:
        video = paths.samples / sample["file"]
        about = {key: sample[key] for key in ("prompt", "seed", "repeat", "index", "settings", "models")}
        assert read_metadata(video) == about
        assert about["settings"]["steps"] == 4
        assert about["models"]["base"] == weights_digest(paths.base)
        assert decode_clip(video.read_bytes()).shape == (5, 32, 32, 3)
        assert decode_clip((paths.samples / sample["base_file"]).read_bytes()).shape == (5, 16, 16, 3)
        for name in ("", "base_"):
            playable, lossless = (
                decode_clip((paths.samples / sample[f"{name}{kind}file"]).read_bytes()) for kind in ("", "lossless_")
            )
            assert playable.shape == lossless.shape
            assert not np.array_equal(playable, lossless), "colours are of half the resolution in the playable one"


@pytest.mark.slow
def test_same_inputs_same_bytes(paths: Paths) -> None:
    run(config(), paths)
    first = content(paths.samples)
    run(config(), paths)
    assert content(paths.samples) == first


def test_without_a_cascade(paths: Paths) -> None:
    run(config(cascade=False, prompts=("a red circle",)), paths)
    assert set(content(paths.samples)) == {
        "grid.png", "samples.json", "00000.mp4", "00000.png", "lossless/00000.mp4",
    }  # fmt: skip
    assert read_json(paths.samples / "samples.json")[0]["base_file"] is None


def test_prompts_of_held_out_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = rows(["one", "two", None, "three", "two"])
    held_out = [replace(row, split="held_out") if row.caption != "one" else row for row in manifest]
    write_manifest(tmp_path / "data/manifest", [(0, held_out)])
    held = config(prompts="held_out", count=5)
    found = choose_prompts(held, Paths(tmp_path))
    assert {*found[:2]} == {"two", "three"}
    assert found == [*found[:2], *found[:2], found[0]], "each once, and then again"
    assert "warning" not in capsys.readouterr().out

    write_manifest(tmp_path / "data/manifest", [(0, manifest)])
    found = choose_prompts(held, Paths(tmp_path))
    assert {*found[:3]} == {"one", "two", "three"}
    assert found[3:] == found[:2]
    assert "warning: sample.prompts is held_out, but no held-out video has a caption" in capsys.readouterr().out

    write_manifest(tmp_path / "data/manifest", [(0, rows([None, None]))])
    with pytest.raises(ConfigurationError, match="no video has a caption"):
        choose_prompts(held, Paths(tmp_path))


def test_held_out_prompts_are_the_stated_captions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (
        (Caption("short", "one"), Caption("dense", "one and more")),
        (Caption("dense", "two and more"), Caption("short", "two")),
        (Caption("short", "three"),),
        None,
    )
    held_out = [replace(row, split="held_out") for row in rows(given)]
    write_manifest(tmp_path / "data/manifest", [(0, held_out)])

    def prompts_of(caption: str | None) -> set[Any]:
        return {*choose_prompts(config(prompts="held_out", count=3, caption=caption), Paths(tmp_path))}

    assert prompts_of(None) == {"one", "two and more", "three"}, "the first of each"
    assert prompts_of("short") == {"one", "two", "three"}
    assert "warning" not in capsys.readouterr().out
    assert prompts_of("dense") == {"one and more", "two and more", "three"}
    said = "warning: sample.caption: 1 of the clips have no caption 'dense': the first of each is the prompt"
    assert said in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ConfigurationError, match=r"^sample\.caption: no caption is called 'long' \(names: dense"):
        prompts_of("long")


@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_warned_of(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    long = "a red circle moving left and a green square moving right"
    run(config(prompts=("a red circle", long), cascade=False), paths)
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: 1 of 2 prompts is longer than text.max_tokens 8: the rest is cut off; the longest has 1" in said
    run(config(prompts=("a red circle moving left",), cascade=False), paths)
    assert "warning" not in capsys.readouterr().out


def test_a_prompt_in_letters_that_the_encoder_lacks_is_warned_of(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config(prompts=("a red circle", "一只猫"), cascade=False), paths)
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: 1 of 2 prompts holds what the text encoder's vocabulary lacks" in said
    assert "from each other: 一只猫" in said


def test_adherence_prompts_need_a_dataset_that_has_them(tmp_path: Path) -> None:
    descriptor = (REPOSITORY / "datasets/shapes.yaml").read_text().replace("adherence: shapes", "adherence: null")
    (tmp_path / "other.yaml").write_text(descriptor)
    asking = config(prompts="adherence").model_copy(
        update={"dataset": DatasetConfig(descriptor="other.yaml", path=".")}
    )
    with pytest.raises(ConfigurationError, match=r"other\.yaml"):
        choose_prompts(asking, Paths(tmp_path))


def test_an_empty_list_of_prompts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"sample\.prompts"):
        choose_prompts(config(prompts=()), Paths(tmp_path))


def test_classes_come_in_turn(tmp_path: Path) -> None:
    assert choose_prompts(config(prompts="classes", count=5), Paths(tmp_path), num_classes=3) == [0, 1, 2, 0, 1]
    assert choose_prompts(config(prompts="none", count=2), Paths(tmp_path)) == [None, None]
    with pytest.raises(ConfigurationError, match=r"sample\.prompts is classes, but base\.conditioning is not class"):
        choose_prompts(config(prompts="classes"), Paths(tmp_path))


def test_classes_as_often_as_in_the_training_clips(tmp_path: Path) -> None:
    labels, held = [1, 1, 1, 4], [2, 2]
    clips = [replace(row, label=label) for row, label in zip(rows([None] * 6), labels + held, strict=True)]
    clips = [replace(row, split="held_out") if row.label == 2 else row for row in clips]
    write_manifest(tmp_path / "data/manifest", [(0, clips)])
    found = choose_prompts(config(prompts="training_classes", count=8), Paths(tmp_path), num_classes=5)
    assert sorted(found, key=str) == [1] * 6 + [4] * 2
    write_manifest(tmp_path / "data/manifest", [(0, rows([None]))])
    with pytest.raises(ConfigurationError, match="no training clip has a class"):
        choose_prompts(config(prompts="training_classes"), Paths(tmp_path), num_classes=5)


@pytest.mark.slow
def test_each_repeat_has_noise_of_its_own_which_no_other_seed_has(paths: Paths) -> None:
    given = config(prompts=("a red circle", "a blue square", "a white star"), cascade=False, batch_size=2)
    alone = {}
    for seed in (0, 1, seed_of_set(0, 1)):
        run(given.model_copy(update={"seed": seed}), paths)
        alone[seed] = [decode_clip(file.read_bytes()) for file in sorted(paths.samples.glob("lossless/*.mp4"))]
    run(given.model_copy(update={"sample": given.sample.model_copy(update={"repeats": 2})}), paths)
    samples = read_json(paths.samples / "samples.json")
    made = [(sample["file"], sample["seed"], sample["repeat"], sample["index"]) for sample in samples]
    assert made == [(f"{number:05d}.mp4", 0, number // 3, number % 3) for number in range(6)]
    assert sets_of(read_samples(paths.samples)) == [(0, 0)] * 3 + [(0, 1)] * 3
    assert {sample.arithmetic for sample in read_samples(paths.samples)} == {"fp32"}
    for number, sample in enumerate(samples):
        video = decode_clip((paths.samples / sample["lossless_file"]).read_bytes())
        assert np.array_equal(video, alone[seed_of_set(0, number // 3)][number % 3])
        if number >= 3:
            assert not np.array_equal(video, alone[1][number % 3]), "seed 1 makes other videos than the second set"
        assert sample["prompt"] == given.sample.prompts[number % 3]


def test_prompts_that_the_model_does_not_take(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match=r"sample\.prompts is classes, but base\.conditioning is not class"):
        run(config(prompts="classes"), paths)


def test_a_model_of_texts_without_a_prompt(paths: Paths) -> None:
    """Its prompt is the empty caption, as that of clips without one."""
    run(config(prompts="none", count=2, cascade=False), paths)
    assert [sample.prompt for sample in read_samples(paths.samples)] == ["", ""]


@pytest.mark.slow
def test_a_model_of_classes(tmp_path: Path) -> None:
    write_models(tmp_path)
    update = {"conditioning": "class", "num_classes": 2, "text_width": None, "cross_attention": None}
    save_transformer(Paths(tmp_path).base, drawn(WaltTransformer(BASE.model_copy(update=update)), 4))
    run(config(prompts="classes", count=3, cascade=False), Paths(tmp_path))
    assert [sample.prompt for sample in read_samples(Paths(tmp_path).samples)] == ["class 0", "class 1", "class 0"]


@pytest.mark.slow
def test_videos_begin_as_held_out_clips_do(tmp_path: Path) -> None:
    """And have the conditions of those clips; clips that are held out in another size only cannot be used."""
    paths = Paths(tmp_path)
    write_models(tmp_path)
    update = {"frame_prediction": True, "latent_grid": (3, 2, 2), "spatiotemporal_window": (3, 2, 2)}
    save_transformer(paths.base, drawn(WaltTransformer(BASE.model_copy(update=update)), 4))
    large: dict[str, Any] = {"split": "held_out", "sizes": "32x32"}
    write_clips(paths.clips, tuple(replace(row, **large) if row.key == "v1" else row for row in ROWS))  # of 5 frames
    one, two = rows(["one", "two"])
    manifest = [replace(one, key="v3", split="held_out"), replace(two, key="v1", **large)]
    write_manifest(paths.manifest, [(0, manifest)])
    for beginning, given in (("image", 1), ("video", 5)):
        run(config(prompts="held_out", count=2, cascade=False, beginning=beginning), paths)
        made = read_samples(paths.samples)
        assert [(sample.prompt, sample.begins_as) for sample in made] == [("one", "v3")] * 2
        first, second = (decode_clip(sample.path.read_bytes()) for sample in made)
        assert first.shape == second.shape == (9, 16, 16, 3)
        differences = abs(first.astype(int) - second).mean((1, 2, 3))
        assert differences[:given].max() < differences[given:].min()  # its own noise, except in the given frames
        pipeline = load_pipeline(SAMPLE.model_copy(update={"cascade": False}), ENCODE_VIDEO, DIFFUSION, COMPUTE, paths)
        given_frames = Beginnings(config(cascade=False, beginning=beginning).sample, 0, paths, pipeline).of([0, 1])
        assert given_frames is not None
        for video in given_frames.cascade[0]:
            torch.testing.assert_close(video, pixels([picture("v3", 16)[:given]])[0], atol=0.02, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("cascade", "expected"), [(False, ["v0", "v1", "v3"]), (True, ["v1", "v3"])])
def test_prompts_are_those_of_the_clips_that_videos_begin_as(
    tmp_path: Path, cascade: bool, expected: list[str]
) -> None:
    """Not of clips that are stored in other sizes only, in the order in which clips are drawn: whatever that of the
    manifest, and of each recording one before a second one of any."""
    paths = Paths(tmp_path)
    write_models(tmp_path)
    update = {"frame_prediction": True, "latent_grid": (3, 2, 2), "spatiotemporal_window": (3, 2, 2)}
    save_transformer(paths.base, drawn(WaltTransformer(BASE.model_copy(update=update)), 4))
    stored = {"v0": "16x16", "v1": "16x16,32x32", "v2": "32x32", "v3": None}
    clips = [replace(row, split="held_out", sizes=stored[row.key]) for row in ROWS if row.key in stored]
    write_clips(paths.clips, tuple(clips))
    manifest = [replace(row, key=clip.key, split="held_out", sizes=clip.sizes, label=number, group="ab"[number // 3],
                        captions=(Caption("short", "x"), Caption("dense", f"clip {clip.key}")))
                for number, (row, clip) in enumerate(zip(rows([None] * 4), clips, strict=True))]  # fmt: skip
    write_manifest(paths.manifest, [(0, manifest[::-1])])
    settings = config(prompts="held_out", count=4, cascade=cascade, beginning="image", caption="dense")
    pipeline = load_pipeline(settings.sample, ENCODE_VIDEO, DIFFUSION, COMPUTE, paths)
    sizes = pipeline.resolutions(cascade)
    captions = choose_prompts(settings, paths, sizes=sizes)
    assert {*captions} == {f"clip {key}" for key in expected}
    assert captions[len(expected) :] == captions[: 4 - len(expected)], "each once, and then again"
    assert "clip v3" in captions[:2], "the recording of its own, though two clips of the other have smaller keys"
    classes = choose_prompts(settings, paths, num_classes=4, sizes=sizes)
    assert classes == [int(caption[-1]) for caption in captions if isinstance(caption, str)]
    given_frames = Beginnings(settings.sample, settings.seed, paths, pipeline).of(range(4))
    assert given_frames is not None
    for size, given in zip(sizes, given_frames.cascade, strict=True):
        for video, caption in zip(given, captions, strict=True):
            frame = pixels([picture(str(caption)[-2:], size[0])[:1]])[0]
            torch.testing.assert_close(video, frame, atol=0.02, rtol=0)


def test_a_beginning_needs_a_model_and_a_clip(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"base\.frame_prediction is false"):
        run(config(beginning="image", cascade=False), paths)


@pytest.mark.slow
def test_a_clip_of_the_manifest_that_is_not_stored(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_models(tmp_path)
    save_transformer(paths.base, drawn(WaltTransformer(BASE.model_copy(update={"frame_prediction": True})), 4))
    write_clips(paths.clips)
    write_manifest(paths.manifest, [(0, [replace(row, split="held_out") for row in rows(["one"])])])
    with pytest.raises(CorruptArtifactError, match=r"16x16: it does not have the clip \w+, which .*manifest has"):
        run(config(beginning="image", cascade=False), paths)
