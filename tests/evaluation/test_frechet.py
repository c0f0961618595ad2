"""The Frechet distance against its closed form, and the extractors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.pretrained import FakeI3D
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.evaluation.frechet import Extractor, ThumbnailFeatures, frechet_distance, make_extractor


class Pixels(Extractor):
    """The first three pixels as features."""

    num_features = 3

    def forward(self, clips: Tensor) -> Tensor:
        return clips.flatten(1)[:, :3]


def clips(count: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> Tensor:
    return mean + scale * torch.randn(count, 3, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_against_the_formula() -> None:
    """d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), by eigenvalues in numpy."""
    real, generated = clips(50, 0), clips(40, 1, mean=0.5, scale=2.0)
    a, b = (Pixels()(x).double().numpy() for x in (real, generated))
    s1, s2 = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.linalg.eigvals(s1 @ s2).real).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2) - 2 * root
    assert frechet_distance(real.split(16), generated.split(7), Pixels()) == pytest.approx(expected, rel=1e-5)


def test_zero_for_equal_sets_and_growing_with_the_difference() -> None:
    features = ThumbnailFeatures()
    real = clips(64, 0, scale=0.3)
    same = frechet_distance([real], [real], features)
    other = frechet_distance([real], [clips(64, 1, scale=0.3)], features)
    darker = frechet_distance([real], [clips(64, 1, mean=-0.5, scale=0.3)], features)
    assert 0.0 <= same < 1e-6
    assert same < other < darker


def test_thumbnail_sees_colour_place_time_and_motion() -> None:
    features = ThumbnailFeatures()
    video = torch.zeros(1, 3, 6, 8, 8)
    assert features(video).shape == (1, 48)
    assert features.num_features == 48
    video[0, 0, :2, :4, :4] = 1.0  # red, upper left, in the first third
    difference = features(video)[0]
    assert difference[0] == 1.0
    assert difference[1:36].abs().max() == 0.0
    assert difference[36] == pytest.approx(10 / 5)
    assert difference[37:].abs().max() == 0.0


def test_a_picture_has_colours_and_no_motion() -> None:
    picture = torch.rand(2, 3, 1, 8, 8)
    features = ThumbnailFeatures()(picture)
    torch.testing.assert_close(features[:, :36], ThumbnailFeatures()(picture.expand(-1, -1, 5, -1, -1))[:, :36])
    assert not features[:, 36:].any()


def test_i3d_is_checked_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(FakeI3D()), str(path))
    name, extractor = make_extractor("i3d", path, sha256_file(path))
    video = torch.rand(2, 3, 10, 8, 8)
    assert name == "fvd"
    assert torch.equal(extractor(video), video.flatten(1)[:, :400])
    with pytest.raises(CorruptArtifactError, match="sha256"):
        make_extractor("i3d", path, "0" * 64)
    with pytest.raises(ConfigurationError, match="no file"):
        make_extractor("i3d", tmp_path / "absent.pt", "0" * 64)
    with pytest.raises(ConfigurationError, match="i3d_sha256"):
        make_extractor("i3d", path, None)


def test_only_i3d_is_called_fvd() -> None:
    assert make_extractor("thumbnail", None, None)[0] == "frechet_distance/random_network"
