"""Networks for features: files are checked before they are opened, and clips before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.pretrained import FakeI3D, NeedsTenFrames
from walt.core.digests import sha256_file
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.paths import Paths
from walt.evaluation.config import NetworkFile, NetworkName
from walt.evaluation.extractors import (
    Classifier,
    Extractor,
    FeaturesError,
    RandomNetworkFeatures,
    check_extractor,
    classes_of,
    features_of,
    make_extractor,
)
from walt.evaluation.metric_names import of_network


def i3d(path: Path, sha256: str | None = None) -> dict[NetworkName, NetworkFile]:
    return {"i3d": NetworkFile(path=str(path), sha256=sha256 or sha256_file(path))}


def test_i3d_is_checked_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(FakeI3D()), str(path))
    extractor = make_extractor("i3d", i3d(path), Paths(tmp_path))
    video = torch.rand(2, 3, 10, 8, 8)
    assert torch.equal(extractor(video), video.flatten(1)[:, :400])
    assert extractor.digest == sha256_file(path)
    with pytest.raises(CorruptArtifactError, match="sha256"):
        make_extractor("i3d", i3d(path, "0" * 64), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match="no file"):
        make_extractor("i3d", i3d(tmp_path / "absent.pt", "0" * 64), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match=r"evaluate\.networks\.i3d is needed, with path and sha256"):
        make_extractor("i3d", {}, Paths(tmp_path))


class Overflowing(Classifier):
    """As a network in half precision: what it gives of zeros is finite."""

    num_features = 2

    def forward(self, clips: Tensor) -> Tensor:
        return clips.flatten(1)[:, :2] / 0.0 if bool(clips.any()) else torch.zeros(1, 2)

    def classes(self, clips: Tensor) -> Tensor:
        return self(clips)


def test_features_that_are_not_numbers_are_refused() -> None:
    """Of them a distance ends in an error of the library, or is a number that says nothing."""
    extractor, clip = Overflowing(), torch.zeros(3, 1, 2, 2)
    check_extractor(extractor, "i3d", 1, (2, 2), classes=True)
    assert features_of(extractor, clip).tolist() == [0.0, 0.0]
    for filled in (clip + 1.0, clip + torch.nan):
        for see in (features_of, classes_of):
            with pytest.raises(FeaturesError, match="evaluate: Overflowing of a clip are not finite") as error:
                see(extractor, filled)
            assert error.value.exit_status == 2
    certain = torch.tensor([0.0, 1.0]).log()  # minus infinity is the logarithm of a probability of 0
    extractor.classes = lambda clips: certain[None]  # type: ignore[method-assign]
    assert torch.equal(classes_of(extractor, clip), certain)


class GivesAPair(torch.nn.Module):
    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> tuple[Tensor, Tensor]:
        return x, x


def test_a_file_of_something_else_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    for content in ({"weight": torch.zeros(2)}, None):
        path.write_text("no network at all") if content is None else torch.save(content, path)
        with pytest.raises(
            ConfigurationError, match=r"^evaluate\.networks\.i3d\.path: .* is not TorchScript: "
        ) as refused:
            make_extractor("i3d", i3d(path), Paths(tmp_path))
        assert "\n" not in str(refused.value)
    torch.jit.save(torch.jit.script(GivesAPair()), str(path))
    extractor = make_extractor("i3d", i3d(path), Paths(tmp_path))
    with pytest.raises(ConfigurationError, match="it gives tuple and not a tensor"):
        check_extractor(extractor, "i3d", 10, (8, 8))


def test_only_i3d_is_called_fvd() -> None:
    networks: list[NetworkName] = ["random_network", "i3d", "inception", "clip"]
    names = [of_network("frechet_distance", network) for network in networks]
    assert names == ["frechet_distance/random_network", "fvd", "fid", "frechet_distance/clip"]


def test_clips_that_are_too_short_are_found_at_once(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    torch.jit.save(torch.jit.script(NeedsTenFrames()), str(path))
    extractor = make_extractor("i3d", i3d(path), Paths(tmp_path))
    check_extractor(extractor, "i3d", 10, (32, 32))
    with pytest.raises(ConfigurationError) as caught:
        check_extractor(extractor, "i3d", 9, (32, 48))
    said = str(caught.value)
    assert said.startswith("evaluate: i3d cannot measure clips of 9 frames of 32x48: ")
    assert "Kernel size: (10 x 1 x 1)" in said
    assert "\n" not in said


def test_pictures_that_are_too_small_are_found_at_once() -> None:
    extractor = RandomNetworkFeatures()
    check_extractor(extractor, "random_network", 1, (4, 4))
    with pytest.raises(ConfigurationError, match="cannot measure clips of 5 frames of 2x2"):
        check_extractor(extractor, "random_network", 5, (2, 2))


class _Wrong(Extractor):
    """Fewer features than it says, or none that is a number."""

    num_features = 4

    def __init__(self, count: int, value: float) -> None:
        super().__init__()
        self.features = torch.full((1, count), value)

    def forward(self, clips: Tensor) -> Tensor:
        return self.features


@pytest.mark.parametrize(("count", "value"), [(3, 0.0), (4, float("nan"))])
def test_features_of_another_form_are_refused(count: int, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"it gives 1x{count} features of zeros, not 1x4 numbers"):
        check_extractor(_Wrong(count, value), "i3d", 10, (8, 8))


def test_features_of_a_clip_do_not_depend_on_others() -> None:
    extractor = RandomNetworkFeatures()
    clips = torch.rand(5, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = [features_of(extractor, clip) for clip in clips]
    assert all(torch.equal(features_of(extractor, clips[place]), found[place]) for place in (4, 1, 0))
    torch.testing.assert_close(torch.stack(found), extractor(clips))
