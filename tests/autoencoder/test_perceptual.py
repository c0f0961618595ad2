"""The perceptual network: from a local folder only, frozen, and what it sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ResNetForImageClassification

from tests.support.pretrained import write_resnet
from walt.autoencoder.perceptual import IMAGENET_MEAN, IMAGENET_STD, PerceptualNetwork
from walt.core.errors import ConfigurationError


def video(frames: int = 2) -> torch.Tensor:
    return torch.rand(3, 3, frames, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_logits_are_those_of_each_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it fails: it is not needed
    network = PerceptualNetwork(write_resnet(tmp_path))
    clip = video()
    logits = network(clip)
    assert logits.shape == (6, 5)
    reference = ResNetForImageClassification.from_pretrained(tmp_path, local_files_only=True).eval()
    frames = torch.stack([clip[b, :, t] for b in range(3) for t in range(2)])
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    torch.testing.assert_close(logits, reference((0.5 * frames + 0.5 - mean) / std).logits)


def test_mean_and_std_come_from_the_folder(tmp_path: Path) -> None:
    write_resnet(tmp_path)
    imagenet = PerceptualNetwork(tmp_path)(video())
    settings = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    network = PerceptualNetwork(tmp_path)
    assert not torch.allclose(network(video()), imagenet)
    torch.testing.assert_close(
        network(video()[:, :, :1]), network.network(video()[:, :, 0]).logits
    )  # x is (x/2+.5-.5)/.5


def test_it_is_frozen_and_lets_gradients_through(tmp_path: Path) -> None:
    network = PerceptualNetwork(write_resnet(tmp_path))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    clip = video().requires_grad_()
    network(clip).square().sum().backward()
    assert clip.grad is not None
    assert bool((clip.grad.flatten(1).abs().sum(1) > 0).all())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())  # batch statistics too
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())


def test_the_digest_is_of_the_weights_and_of_the_normalisation(tmp_path: Path) -> None:
    first = PerceptualNetwork(write_resnet(tmp_path / "a")).digest()
    assert PerceptualNetwork(write_resnet(tmp_path / "b")).digest() == first
    assert PerceptualNetwork(write_resnet(tmp_path / "c", seed=1)).digest() != first
    (tmp_path / "a/preprocessor_config.json").write_text('{"image_mean": [0, 0, 0]}')
    assert PerceptualNetwork(tmp_path / "a").digest() != first


def spoil_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def spoil_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no weights")


def only_a_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("classifier.1.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def another_task(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "t5"}')


def bad_mean(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5]}')


def bad_json(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_config, "no image classifier can be loaded from"),
        (spoil_weights, "no image classifier can be loaded from"),
        (only_a_pickle, "no image classifier can be loaded from"),
        (another_task, "no image classifier can be loaded from"),
        (lose_a_weight, "lacks the weight classifier.1.weight"),
        (bad_mean, "image_mean must be three numbers"),
        (bad_json, "preprocessor_config.json: "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_unusable_folder_is_a_configuration_error(tmp_path: Path, spoil: object, message: str) -> None:
    write_resnet(tmp_path)
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(ConfigurationError, match=message) as error:
        PerceptualNetwork(tmp_path)
    assert str(error.value).startswith("train_autoencoder.perceptual_network: ")
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_named_and_nothing_is_looked_for_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"train_autoencoder\.perceptual_network: no folder"):
        PerceptualNetwork(tmp_path / "microsoft/resnet-50")


def test_sizes_that_the_network_does_not_take_are_refused_at_once(tmp_path: Path) -> None:
    network = PerceptualNetwork(write_resnet(tmp_path))
    network.check_sizes([(16, 16), (32, 24)])

    def of_one_size(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if inputs[0].shape[2:] != (16, 16):
            raise ValueError("Input image size doesn't match model (16*16).")

    network.network.register_forward_pre_hook(of_one_size)
    with pytest.raises(ConfigurationError, match="does not accept 32x24 frames: Input image size"):
        network.check_sizes([(16, 16), (32, 24)])
