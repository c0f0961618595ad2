"""Protocols: files that are read strictly, and names that say where an evaluation is not what its protocol says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.settings import changed, recipe
from walt.core.errors import ConfigurationError
from walt.evaluation import protocol
from walt.evaluation.config import EvaluateConfig
from walt.evaluation.protocol import (
    FOLDER,
    Found,
    departures,
    frames_left_out,
    label,
    load_protocol,
    measures_of,
    networks_of,
)
from walt.project.code_identity import code_dependencies
from walt.project.recipes import load_recipe

CLASSES = {"class 0": 300, "class 1": 100}
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def config(**changes: Any) -> EvaluateConfig:
    return changed(recipe("demo").evaluate, **changes)


def as_the_demo_is(**changes: Any) -> Found:
    demo: dict[str, Any] = {
        "frames": 17, "size": (64, 64), "fps": 8.0, "real_clips": 256, "samples": 64, "seeds": {0}, "repeats": 1,
        "prompts": ["a red circle"] * 64, "conditioning": "text",
        "training_classes": {}, "beginning": "none", "given_frames": 0,
    }  # fmt: skip
    return Found(**{**demo, **changes})


def test_those_of_the_paper_are_there() -> None:
    assert {"demo", "ucf101_class", "kinetics600_frames", "imagenet_50k", "ucf101_zero_shot", "msrvtt_text"} <= set(
        NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_is_read_and_an_edit_of_it_makes_the_evaluation_stale(name: str) -> None:
    found = load_protocol(name)
    assert found.measures
    assert (FOLDER / f"{name}.yaml").relative_to(Path(protocol.__file__).parents[2]).as_posix() in code_dependencies(
        "walt.stages.evaluate"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("repeats: 1", "repeat: 1", r"demo\.yaml: unknown key 'generated\.repeat'.*did you mean 'repeats'"),
        ("clips: 256", "clips: many", r"demo\.yaml: key 'real\.clips'"),
        ("kid, ", "kdi, ", r"demo\.yaml: key 'measures\.0\.metrics\.1'"),
        ("precision, recall", "inception_score", r"demo\.yaml: .*random_network has no classes"),
        ("precision, recall", "text_similarity", r"demo\.yaml: .*random_network reads no text"),
        ("splits: null", "splits: 10", r"demo\.yaml: .*splits are those of an inception_score"),
    ],
)
def test_a_typo_is_one_line_that_names_the_key(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (FOLDER / "demo.yaml").read_text()
    assert old in text
    (tmp_path / "demo.yaml").write_text(text.replace(old, new))
    monkeypatch.setattr(protocol, "FOLDER", tmp_path)
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_protocol.__wrapped__("demo")
    assert "\n" not in str(caught.value)


def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"^evaluate\.protocol: no protocol is called 'dmeo'.*'demo'"):
        load_protocol("dmeo")


def test_the_bare_name_is_printed_where_all_is_as_it_says() -> None:
    assert departures(config(), as_the_demo_is()) == []
    assert label(config(), []).startswith("demo (")


@pytest.mark.parametrize(
    ("settings", "found", "said"),
    [
        ({"features": "i3d"}, {}, "by i3d"),
        ({}, {"frames": 9, "size": (64, 128)}, "9 frames of 64x128"),
        ({}, {"fps": 25.0}, "25 frames per second"),
        ({}, {"real_clips": 40}, "40 real clips"),
        ({}, {"samples": 8}, "8 samples"),
        ({}, {"seeds": {1}}, "seed 1"),
        ({}, {"beginning": "video"}, "sample.beginning video"),
        ({"protocol": "ucf101_class"}, {"repeats": 2}, "2 of 1 repeats"),
        ({"protocol": "ucf101_zero_shot"}, {}, "1 other prompts"),
        ({"protocol": "ucf101_zero_shot"}, {}, "without 101 of its 101 prompts"),
        ({"protocol": "ucf101_zero_shot"}, {"conditioning": "class"}, "a model of conditioning class"),
        ({"protocol": "ucf101_zero_shot"}, {"prompts": ["a", "b", "b", "b"]}, "not each prompt as often"),
        ({"protocol": "ucf101_class"}, {"conditioning": "class", "prompts": ["class 1", ""]}, "1 samples of no class"),
        (
            {"protocol": "ucf101_class"},
            {"conditioning": "class", "prompts": ["class 0", "class 1"] * 8, "training_classes": CLASSES},
            "classes not as in the training clips",
        ),
        ({"protocol": "imagenet_50k"}, {"prompts": ["class 0"] * 3 + ["class 1"]}, "not each prompt as often"),
        ({"protocol": "kinetics600_frames"}, {"beginning": "video", "given_frames": 9}, "9 given frames"),
        ({"protocol": "imagenet_50k"}, {}, "without the reference statistics"),
        ({"protocol": "kinetics600_frames"}, {}, "sample.beginning none"),
    ],
)
def test_what_differs_is_said_and_is_another_digest(settings: dict[str, Any], found: dict[str, Any], said: str) -> None:
    other = config(**settings)
    differences = departures(other, as_the_demo_is(**found))
    assert said in differences
    assert said in label(other, differences)
    assert label(other, differences).split("(")[-1] != label(other, [])[-13:]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (
            "ucf101_class",
            {"conditioning": "class", "prompts": ["class 0", "class 1", "class 0", "class 0"] * 512,
             "training_classes": CLASSES, "size": (128, 128), "fps": 25.0},
        ),
        (
            "kinetics600_frames",
            {"conditioning": "none", "beginning": "video", "given_frames": 5, "size": (128, 128), "fps": 25.0},
        ),
        (
            "ucf101_zero_shot",
            {"prompts": (load_protocol("ucf101_zero_shot").generated.prompts or ()) * 20, "size": (128, 128)},
        ),
    ],
)  # fmt: skip
def test_samples_of_its_conditions_are_of_the_protocol(name: str, found: dict[str, Any]) -> None:
    as_asked = as_the_demo_is(**{"real_clips": 2048, "samples": 2048, **found})
    assert departures(config(protocol=name), as_asked) == []


def test_a_network_in_place_of_the_protocols_gives_what_it_can() -> None:
    measures = measures_of(config(protocol="ucf101_class", features="random_network"))
    assert [(measure.network, measure.metrics) for measure in measures] == [("random_network", ("frechet_distance",))]
    assert networks_of(config(protocol="ucf101_class")) == ("i3d", "c3d")


def test_given_frames_are_left_out_of_the_evaluation() -> None:
    assert frames_left_out(config(protocol="kinetics600_frames")) == 5
    assert frames_left_out(config()) == 0


@pytest.mark.parametrize("name", ["demo", "ucf101", "kinetics600", "imagenet"])
def test_recipes_make_what_their_protocol_asks_for(name: str) -> None:
    params = load_recipe(name)
    found = load_protocol(params.evaluate.protocol)
    models = [model for _, (model, _) in params.transformers().items()]
    assert found.form is not None
    assert (params.ingest.num_frames, params.sample.fps) == (found.form.frames, found.form.fps)
    assert models[-1].resolution == (found.form.height, found.form.width)
    assert params.sample.count == found.generated.clips
