"""Configuration errors: one line, naming the key and the nearest valid one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.package_copy import ROOT
from walt.core import config
from walt.core.config import load_section, parse_section, read_yaml
from walt.core.errors import ConfigurationError
from walt.ingest.config import Descriptor
from walt.project.params import Params
from walt.project.recipes import recipe_data


def changed(key: str, value: Any) -> dict[str, Any]:
    """The demo's parameters with one key set; ``base.layers`` is a key in a section."""
    data = recipe_data("demo")
    *sections, name = key.split(".")
    place: Any = data
    for section in sections:
        place = place[int(section) if isinstance(place, list) else section]
    place[name] = value
    return data


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("base.layerz", 3, r"unknown key 'base.layerz'; did you mean 'layers'\?"),
        ("train_bse", {}, r"unknown key 'train_bse'; did you mean 'train_base'\?"),
        (
            "train_base.optimizer.lerning_rate",
            1,
            r"'train_base.optimizer.lerning_rate'; did you mean 'learning_rate'\?",
        ),
        ("base.layers", "6", r"key 'base.layers': input should be a valid integer, found '6'"),
        ("base.qk_norm", 1, r"key 'base.qk_norm': input should be a valid boolean, found 1"),
        ("train_base.batch_size", -1, r"key 'train_base.batch_size': input should be greater than 0, found -1"),
        ("train_base.optimizer.learning_rate", "1e-4", r"input should be a valid number, found '1e-4'"),
        ("base.latent_grid", [5, 4, 5], r"spatial_window .* does not divide the token grid"),
        ("base.latent_channels", 4, r"base.latent_channels is 4, but the autoencoder makes 8"),
        ("text.tiny.width", 32, r"base.text_width is 64, but text.tiny.width is 32"),
        ("sample.prompts", "al", r"sample.prompts"),
        ("ingest.sizes", [[32, 32], [64, 64], [36, 36]], r"ingest.sizes: \(36, 36\) is not divisible .* factor 8"),
        ("ingest.sizes", [], r"ingest: sizes and buckets are both empty"),
        ("ingest.buckets", [[[32, 56], [64, 96]]], r"\(64, 96\) and \(32, 56\) are in one bucket but differ in aspect"),
        ("ingest.buckets", [[[32, 56]], [[64, 112]]], r"buckets: the one of \(64, 112\) has the aspect of an earlier"),
        ("ingest.buckets", [[[64, 64]]], r"buckets: \(64, 64\) is one of sizes"),
        ("ingest.buckets", [[]], r"ingest.buckets.0"),
        ("ingest.buckets", [[[32, 60]]], r"ingest.sizes: \(32, 60\) is not divisible"),
        ("ingest.upscale", "never", r"ingest.upscale"),
        ("ingest.stride_seconds", 0, r"ingest.stride_seconds"),
        ("ingest.screen.cut_ratio", 0.5, r"ingest.screen.cut_ratio"),
        ("ingest.screen.duplicate_bits", 9, r"ingest.screen.duplicate_bits"),
        ("ingest.screen.min_motoin", 1, r"'ingest.screen.min_motoin'; did you mean 'min_motion'\?"),
        ("sr_2x.super_resolution.factor", 4, r"sr_2x.resolution is \(64, 64\), but base.resolution .* \(128, 128\)"),
        ("sr_2x.super_resolution.max_noise_level", 1000, r"max_noise_level is 1000, .* diffusion.num_steps 1000"),
        ("sr_2x.super_resolution.sampling_noise_level", 1000, r"sampling_noise_level is 1000, .* diffusion.num_steps"),
        ("sr_2x.super_resolution.sampling_noise_level", 301, r"is 301, above max_noise_level 300: no such noise is tr"),
        ("train_base.self_conditioning_probability", 0.0, r"base.self_conditioning is true, but train_base.self_condi"),
        ("sr_2x.self_conditioning", False, r"self_conditioning_probability is 0.3, which needs sr_2x.self_conditioni"),
        ("train_base.optimizer.betas", [0.9, 1.0], r"'train_base.optimizer.betas.1': input should be less than 1"),
        ("train_base.condition_dropout", 0.0, r"sample.guidance_scale is 2, but train_base.condition_dropout is 0"),
        ("sample.steps", 1001, r"sample.steps is 1001, more than diffusion.num_steps 1000"),
        ("train_base.batch_size", 10**400, r"key 'train_base.batch_size': a whole number of 401 digits is too large$"),
        ("promotion.guards.0.metric", 10**400, r"key 'promotion.guards.0.metric': a whole number of 401 digits is too"),
        ("base.conditioning", "class", r"base: conditioning class needs num_classes"),
        (
            "train_base.image_fraction",
            0.01,
            r"train_base: image_fraction 0.01 of batch_size .* rounds to none",
        ),
        ("train_sr_2x.image_fraction", 0.99, r"image_fraction 0.99 of batch_size .* rounds to all of them, without a"),
        ("text.batch_size", 256, r"unknown key 'text.batch_size': it is gone, remove it: the shape of each call"),
        ("base.cross_attention", "own", r"base.cross_attention is own, .* train_base.image_fraction must be 0"),
        ("sr_2x.cross_attention", "own", r"sr_2x.cross_attention is own, .* train_sr_2x.image_fraction must be 0"),
        ("diffusion.prediction", "epsilon", r"diffusion.prediction epsilon needs diffusion.zero_terminal_snr false"),
        ("evaluate.features", "i3d", r"evaluate.features is i3d, which needs evaluate.networks.i3d"),
        ("promotion.metric", "adherence/bot", r"promotion.metric is 'adherence/bot', .* did you mean 'adherence/both'"),
        (
            "train_base.caption_weights",
            {"short": -1},
            r"'train_base.caption_weights.short': input should be greater than",
        ),
        (
            "train_base.caption_weights",
            {"short": float("inf")},
            r"'train_base.caption_weights.short': input should be a",
        ),
        ("train_base.caption_weights", ["short"], r"key 'train_base.caption_weights': input should be an object"),
        ("promotion.metric", "fvd", r"promotion.metric is 'fvd', which evaluate does not make with these settings"),
        ("promotion.better", "lower", r"promotion.better is lower, but adherence/both is better when it is higher"),
        ("promotion.guards.1.metric", "fvd", r"promotion.guards.1.metric is 'fvd', which evaluate does not make"),
        ("promotion.guards.0.better", "lower", r"guards.0.better is lower, but adherence/shape is better when it is h"),
        ("promotion.metric", "held_out_loss/base/band_01", r"promotion.metric is 'held_out_loss/base/band_01', which"),
        ("retrain.new_share", 0.0, r"'retrain.new_share': input should be greater than 0"),
        ("retrain.steps", 100, r"retrain.steps is 100, but train_base.optimizer.warmup_steps is 100: it must be more"),
        ("promotion.margin", 0.0, r"'promotion.margin': input should be greater than 0"),
    ],
)
def test_wrong_parameters_are_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_section(changed(key, value), Params, "params.yaml")
    assert str(caught.value).startswith("params.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("prompts", "offered"), [("adherence", True), ("held_out", False), (["a cat"], False)])
def test_figures_of_a_check_are_offered_where_the_dataset_has_it(prompts: Any, offered: bool) -> None:
    values = changed("promotion.metric", "nothing of the kind")
    values["sample"]["prompts"] = prompts
    with pytest.raises(ConfigurationError, match=r"there are .*held_out_loss/base") as caught:
        parse_section(values, Params, "params.yaml")
    assert ("adherence/" in str(caught.value)) is offered


def numbers(value: Any, key: str = "") -> Iterator[tuple[str, int | float]]:
    """The numbers in parameters, also those in lists: key, such as ``ingest.sizes.0.1`` -> value."""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value


def with_number(whole: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(whole)
    inner: Any = data
    *above, last = (int(part) if part.isdigit() else part for part in key.split("."))
    for part in above:
        inner = inner[part]
    inner[last] = value
    return data


@pytest.mark.slow
def test_no_number_is_infinite_or_not_a_number() -> None:
    whole = recipe_data("demo")
    found = list(numbers(whole))
    assert len(found) > 100
    for key, _ in found:
        for wrong in (float("inf"), float("nan")):
            with pytest.raises(ConfigurationError, match=rf"key '{key}'"):
                parse_section(with_number(whole, key, wrong), Params, "params.yaml")


def test_a_whole_number_is_neither_true_nor_written_with_a_point() -> None:
    whole = parse_section(recipe_data("demo"), Params, "params.yaml").model_dump(mode="json")
    found = [(key, value) for key, value in numbers(whole) if type(value) is int]
    choices = {"autoencoder.dimensions", "autoencoder.downsample_kernel", "sr_2x.super_resolution.factor"}
    assert choices <= dict(found).keys()
    for key, value in found:
        for wrong in (float(value), True):
            with pytest.raises(ConfigurationError, match=rf"key '{key}'.*found {wrong}"):
                parse_section(with_number(whole, key, wrong), Params, "params.yaml")
    descriptor = read_yaml(ROOT / "datasets/ucf101.yaml")
    for wrong in (True, 1.0):
        descriptor["source"]["split"] = wrong
        with pytest.raises(ConfigurationError, match=rf"key 'source\.split'.*found {wrong}"):
            parse_section(descriptor, Descriptor, "ucf101.yaml")


@pytest.mark.parametrize("stride", [3.0, 0.3, 0.0625])
def test_split_needs_frames_without_gaps(stride: float) -> None:
    data = changed("ingest.stride_seconds", stride)
    assert parse_section(data, Params, "params.yaml").ingest.stride_seconds == stride
    data["ingest"]["screen"]["cuts"] = "split"
    with pytest.raises(ConfigurationError, match=rf"multiple of 1/fps no longer than a clip \(2.125\), not {stride:g}"):
        parse_section(data, Params, "params.yaml")
    data["ingest"]["stride_seconds"] = 2.125
    assert parse_section(data, Params, "params.yaml").ingest.stride_frames == 17


def test_super_resolution_needs_both_sizes_of_each_clip() -> None:
    data = changed("ingest.sizes", [])
    data["ingest"]["buckets"] = [[[32, 32], [64, 64]], [[32, 56], [64, 112]]]
    assert parse_section(data, Params, "params.yaml").ingest.all_sizes == ((32, 32), (32, 56), (64, 64), (64, 112))
    data["ingest"]["sizes"], data["ingest"]["buckets"] = [[32, 32]], [[[64, 64]], [[64, 112]]]
    parse_section(data, Params, "params.yaml")
    data["ingest"]["sizes"], data["ingest"]["buckets"] = [[64, 64]], [[[32, 32]], [[32, 56]]]
    with pytest.raises(
        ConfigurationError, match=r"sr_2x.resolution .* and base.resolution .* must be in one of ingest"
    ):
        parse_section(data, Params, "params.yaml")


def conditioned(on: str, num_classes: int | None) -> dict[str, Any]:
    """What a model's section has to say of its conditions."""
    texts = {"text_width": 64, "cross_attention": "spatial"} if on == "text" else {}
    return {"conditioning": on, "num_classes": num_classes, "text_width": None, "cross_attention": None} | texts


def test_models_of_a_cascade_have_the_same_condition_or_none() -> None:
    data = changed("sample.prompts", "none")
    data["sr_2x"] |= conditioned("none", None)
    parse_section(data, Params, "params.yaml")
    data["sr_2x"] |= conditioned("class", 5)
    with pytest.raises(ConfigurationError, match=r"sr_2x.conditioning is class, but base.conditioning is text"):
        parse_section(data, Params, "params.yaml")
    data["text"] = None
    data["base"] |= conditioned("class", 6)
    with pytest.raises(ConfigurationError, match=r"sr_2x.num_classes is 5, but base.num_classes is 6"):
        parse_section(data, Params, "params.yaml")
    data["base"]["num_classes"] = 5
    parse_section(data, Params, "params.yaml")


@pytest.mark.parametrize(
    ("on", "taken", "refused"),
    [
        ("text", [["a cat"], "held_out", "adherence", "none"], ["classes"]),
        ("class", ["classes", "held_out", "none"], [["a cat"], "adherence"]),
        ("none", ["none"], [["a cat"], "held_out", "adherence", "classes"]),
    ],
)
def test_prompts_are_what_the_base_model_takes(on: str, taken: list[Any], refused: list[Any]) -> None:
    for prompts in [*taken, *refused]:
        data = changed("sample.prompts", prompts)
        for model in ("base", "sr_2x"):
            data[model] |= conditioned(on, 5 if on == "class" else None)
        data["text"] = data["text"] if on == "text" else None
        if prompts in taken:
            parse_section(data, Params, "params.yaml")
        else:
            with pytest.raises(
                ConfigurationError, match=r"sample.prompts is .* base.conditioning .* it is one of"
            ) as e:
                parse_section(data, Params, "params.yaml")
            assert "\n" not in str(e.value)


def test_what_chooses_among_captions_needs_a_model_of_text() -> None:
    parse_section(changed("train_base.caption_weights", {"short": 1, "dense": 0.5}), Params, "params.yaml")
    without = changed("sample.prompts", "none") | {"text": None}
    for name in ("base", "sr_2x"):
        without[name] |= conditioned("none", None)
    without["promotion"] |= {"metric": "frechet_distance/random_network", "better": "lower"}
    for section, key, value, cause in (
        ("train_base", "caption_weights", {"short": 1}, "base.conditioning is none"),
        ("sample", "caption", "short", "text is null"),
        ("evaluate", "caption", "short", "text is null"),
    ):
        data = copy.deepcopy(without)
        parse_section(data, Params, "params.yaml")
        data[section][key] = value
        with pytest.raises(ConfigurationError, match=rf"{section}\.{key} is .*but {cause}: it must be null$"):
            parse_section(data, Params, "params.yaml")


def test_i3d_needs_its_file_and_its_hash() -> None:
    data = changed("evaluate.features", "i3d")
    data["evaluate"]["networks"] = {"i3d": {"path": "i3d.pt"}}
    with pytest.raises(ConfigurationError, match=r"missing key 'evaluate.networks.i3d.sha256'"):
        parse_section(data, Params, "params.yaml")
    data["evaluate"]["networks"]["i3d"]["sha256"] = "0" * 64
    data["promotion"] |= {"metric": "fvd", "better": "lower", "guards": []}
    assert parse_section(data, Params, "params.yaml").evaluate.features == "i3d"


def test_what_borders_on_wrong_is_accepted() -> None:
    data = changed("sr_2x.super_resolution", {"factor": 2, "max_noise_level": 999, "sampling_noise_level": 999})
    data["sample"]["steps"] = 1000
    data["base"]["cross_attention"], data["train_base"]["image_fraction"] = "own", 0.0
    data["diffusion"] |= {"prediction": "epsilon", "zero_terminal_snr": False}
    data["promotion"] |= {"metric": "held_out_loss/sr_2x", "better": "lower"}
    assert parse_section(data, Params, "params.yaml").sample.steps == 1000


def test_missing_key_is_named() -> None:
    data = recipe_data("demo")
    del data["base"]["width"]
    with pytest.raises(ConfigurationError, match=r"missing key 'base.width'"):
        parse_section(data, Params, "params.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", r"line 2: the key 'a' is there twice"),
        ("? [a, b]\n: 1\n", r"the key .* is not text: put it in quotes"),
        ("2026-01-01: 1\n", r"the key 2026-01-01 is not text: put it in quotes"),
        ("a: &x\n  b: *x\n", r"an alias \(\*\) leads back to the value that it is in"),
        ("? [a, b]\n: 1\n? [a, b]\n: 2\n", r"line 3: the key .* is there twice"),
        ("a: 2026-13-01\n", r"not valid YAML: month must be in 1..12"),
        ("a: " + "9" * 5000 + "\n", r"not valid YAML"),
        ("a: " + "[" * 3000 + "]" * 3000 + "\n", r"in each other, too many"),
        ("a: [1\n", r"not valid YAML"),
        ("- 1\n", r"expected a mapping of keys, found list"),
        ("a: \xff\n", r"not valid YAML"),
        ("a: \0\n", r"not valid YAML: unacceptable character #x0000: .* position 3$"),
    ],
)
def test_broken_yaml_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_section(file, Params)
    assert "\n" not in str(caught.value)


def test_aliases_count_as_what_they_stand_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few lines may stand for more values than there is memory."""
    file = tmp_path / "params.yaml"
    file.write_text("a: &a [1, 2, 3]\nb: &b [*a, *a, *a]\nc: [*b, *b]\n")  # 1 + 4, 13 and 27 values
    monkeypatch.setattr(config, "_MOST_VALUES", 45)
    assert read_yaml(file)["c"] == [[[1, 2, 3]] * 3] * 2
    monkeypatch.setattr(config, "_MOST_VALUES", 44)
    with pytest.raises(ConfigurationError, match=r"params.yaml: its aliases \(\*\) stand for more than 44 values$"):
        read_yaml(file)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    with pytest.raises(ConfigurationError, match=r"param.yaml: no such file; did you mean 'params.yaml'\?"):
        load_section(tmp_path / "param.yaml", Params)


def test_yaml_1_2_reads_what_is_written(tmp_path: Path) -> None:
    """No Norway problem, and exponents are numbers."""
    file = tmp_path / "x.yaml"
    file.write_text("country: no\nrate: 1e-4\nflag: true\n")
    assert read_yaml(file) == {"country": "no", "rate": 1e-4, "flag": True}
