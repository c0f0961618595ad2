"""Configuration errors: one line, naming the key and the nearest valid one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from walt.core.config import load_section, parse_section, read_yaml
from walt.core.errors import ConfigurationError
from walt.stages.params import Params
from walt.stages.recipes import recipe_path


def changed(key: str, value: Any) -> dict[str, Any]:
    """The demo's parameters with one key set; ``base.layers`` is a key in a section."""
    data = copy.deepcopy(read_yaml(recipe_path("demo")))
    *sections, name = key.split(".")
    place = data
    for section in sections:
        place = place[section]
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
    ],
)
def test_wrong_parameters_are_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_section(changed(key, value), Params, "params.yaml")
    assert str(caught.value).startswith("params.yaml: ")
    assert "\n" not in str(caught.value)


def test_missing_key_is_named() -> None:
    data = copy.deepcopy(read_yaml(recipe_path("demo")))
    del data["base"]["width"]
    with pytest.raises(ConfigurationError, match=r"missing key 'base.width'"):
        parse_section(data, Params, "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", r"duplicate key"),
        ("a: [1\n", r"not valid YAML"),
        ("- 1\n", r"expected a mapping of keys, found list"),
        ("a: \xff\n", r"not valid YAML"),
    ],
)
def test_broken_yaml_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_section(file, Params)
    assert "\n" not in str(caught.value)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    with pytest.raises(ConfigurationError, match=r"param.yaml: no such file; did you mean 'params.yaml'\?"):
        load_section(tmp_path / "param.yaml", Params)


def test_yaml_1_2_reads_what_is_written(tmp_path: Path) -> None:
    """No Norway problem, and exponents are numbers."""
    file = tmp_path / "x.yaml"
    file.write_text("country: no\nrate: 1e-4\nflag: true\n")
    assert read_yaml(file) == {"country": "no", "rate": 1e-4, "flag": True}
