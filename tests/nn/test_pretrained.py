"""A model's ``config.json``: its format, and what was written by older versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.tiny_models import AUTOENCODER, BASE, drawn
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.model import CausalAutoencoder
from walt.core.config import Section
from walt.core.digests import sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.nn import pretrained
from walt.nn.pretrained import load_config, save_weights
from walt.transformer.config import SuperResolutionConfig, TransformerConfig
from walt.transformer.model import WaltTransformer, load_transformer, save_transformer

AUTOENCODER_0 = """{
  "base_channels": 4, "blocks_per_level": 1, "channel_multipliers": [1, 1, 1, 1], "dimensions": 3,
  "downsample_kernel": 3, "groups": 2, "latent_channels": 4, "patch_size": 1,
  "temporal_downsample": [false, true, true]
}"""
"""As it was written before files had a format."""
TRANSFORMER_0 = """{
  "adaln": "lora", "adaln_rank": 2, "conditioning": "text", "cross_attention": "spatial", "frame_prediction": false,
  "heads": 2, "latent_channels": 4, "latent_grid": [2, 4, 4], "layers": 2, "mlp_width": 32, "num_classes": null,
  "patch_size": 2, "qk_norm": true, "relative_position_bias": true, "resolution": [32, 32], "self_conditioning": true,
  "spatial_window": [1, 2, 2], "spatiotemporal_window": [2, 2, 2],
  "super_resolution": {"factor": 2, "max_noise_level": 30, "sampling_noise_level": 5}, "text_width": 16, "width": 16
}"""


def write(folder: Path, text: str) -> Path:
    (folder / "config.json").write_text(text)
    return folder


def with_format(text: str, number: object) -> str:
    return json.dumps({"format": number, **json.loads(text)})


def with_digest(text: str) -> str:
    value = json.loads(text)
    return json.dumps({**value, "sha256": sha256_json(value)})


@pytest.mark.parametrize("number", [None, 0, 1])
def test_models_of_earlier_versions_load(tmp_path: Path, number: int | None) -> None:
    """These texts stay as they are, whatever knobs are added."""
    texts = [text if number is None else with_format(text, number) for text in (AUTOENCODER_0, TRANSFORMER_0)]
    autoencoder = load_config(write(tmp_path, texts[0]), AutoencoderConfig)
    assert autoencoder.channel_multipliers == (1, 1, 1, 1)
    assert autoencoder.temporal_downsample == (False, True, True)
    transformer = load_config(write(tmp_path, texts[1]), TransformerConfig)
    assert (transformer.latent_grid, transformer.text_width) == ((2, 4, 4), 16)
    assert transformer.super_resolution == SuperResolutionConfig(factor=2, max_noise_level=30, sampling_noise_level=5)


def test_a_model_whose_file_has_no_format_has_its_weights(tmp_path: Path) -> None:
    model = drawn(WaltTransformer(BASE), 0)
    save_transformer(tmp_path, model)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content.pop("format") == pretrained.FORMAT
    del content["sha256"], content["weights_sha256"]
    write(tmp_path, json.dumps(content))
    loaded = load_transformer(tmp_path)
    assert all((loaded.state_dict()[name] == weight).all() for name, weight in model.state_dict().items())


def test_a_knob_that_a_model_is_older_than_has_its_earlier_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model(Section):
        width: int
        depth: int
        heads: int

    class Other(Section):
        width: int

    monkeypatch.setattr(pretrained, "FORMAT", 3)
    monkeypatch.setattr(pretrained, "ADDED", ((2, "Model", {"depth": 5}), (3, "Model", {"heads": 1})))
    for text, expected in (
        ('{"width": 1}', (1, 5, 1)),
        ('{"format": 1, "width": 1}', (1, 5, 1)),
        (with_digest('{"format": 2, "width": 1, "depth": 9}'), (1, 9, 1)),
        (with_digest('{"format": 3, "width": 1, "depth": 9, "heads": 4}'), (1, 9, 4)),
    ):
        assert tuple(load_config(write(tmp_path, text), Model).model_dump().values()) == expected
    assert load_config(write(tmp_path, '{"width": 1}'), Other) == Other(width=1)
    with pytest.raises(ConfigurationError, match="missing key 'heads'"):
        load_config(write(tmp_path, with_digest('{"format": 3, "width": 1, "depth": 9}')), Model)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (pretrained.FORMAT + 1, f"format {pretrained.FORMAT + 1} was written by a newer version; this one knows"),
        ("1", "format '1' is not a number from 0 on"),
        (True, "format True is not a number"),
        (-1, "format -1 is not a number"),
    ],
)
def test_another_format_is_refused_with_one_line(tmp_path: Path, number: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(write(tmp_path, with_format(AUTOENCODER_0, number)), AutoencoderConfig)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: {message}")
    assert "\n" not in str(caught.value)


def test_what_is_written_says_its_format(tmp_path: Path) -> None:
    save_weights(tmp_path, drawn(CausalAutoencoder(AUTOENCODER), 0).state_dict(), AUTOENCODER)
    assert json.loads((tmp_path / "config.json").read_text())["format"] == pretrained.FORMAT
    assert load_config(tmp_path, AutoencoderConfig) == AUTOENCODER


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (('"groups": 2', '"groups": 1'), r"config\.json: differs from its own digest"),
        (('"format": 2', '"format": 0'), r"config\.json: differs from its own digest"),
        (('"sha256"', '"sha257"'), r"config\.json: its own digest is missing"),
        (('"weights_sha256": "', '"weights_sha256": "0'), r"config\.json: differs from its own digest"),
        (('"groups"', '"groups'), r"config\.json: not JSON"),
    ],
)
def test_a_damaged_configuration_is_not_another_model(tmp_path: Path, damage: tuple[str, str], message: str) -> None:
    save_weights(tmp_path, drawn(CausalAutoencoder(AUTOENCODER), 0).state_dict(), AUTOENCODER)
    text = (tmp_path / "config.json").read_text()
    assert damage[0] in text
    with pytest.raises(CorruptArtifactError, match=message):
        load_config(write(tmp_path, text.replace(*damage)), AutoencoderConfig)


def test_one_bit_of_one_weight_is_another_model(tmp_path: Path) -> None:
    save_transformer(tmp_path, drawn(WaltTransformer(BASE), 0))
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-4] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(CorruptArtifactError, match=r"model\.safetensors: its sha256 differs from config\.json"):
        load_transformer(tmp_path)
