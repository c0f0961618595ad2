"""Autoencoders of diffusers as the first stage: causal ones of a known class, whose factors fit, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.diffusers_vaes import write_cogvideox, write_wan
from tests.support.settings import changed
from tests.support.tiny_models import AUTOENCODER
from walt.autoencoder import diffusers_vae
from walt.autoencoder.diffusers_vae import THEIR_WEIGHTS, is_foreign, read_foreign
from walt.autoencoder.io import load_autoencoder, save_foreign
from walt.autoencoder.statistics import LatentStatistics
from walt.autoencoder.streaming import decode_within, encode_within
from walt.core.errors import ConfigurationError, CorruptArtifactError

pytestmark = pytest.mark.slow  # diffusers takes three seconds to import


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    write_wan(folder)
    return folder


def test_it_encodes_and_decodes_as_diffusers_does(wan: Path) -> None:
    from diffusers import AutoencoderKLWan

    model, about = read_foreign(wan, AUTOENCODER, "cpu")
    assert about["_class_name"] == "AutoencoderKLWan"
    theirs = AutoencoderKLWan.from_pretrained(wan)
    video = torch.rand(2, 3, 9, 16, 24) * 2 - 1
    with torch.no_grad():
        mean, log_variance = model.encode(video)
        posterior = theirs.encode(video).latent_dist
        assert torch.equal(mean, posterior.mode())
        assert torch.equal(log_variance, posterior.logvar)
        assert mean.shape == (2, 4, 3, 2, 3)
        assert torch.equal(model.decode(mean), theirs.decode(mean).sample)
        assert model.decode(mean).shape == video.shape
        image = model.encode(video[:, :, :1])[0]
    assert torch.allclose(image, mean[:, :, :1], atol=1e-5)


def test_it_is_never_given_chunks_of_ours(wan: Path) -> None:
    model, _ = read_foreign(wan, AUTOENCODER, "cpu")
    video = torch.rand(1, 3, 17, 16, 16) * 2 - 1
    with torch.no_grad():
        whole = model.encode(video)[0]
    assert torch.equal(encode_within(model, video, 1e-9), whole)
    (piece,) = decode_within(model, whole, 1e-9)
    assert piece.shape == video.shape
    for wrong in (video[:, :, :16], video[..., :12]):
        with pytest.raises(ValueError, match=r"must have 1 \+ 4k frames and sides divisible by 8"):
            model.encode(wrong)


def test_the_folder_of_a_project_gives_the_same_model(wan: Path, tmp_path: Path) -> None:
    model, about = read_foreign(wan, AUTOENCODER, "cpu")
    statistics = LatentStatistics(torch.arange(4.0), torch.ones(4), 8)
    save_foreign(tmp_path, model, about, statistics)
    assert is_foreign(wan)
    assert not is_foreign(tmp_path)
    state = torch.random.get_rng_state()
    again, found = load_autoencoder(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(found.mean, statistics.mean)
    assert again.config == AUTOENCODER
    video = torch.rand(1, 3, 5, 16, 16)
    with torch.no_grad():
        assert torch.equal(again.encode(video)[0], model.encode(video)[0])
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CorruptArtifactError, match="sha256 differs"):
        load_autoencoder(tmp_path)


def test_one_that_is_not_causal_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_cogvideox(tmp_path)
    said = "AutoencoderKLCogVideoX: not causal: the latent of the first frame depends on later frames"
    with pytest.raises(ConfigurationError, match=said) as error:
        read_foreign(tmp_path, AUTOENCODER, "cpu")
    assert "\n" not in str(error.value)


def test_a_decoder_that_looks_ahead_is_refused(wan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = diffusers_vae.DiffusersAutoencoder.decode
    monkeypatch.setattr(
        diffusers_vae.DiffusersAutoencoder, "decode",
        lambda model, latents, stream=None: decode(model, latents, stream) + latents.mean(),
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="the first frame depends on later latents"):
        read_foreign(wan, AUTOENCODER, "cpu")


def test_factors_and_channels_must_fit(wan: Path) -> None:
    for wrong in (changed(AUTOENCODER, latent_channels=8), changed(AUTOENCODER, patch_size=2)):
        with pytest.raises(ConfigurationError, match=r"AutoencoderKLWan: (makes latents .* says|cannot encode)"):
            read_foreign(wan, wrong, "cpu")


def test_damaged_pickled_and_foreign_folders(wan: Path, tmp_path: Path) -> None:
    about = json.loads((wan / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(about))
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ConfigurationError, match="pickled weights are not read"):
        read_foreign(tmp_path, AUTOENCODER, "cpu")
    data = (wan / THEIR_WEIGHTS).read_bytes()
    (tmp_path / THEIR_WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptArtifactError, match=THEIR_WEIGHTS):
        read_foreign(tmp_path, AUTOENCODER, "cpu")
    (tmp_path / THEIR_WEIGHTS).write_bytes(data)
    (tmp_path / "config.json").write_text(json.dumps(about | {"base_dim": 8}))
    with pytest.raises(CorruptArtifactError, match="size mismatch"):
        read_foreign(tmp_path, AUTOENCODER, "cpu")
    (tmp_path / "config.json").write_text(json.dumps(about | {"_class_name": "AutoencoderKL"}))
    with pytest.raises(ConfigurationError, match="a AutoencoderKL; those that can be a first stage are"):
        read_foreign(tmp_path, AUTOENCODER, "cpu")
