"""The causal autoencoder: sizes, causality, images, statistics, and the folder it is kept in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.autoencoders import KERNEL_4, PATCHED, VIDEO, drawn, image_config
from walt.autoencoder import model as model_module
from walt.autoencoder.config import AutoencoderConfig
from walt.autoencoder.io import load_autoencoder, save_autoencoder
from walt.autoencoder.losses import kl_loss, sample_posterior
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics, RunningStatistics
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.own_digest import read_json_with_digest, write_json_with_digest

PAPER = VIDEO.model_copy(update={"base_channels": 128, "blocks_per_level": 4, "latent_channels": 8, "groups": 32})


@pytest.fixture(scope="module", params=[VIDEO, KERNEL_4, PATCHED], ids=["kernel 3", "kernel 4", "patch 2"])
def model(request: pytest.FixtureRequest) -> CausalAutoencoder:
    return drawn(request.param).double()


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    return torch.rand(1, 3, 17, 16, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


def test_the_papers_size() -> None:
    with torch.device("meta"):
        model = CausalAutoencoder(PAPER)
    millions = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (model.encoder, model.decoder)]
    assert millions == pytest.approx([144.9, 225.5], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("latent_channels", [4, 8, 16, 32])
def test_the_papers_image_network(latent_channels: int) -> None:
    """2D, multipliers (1, 1, 2, 4), 256x256 -> 32x32 cells (PAPER.md section 1)."""
    config = image_config(PAPER).model_copy(
        update={"channel_multipliers": (1, 1, 2, 4), "latent_channels": latent_channels}
    )
    with torch.device("meta"):
        model = CausalAutoencoder(config)
        mean, _ = model.encode(torch.empty(2, 3, 1, 256, 256))
        assert mean.shape == (2, latent_channels, 1, 32, 32)
        assert model.decode(mean).shape == (2, 3, 1, 256, 256)
    assert all(parameter.shape[2] == 1 for parameter in model.parameters() if parameter.dim() == 5)


@pytest.mark.parametrize("config", [VIDEO, image_config(VIDEO)], ids=["3D", "2D"])
def test_an_image_is_the_video_of_one_frame(config: AutoencoderConfig, video: torch.Tensor) -> None:
    """Beside others in a batch or alone, and as the first frame of a longer video."""
    model, images = drawn(config).double(), video[0].transpose(0, 1)[:, :, None]  # (17, 3, 1, H, W)
    together = model.encode(images)[0]
    for number in (0, 7):
        torch.testing.assert_close(together[number : number + 1], model.encode(video[:, :, number : number + 1])[0])
    torch.testing.assert_close(together[:1], model.encode(video)[0][:, :, :1])


@pytest.mark.slow
def test_activation_checkpointing_changes_memory_only(video: torch.Tensor) -> None:
    def run(checkpointing: bool) -> tuple[list[torch.Tensor], int]:
        model = drawn(VIDEO).double()
        model.activation_checkpointing = checkpointing
        assert model.activation_checkpointing is checkpointing
        kept = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = model.decode(model.encode(video)[0]).square().mean()
        loss.backward()
        return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)], kept

    (plain, much), (again, little) = run(False), run(True)
    assert len(plain) == len(again) > 50
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)
    assert little < 0.6 * much


@pytest.mark.parametrize("frames", [1, 5, 9, 17])
def test_shapes(model: CausalAutoencoder, video: torch.Tensor, frames: int) -> None:
    mean, log_variance = model.encode(video[:, :, :frames])
    assert mean.shape == log_variance.shape == (1, 3, 1 + (frames - 1) // 4, 2, 3)
    assert model.decode(mean).shape == (1, 3, frames, 16, 24)


@pytest.mark.parametrize("shape", [(4, 16, 16), (17, 12, 16), (16, 16, 16)])
def test_other_lengths_and_sides_are_refused(model: CausalAutoencoder, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="frames and sides divisible"):
        model.encode(torch.zeros(1, 3, *shape, dtype=torch.float64))


@pytest.mark.slow
def test_a_prefix_of_a_video_has_a_prefix_of_its_latents(model: CausalAutoencoder, video: torch.Tensor) -> None:
    whole, _ = model.encode(video)
    for k in range(5):
        torch.testing.assert_close(model.encode(video[:, :, : 1 + 4 * k])[0], whole[:, :, : 1 + k])
        torch.testing.assert_close(model.decode(whole[:, :, : 1 + k]), model.decode(whole)[:, :, : 1 + 4 * k])


@pytest.mark.parametrize("frame", [1, 4, 5, 8, 16])
def test_a_later_frame_leaves_earlier_latents_bit_identical(
    model: CausalAutoencoder, video: torch.Tensor, frame: int
) -> None:
    changed = video.clone()
    changed[:, :, frame] += 0.5
    untouched = -(-frame // 4)
    before, after = model.encode(video)[0], model.encode(changed)[0]
    assert torch.equal(before[:, :, :untouched], after[:, :, :untouched])
    assert not torch.equal(before[:, :, untouched], after[:, :, untouched])


def test_the_first_convolutions_type_is_taken_before_the_video_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which changes no bit."""
    narrow, clip = drawn(PATCHED), torch.rand((1, 3, 5, 16, 16), generator=torch.Generator().manual_seed(1)) * 2 - 1
    folded: list[torch.dtype] = []
    plain = model_module.space_to_depth

    def noted(x: torch.Tensor, patch: int) -> torch.Tensor:
        folded.append(x.dtype)
        return plain(x, patch)

    monkeypatch.setattr(model_module, "space_to_depth", noted)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = narrow.encode(clip)[0]
        monkeypatch.setattr(model_module, "_as_computed", lambda video: video)
        assert torch.equal(narrow.encode(clip)[0], found)
    narrow.encode(clip)
    assert folded == [torch.bfloat16, torch.float32, torch.float32]


def test_no_gradient_flows_back_in_time(model: CausalAutoencoder, video: torch.Tensor) -> None:
    leaf = video.clone().requires_grad_()
    model.encode(leaf)[0][:, :, :3].sum().backward()
    assert leaf.grad is not None
    assert torch.count_nonzero(leaf.grad[:, :, 9:]) == 0
    assert torch.count_nonzero(leaf.grad[:, :, 8]) > 0


def test_running_statistics_are_those_of_the_whole() -> None:
    latents = torch.randn(7, 3, 2, 4, 5, generator=torch.Generator().manual_seed(2)) * 3 + 100
    running = RunningStatistics(3)
    for part in latents.split([1, 4, 2]):
        running.update(part)
    result = running.result()
    values = latents.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(result.mean.double(), values.mean(1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(result.std.double(), values.std(1, unbiased=False), rtol=1e-6, atol=1e-6)
    normal = result.normalize(latents)
    torch.testing.assert_close(result.denormalize(normal), latents)
    assert normal.mean().abs() < 1e-4
    assert LatentStatistics.from_json(result.to_json()).mean.equal(result.mean)


def test_kl_of_the_unit_gaussian_is_zero_and_a_shift_costs_half_its_square() -> None:
    zeros = torch.zeros(2, 3, 2, 4, 4)
    assert kl_loss(zeros, zeros) == 0
    assert kl_loss(zeros + 2, zeros) == pytest.approx(0.5 * 4 * 3 * 16)
    assert torch.equal(sample_posterior(zeros + 1, zeros, zeros + 2), zeros + 3)


def test_folder_round_trip_and_its_errors(tmp_path: Path) -> None:
    model = CausalAutoencoder(VIDEO)
    statistics = LatentStatistics(torch.tensor([0.1, -2.0, 3.3]), torch.ones(3), 10)
    save_autoencoder(tmp_path, model, statistics)
    loaded, found = load_autoencoder(tmp_path)
    assert not loaded.training
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert torch.equal(found.mean, statistics.mean)

    with pytest.raises(StorageError, match="no model here"):
        load_autoencoder(tmp_path / "nowhere")
    config, _ = read_json_with_digest(tmp_path / "config.json")
    write_json_with_digest(tmp_path / "config.json", config | {"latent_channels": 5})
    with pytest.raises(
        ConfigurationError, match=r"'decoder\.conv_in\.weight' is \(16, 3, 3, 3, 3\), the model has \(16, 5"
    ):
        load_autoencoder(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CorruptArtifactError, match=r"model\.safetensors"):
        load_autoencoder(tmp_path)
