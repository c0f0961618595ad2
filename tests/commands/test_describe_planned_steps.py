"""What a plan of a training counts, by its kind, against numbers that are not the plan's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import ResNetConfig

from tests.support.settings import changed, recipe
from walt.autoencoder.discriminator import Discriminator
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.perceptual_architecture import perceptual_architecture
from walt.commands.describe import stage_memory
from walt.commands.describe.planned_autoencoder import autoencoder_training_peaks
from walt.commands.describe.planned_steps import Peaks
from walt.commands.describe.planned_training import training_peaks
from walt.diffusion.schedule import Schedule
from walt.nn.device import prefetch_depth
from walt.transformer.model import WaltTransformer


def base_peaks(**training: Any) -> Peaks:
    params = changed(recipe("tiny"), train_base={"optimizer": {"name": "adamw"}, "precision": "fp32", **training})
    tokens = params.text.max_tokens if params.text else 0
    return training_peaks(params.base, params.train_base, Schedule.from_config(params.diffusion), tokens, 1)


def bytes_of(*models: nn.Module) -> int:
    return sum(4 * parameter.numel() for model in models for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("ema_decay", "copies"), [(0.9, 3), (0.0, 2)])
def test_a_transformer_has_weights_gradients_two_moments_and_their_average(ema_decay: float, copies: int) -> None:
    with torch.device("meta"):
        whole = bytes_of(WaltTransformer(recipe("tiny").base))
    last = [*base_peaks(ema_decay=ema_decay, accumulation=2, batch_size=8).values()][-1]
    assert last["weights"] == pytest.approx(whole, rel=0.01)
    assert last["gradients"] == pytest.approx(whole, rel=0.01)  # of the first part
    assert last["optimizer"] == pytest.approx(copies * whole, rel=0.01)


@pytest.mark.slow
def test_an_autoencoder_has_its_discriminator_too() -> None:
    changes = {"optimizer": {"name": "adamw"}, "precision": "fp32", "ema_decay": 0.9, "accumulation": 2}
    params = changed(recipe("tiny"), train_autoencoder=changes)
    training = params.train_autoencoder
    assert training.discriminator is not None
    with torch.device("meta"):
        model, discriminator = CausalAutoencoder(params.autoencoder), Discriminator(training.discriminator)
    last = [*autoencoder_training_peaks(params.autoencoder, training, Path.cwd(), 1).values()][-1]
    both = bytes_of(model, discriminator)
    assert last["weights"] == pytest.approx(both, rel=0.01)
    assert last["gradients"] == pytest.approx(both, rel=0.01)
    assert last["optimizer"] == pytest.approx(2 * both + bytes_of(model), rel=0.01)


@pytest.mark.slow
def test_a_perceptual_network_has_weights_alone(tmp_path: Path) -> None:
    """Its gradients and moments would be many: it is frozen."""
    of_network = ResNetConfig(embedding_size=32, hidden_sizes=[64], depths=[1], layer_type="basic", num_labels=100)
    of_network.save_pretrained(tmp_path)
    network = bytes_of(perceptual_architecture(tmp_path))
    last = []
    for changes in ({}, {"perceptual_network": str(tmp_path), "loss": {"perceptual": 0.1}}):
        params = changed(recipe("tiny"), train_autoencoder={"precision": "fp32", "accumulation": 2, **changes})
        peaks = autoencoder_training_peaks(params.autoencoder, params.train_autoencoder, Path.cwd(), 1)
        last.append([*peaks.values()][-1])
    without, having = last
    assert having["weights"] - without["weights"] == pytest.approx(network, rel=0.05)  # and running means
    assert (having["gradients"], having["optimizer"]) == (without["gradients"], without["optimizer"])


@pytest.mark.slow
def test_a_step_with_self_conditioning_is_planned_where_there_is_one() -> None:
    """It has one pass more, whose prediction is an input of the other."""
    with_it, without = (base_peaks(self_conditioning_probability=share) for share in (0.5, 1e-9))
    totals = [max(sum(kinds.values()) for kinds in peaks.values()) for peaks in (with_it, without)]
    assert totals[0] > totals[1]


def test_what_a_training_holds_on_the_host() -> None:
    """A checkpoint is weights and moments, of the phase that has most; a batch is in use while others are ahead."""
    phase: dict[Any, int] = {"weights": 100, "optimizer": 300, "gradients": 5000, "activations": 9000}
    peaks: Peaks = {"forward": {**phase, "optimizer": 200}, "update": phase}
    held = stage_memory._training_host(peaks, 7)
    assert held["checkpoint, or weights when they are read"] == 400
    assert held["weights that are published"] == 100
    assert held["batches"] == 7 * prefetch_depth("cuda") + 7
    few: Peaks = {"update": {**phase, "optimizer": 0}}  # weights are read into a copy
    assert stage_memory._training_host(few, 7)["checkpoint, or weights when they are read"] == 200


@pytest.mark.parametrize(("every", "kept"), [(None, 3), (4, 5)])
def test_what_a_training_holds_on_the_disk(every: int | None, kept: int) -> None:
    """A checkpoint more than are kept: one is written before the oldest is removed."""
    peaks: Peaks = {"update": {"weights": 100, "optimizer": 300}}
    training = changed(recipe("tiny").train_base, steps=10, keep_checkpoints=2, keep_every_steps=every)
    assert stage_memory._training_disk(peaks, training) == {f"{kept} checkpoints": kept * 400, "model": 100}
